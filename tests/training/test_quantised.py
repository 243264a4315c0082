"""An adapter on a base in 4 bits: it learns, and what is exported is whole and says what the model said in training.

bitsandbytes quantises on CPUs too; the product uses it on GPUs, where it is worth it.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.training.compute.model import load_model
from siked_ray.training.compute.quantised import plain_weight
from siked_ray.training.stage.export import export
from tests.training.deepspeed_runs import plan_values
from tests.training.test_deepspeed import result, run

pytestmark = pytest.mark.engines
pytest.importorskip(
    "bitsandbytes", reason="bitsandbytes is in no set that is tested here: pip install siked-ray[qlora]"
)

PLAN = TrainingPlan(**plan_values(lora_rank=4, base_precision="nf4", micro_batch_size=1))


def log_probs(model: Any, token_ids: list[int]) -> torch.Tensor:
    """Of a student in training, whose examples have to be told apart, or of a plain model."""
    spans = {"cu_seq_lens_q": torch.tensor([0, len(token_ids)]), "max_length_q": len(token_ids)}
    return model(torch.tensor([token_ids]), **spans).logits[0].float().log_softmax(-1)


@pytest.fixture
def trained(tiny_model: str) -> Any:
    """A student after some steps."""
    model, _ = load_model(tiny_model, PLAN, dtype=torch.float32)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.01)
    tokens = [5, 6, 7, 8, 9, 10]
    losses = []
    for _ in range(20):
        loss = -log_probs(model, tokens)[range(5), tokens[1:]].mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    return model.eval()


def test_the_base_is_in_4_bits_and_frozen(trained: Any) -> None:
    base = [parameter for name, parameter in trained.named_parameters() if name.endswith("base_layer.weight")]
    assert base and all(one.dtype == torch.uint8 and not one.requires_grad for one in base)
    embeddings = trained.get_input_embeddings().weight
    assert embeddings.dtype == torch.float32 and not embeddings.requires_grad


def test_what_is_exported_is_whole_and_says_the_same(trained: Any, tiny_model: str, tmp_path: Path) -> None:
    before = log_probs(trained, [5, 6, 7, 20, 21]).detach()
    export(trained, AutoTokenizer.from_pretrained(tiny_model), str(tmp_path), rank=0)
    student = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not hasattr(student.config, "quantization_config")
    assert {parameter.dtype for parameter in student.parameters()} == {torch.float32}
    assert torch.allclose(log_probs(student, [5, 6, 7, 20, 21]), before, atol=1e-4)
    assert torch.equal(log_probs(trained, [5, 6, 7, 20, 21]), before), "the model that is trained stays as it was"
    assert trained.get_base_model().hf_quantizer is not None


def test_each_weight_of_the_base_is_rounded_and_no_more(trained: Any, tiny_model: str) -> None:
    plain = dict(AutoModelForCausalLM.from_pretrained(tiny_model).named_parameters())
    found = 0
    for name, parameter in trained.get_base_model().named_parameters():
        if name.endswith("base_layer.weight"):
            weight, dtype = plain_weight(parameter)
            before = plain[name.replace("base_layer.", "")].detach()
            assert dtype == torch.float32 and weight.shape == before.shape
            assert 0.01 < (weight - before).abs().mean() / before.abs().mean() < 0.2
            found += 1
    assert found == 7 * len(trained.get_base_model().model.layers)


@pytest.fixture(scope="module")
def runs(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole runs of one worker on DeepSpeed, and one that goes on from another's checkpoint."""
    folder = tmp_path_factory.mktemp("nf4")
    plan = {"lora_rank": 4, "base_precision": "nf4", "learning_rate": 0.02}
    whole = {f"zero{stage}": {"plan": plan | {"zero_stage": stage}, "save_at": 3} for stage in (0, 1, 2)}
    run(folder, tiny_model, whole | {"bf16": {"plan": plan | {"zero_stage": 1, "precision": "bfloat16"}}}, 1)
    resumed = {"zero1": {"plan": plan | {"zero_stage": 1}, "resume": str(folder / "zero1_saved")}}
    run(folder / "resumed", tiny_model, resumed, 1)
    return folder


@pytest.mark.parametrize("stage", [1, 2])
def test_zero_stages_without_parts_of_weights_are_the_same(runs: Path, stage: int) -> None:
    losses = result(runs, f"zero{stage}_of1")["losses"]
    assert losses == pytest.approx(result(runs, "zero0_of1")["losses"], rel=1e-5)
    assert losses[-1] < losses[0]


def test_it_goes_on_from_a_checkpoint(runs: Path) -> None:
    """The base is not in it: it is quantised anew, and the same."""
    losses = result(runs / "resumed", "zero1_of1")["losses"]
    assert losses == pytest.approx(result(runs, "zero1_of1")["losses"], rel=1e-5)


def test_bfloat16_is_near(runs: Path) -> None:
    assert result(runs, "bf16_of1")["losses"] == pytest.approx(result(runs, "zero1_of1")["losses"], rel=0.05)
