"""Invariances of the real path: DeepSpeed engines in real processes over gloo, in losses, gradients and weights.

Tolerances: losses to 1e-5 of their value, gradients to 1e-5 of the largest one; float32 sums in another order is all
that may differ. bfloat16 to 2 % of the loss.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.deepspeed_runs import run_all

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1800)]

GOLDEN = Path(__file__).with_name("golden_losses.json")
FULL: dict[str, Any] = {}
LORA = {"lora_rank": 4, "learning_rate": 1e-2}
BF16 = {"precision": "bfloat16"}
SHARED = {"shared_prompts": True}
KINDS = {"full": FULL, "lora": LORA}
#: Out of the rows' columns, and beside a teacher of another width.
OBJECTIVES: dict[str, Any] = {
    "jsd": {"kind": "jsd", "options": {"beta": 0.3}, "with_teacher": True},
    "reverse": {"kind": "reverse_kl", "options": {"temperature": 1.5, "weight": 0.5}, "beside_teacher": True},
    "hidden": {"kind": "hidden_mse", "beside_teacher": True},
}
#: What of each objective is run with two workers, against one worker without ZeRO and with each prompt by itself.
VARIANTS: dict[str, Any] = {
    **{f"full{stage}": {"zero_stage": stage} for stage in (0, 1, 2, 3)},
    "lora3": LORA | {"zero_stage": 3},
    "shared2": SHARED | {"zero_stage": 2},
}
STAGES = (0, 1, 2, 3)
CUTS = ((1, 8), (2, 4), (8, 1))
TWO_WORKERS = {
    **{f"{kind}{stage}": {"plan": plan | {"zero_stage": stage}, "save_at": 3}
       for (kind, plan), stage in product(KINDS.items(), STAGES)},
    **{f"bf16_{stage}": {"plan": BF16 | {"zero_stage": stage}, "save_at": 3} for stage in (0, 1)},
    **{f"shared_{kind}{stage}": {"plan": plan | SHARED | {"zero_stage": stage}, "save_at": 3}
       for (kind, plan), stage in product(KINDS.items(), STAGES)},
    **{f"{name}_{variant}": {"plan": plan, "objective": spec}
       for (name, spec), (variant, plan) in product(OBJECTIVES.items(), VARIANTS.items())},
    "offload2": {"plan": {"zero_stage": 2, "offload_optimizer": True}, "save_at": 3},
    "offload3": {"plan": {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True}, "save_at": 3},
}  # fmt: skip
ONE_WORKER = {
    **{f"cut{size}": {"plan": {"micro_batch_size": size}} for size, _ in CUTS},
    **{f"bf16_{stage}": {"plan": BF16 | {"zero_stage": stage}} for stage in STAGES},
    **{f"shared_{kind}": {"plan": plan | SHARED} for kind, plan in KINDS.items()},
    **{f"apart_{kind}": {"plan": plan | SHARED, "computed_apart": True} for kind, plan in KINDS.items()},
    "lora": {"plan": LORA},
    **{f"{name}_{kind}": {"plan": plan, "objective": spec, "computed_apart": True}
       for (name, spec), (kind, plan) in product(
           OBJECTIVES.items(), {"full": FULL, "lora": LORA, "shared": SHARED}.items())},
    "clipped": {"plan": {"max_grad_norm": 0.01}},
}  # fmt: skip


def run(folder: Path, model: str, runs: dict[str, Any], num_workers: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "runs.json").write_text(json.dumps({"model": model, "runs": runs}))
    run_all(folder, num_workers)
    return folder


def result(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / f"{name}.pt")


@pytest.fixture(scope="module")
def two(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("two"), tiny_model, TWO_WORKERS, 2)


@pytest.fixture(scope="module")
def one(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("one"), tiny_model, ONE_WORKER, 1)


@pytest.fixture(scope="module")
def resumed_by_one(two: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = {
        name: {"plan": spec["plan"], "resume": str(two / f"{name}_saved")}
        for name, spec in TWO_WORKERS.items()
        if "save_at" in spec
    }
    return run(tmp_path_factory.mktemp("resumed"), tiny_model, runs, 1)


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], first_step: int = 0) -> None:
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    assert len(ours["gradients"]) == len(theirs["losses"]) - first_step
    for a, b in zip(ours["gradients"], theirs["gradients"][first_step:], strict=True):
        largest = max(gradient.abs().max() for gradient in b.values())
        assert largest > 0.01
        assert set(a) == set(b)
        assert max((a[name] - b[name]).abs().max() for name in b) <= 1e-5 * largest


@pytest.mark.parametrize(("kind", "stage"), list(product(("full", "lora"), (1, 2, 3))))
def test_all_zero_stages_are_the_same(two: Path, kind: str, stage: int):
    assert_same(result(two, f"{kind}{stage}_of2"), result(two, f"{kind}0_of2"))


@pytest.mark.parametrize("size", [size for size, _ in CUTS])
def test_one_worker_is_two_workers_and_accumulation_changes_nothing(one: Path, two: Path, size: int):
    assert_same(result(one, f"cut{size}_of1"), result(two, "full0_of2"))


def test_adapters_train_the_same_with_one_and_two_workers(one: Path, two: Path):
    assert_same(result(one, "lora_of1"), result(two, "lora0_of2"))


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_computed_once_are_the_same_as_each_row_with_its_own(one: Path, two: Path, kind: str):
    """Of the same steps: with one worker, and with two under each ZeRO stage."""
    expected = result(one, f"apart_{kind}_of1")
    shared = [result(one, f"shared_{kind}_of1"), *(result(two, f"shared_{kind}{stage}_of2") for stage in STAGES)]
    for ours in shared:
        assert_same(ours, expected)
        assert ours["computed"] < 0.9 * expected["computed"], "two workers have fewer rows each that share a prompt"


@pytest.mark.parametrize(("name", "variant"), list(product(OBJECTIVES, VARIANTS)))
def test_objectives_with_a_teacher_do_not_depend_on_workers_or_stages(one: Path, two: Path, name: str, variant: str):
    """Weights in parts, as ZeRO 3 has them, prompts computed once, and workers whose numbers of targets differ.

    Beyond the first step a tenth of a percent: Adam divides by the size of gradients, and those of tokens that neither
    teacher nor student expects are hardly more than the rounding of sums.
    """
    kind = variant.rstrip("0123")
    ours, theirs = result(two, f"{name}_{variant}_of2"), result(one, f"{name}_{kind}_of1")
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    for step, (a, b) in enumerate(zip(ours["gradients"], theirs["gradients"], strict=True)):
        assert set(a) == set(b)
        largest = max(gradient.abs().max() for gradient in b.values())
        assert max((a[name] - b[name]).abs().max() for name in b) <= (1e-3 if step else 1e-5) * largest
    apart = theirs["losses"][0] - result(one, "apart_full_of1" if kind == "shared" else "lora_of1")["losses"][0]
    assert apart > 0.1, "more than cross-entropy"


def test_the_projector_learns_and_is_not_exported(one: Path):
    exported = AutoModelForCausalLM.from_pretrained(one / "hidden_full_of1").state_dict()
    assert set(exported) == set(AutoModelForCausalLM.from_pretrained(one / "cut2_of1").state_dict())
    gradient = result(one, "hidden_full_of1")["gradients"][0]["hidden_projector.weight"]
    assert gradient.shape == (32, 64) and gradient.any()


@pytest.mark.parametrize("name", ["offload2", "offload3"])
def test_offloading_changes_nothing(two: Path, name: str):
    assert_same(result(two, f"{name}_of2"), result(two, "full0_of2"))


@pytest.mark.parametrize("stage", (0, 1))
def test_bfloat16_stays_close(two: Path, stage: int):
    assert result(two, f"bf16_{stage}_of2")["losses"] == pytest.approx(result(two, "full0_of2")["losses"], rel=0.02)


@pytest.mark.parametrize("stage", (1, 2, 3))
def test_all_zero_stages_are_the_same_in_bfloat16(one: Path, stage: int):
    """With one worker; with more, sums of gradients are rounded in another order."""
    assert_same(result(one, f"bf16_{stage}_of1"), result(one, "bf16_0_of1"))


def test_clipping_happens(one: Path):
    """The comparisons above see gradients before clipping; that it acts shows in the second loss."""
    clipped, free = result(one, "clipped_of1")["losses"], result(one, "cut2_of1")["losses"]
    assert clipped[0] == free[0] and clipped[-1] != pytest.approx(free[-1], rel=1e-5)


@pytest.mark.parametrize(("kind", "stage"), list(product(("full", "lora", "shared_full", "shared_lora"), STAGES)))
def test_a_checkpoint_of_two_workers_goes_on_with_one(two: Path, resumed_by_one: Path, kind: str, stage: int):
    """Through DeepSpeed's universal checkpoints: weights, both moments and step counters survive."""
    ours, theirs = result(resumed_by_one, f"{kind}{stage}_of1"), result(two, f"{kind}{stage}_of2")
    assert_same(ours, theirs, first_step=3)


@pytest.mark.parametrize("name", ["bf16_0", "bf16_1", "offload2", "offload3"])
def test_master_weights_and_offloaded_state_survive_a_change_of_size(two: Path, resumed_by_one: Path, name: str):
    ours, theirs = result(resumed_by_one, f"{name}_of1"), result(two, f"{name}_of2")
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=2e-3 if name.startswith("bf16") else 1e-5)


@pytest.mark.parametrize(("kind", "stage"), list(product(("full", "lora"), (1, 2, 3))))
def test_the_exported_students_are_the_same(two: Path, kind: str, stage: int):
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(two / f"{kind}{number}_of2").state_dict() for number in (stage, 0)
    )
    assert set(ours) == set(theirs)
    assert max((ours[name] - theirs[name]).abs().max() for name in theirs) < 1e-4


def test_losses_are_the_golden_ones(one: Path, two: Path):
    """A change of packing, loss, schedule or optimizer shows here; write the file anew only when it is meant."""
    golden = json.loads(GOLDEN.read_text())
    ours = {"full": result(one, "cut2_of1")["losses"], "lora": result(two, "lora3_of2")["losses"]}
    assert {name: pytest.approx(losses, rel=1e-4) for name, losses in ours.items()} == golden
