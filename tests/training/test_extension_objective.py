"""A new objective is one class: the training loop takes any, and knows none by name."""

from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch

from siked_ray.cli import main
from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.errors import StageError
from siked_ray.settings import TrainingSettings
from siked_ray.training.compute.model import optimizer_and_schedule
from siked_ray.training.compute.objectives import CrossEntropy, Objective, model_inputs, objective_of, on_device
from siked_ray.training.compute.plain_engine import PlainEngine
from siked_ray.training.compute.tensors import Batch, collate
from tests.training.payloads import said_of
from tests.training.test_steps import Example, load_model, random_examples, train_on


@dataclass(frozen=True, slots=True)
class Confidence:
    """How far the model is from giving the token that the teacher finds most likely, as 1 − its probability."""

    def loss(self, model: Any, batch: Batch, device: Any) -> Any:
        logits_LV = model(**model_inputs(batch, device), logits_to_keep=on_device(batch.predictors_L, device)).logits[0]
        if batch.payload is None:
            return 0.0 * logits_LV.float().sum()
        favourites_L = on_device(batch.payload.token_ids_RK[:, 0].astype("int64"), device)
        return (1 - logits_LV.float().softmax(-1).gather(1, favourites_L[:, None])).sum()


def test_a_student_learns_by_an_objective_of_ones_own(tiny_model: str, make_plan):
    plan = make_plan(epochs=40, micro_batch_size=1, rows_per_step=4, learning_rate=1e-2, schedule="constant")
    examples = [Example(one.prompt, one.response, said_of(one.response)) for one in random_examples(4)]
    model = load_model(tiny_model, plan, dtype=torch.float32)
    optimizer, schedule = optimizer_and_schedule(model, plan, 40)
    engine = PlainEngine(model, optimizer, schedule, num_micro_steps=4, max_grad_norm=1.0)
    objective: Objective = Confidence()
    result = train_on(engine, examples, plan, objective=objective)
    assert result.losses[0] > 0.98, "a random student spreads over 320 tokens"
    assert result.losses[-1] < 0.5


def test_the_gradient_of_a_batch_without_targets_is_zero(tiny_model: str, make_plan):
    """Every worker takes part in every micro step, also with nothing to do."""
    model = load_model(tiny_model, make_plan(), dtype=torch.float32)
    for objective in (CrossEntropy(), Confidence()):
        loss = objective.loss(model, collate([], pad_token_id=0, loss_on="response"), torch.device("cpu"))
        loss.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        assert loss.item() == 0 and all(g is None or not g.any() for g in gradients)
        assert any(g is not None for g in gradients)


def test_every_name_in_the_settings_is_an_objective(make_config):
    names = get_args(TrainingSettings.model_fields["objective"].annotation)
    specs = {name: TrainingSettings(objective=name).objective_spec() for name in names}
    made = {name: objective_of(spec, teacher=object()) for name, spec in specs.items()}
    assert made["cross_entropy"] == CrossEntropy()
    assert all(callable(one.loss) for one in made.values())
    assert make_config().training.objective_spec() == CROSS_ENTROPY


def test_an_unknown_name_is_refused(settings_file, capsys):
    assert main(["plan", str(settings_file), "training.objective=confidence"]) == 2
    said = capsys.readouterr().err
    assert "training.objective: Input should be 'cross_entropy', 'forward_kl'" in said and said.count("\n") == 1
    with pytest.raises(StageError, match="no objective 'confidence'"):
        objective_of(ObjectiveSpec(kind="confidence"))


def test_what_a_record_says_of_an_objective():
    assert CROSS_ENTROPY.arguments == {"kind": "cross_entropy", "with_teacher": False}, "as records have it since 0.1"
    assert ObjectiveSpec(kind="jsd", options={"beta": 0.5}).arguments["options"] == {"beta": 0.5}
