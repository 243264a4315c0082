"""Free responses that are taken over from forced ones are those that the engine decodes whole."""

from pathlib import Path
from typing import Any

import pytest

from siked_ray.capacity.await_capacity import Anywhere
from siked_ray.capacity.engine_specs import engine_spec, pool_size
from siked_ray.core.prompts import student_prompt
from siked_ray.core.rollout import FREE, TAG_ALONE
from siked_ray.core.stage import Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.encoding import encode_prompts, encode_responses
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.inputs import problem_row
from siked_ray.driver.sampling import Sampling
from siked_ray.generation.durable import pending
from siked_ray.preflight.check import check
from siked_ray.settings.engine import EngineSettings
from tests.driver.test_lab import Board
from tests.training.trained import local_ray

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]
MAX_NEW_TOKENS = 40
_STEPS = 150
#: Tags, no tag, and a response that does not fit.
_RESPONSES = ("[cot]: So {}. The answer is {}.", "[pot]: answer = {}", "so {}", "[cot]: " + "{} " * 40)


def taught(folder: str, config: Any, questions: list[str]) -> None:
    """Make the student of a folder say one of four things to each question."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompts = encode_prompts(tokenizer, [student_prompt(config.prompts.templates(), one) for one in questions])
    texts = [_RESPONSES[index % 4].replace("{}", str(index)) for index in range(len(questions))]
    rows = list(zip(prompts, encode_responses(tokenizer, texts), strict=True))
    length = max(len(prompt) + len(response) for prompt, response in rows)
    tokens = torch.tensor([p + r + [0] * (length - len(p) - len(r)) for p, r in rows])
    labels = torch.tensor([[-100] * len(p) + r + [-100] * (length - len(p) - len(r)) for p, r in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(_STEPS):
        model(input_ids=tokens, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def answers(config: Any, storage: Storage, pools: EnginePools, iteration: int) -> dict[tuple[str, str], dict[str, Any]]:
    stage = StageId.of_iteration(Kind.ANSWERS, iteration)
    sampling = Sampling(config, storage, pools, Board(), models={}, placement=Anywhere())
    sampling.answers(stage, config.student.model, ["train"], "answers")
    rows = storage.read_parquet(storage.files(names.place_of(stage), ".parquet")).to_pylist()
    told = ("strategy", "completion", "num_tokens", "num_prompt_tokens", "prompt", "truncated", "verdict", "predicted")
    found = {(row["problem_id"], row["requested"]): {name: row[name] for name in told} for row in rows}
    assert len(found) == len(rows)
    return found


def test_what_is_taken_over_is_what_would_have_been_decoded(
    make_config: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    student = make_model("student")
    changes = (f"student.model={student}", "strategies=[cot, pot]", f"evaluation.max_new_tokens={MAX_NEW_TOKENS}")
    config = make_config(*changes, "engine.dtype=float32", "engine.kv_cache_gib=0.1", "engine.max_num_seqs=16")
    problems = check(config).train
    taught(student, config, [problem.question for problem in problems])
    storage = Storage(str(tmp_path / "run"))
    storage.write_parquet(names.problems("train"), table("problems", [problem_row(one, "train") for one in problems]))
    with local_ray(4):
        pools = EnginePools(
            Board(),
            specs={"student": engine_spec(config, "student", 256)},
            sizes={"student": pool_size(config, "student")},
            log_dir=str(tmp_path),
            keep_engines_while_training=False,
        )
        taken = answers(config, storage, pools, 0)
        monkeypatch.setattr(EngineSettings, "is_deterministic", False)
        whole = answers(config, storage, pools, 1)
        pools.close()
    assert taken == whole
    free = {problem: row for (problem, requested), row in whole.items() if requested == FREE}
    chosen = [row["strategy"] for row in free.values()]
    assert {"cot", "pot", "none"} == set(chosen), "it has learnt what there is to tell apart"
    assert any(row["truncated"] for row in free.values() if row["strategy"] == "cot")

    folder = pending(names.place_of(StageId.of_iteration(Kind.ANSWERS, 0)))
    parts = storage.read_parquet(storage.files(folder, ".parquet"), ["requested", "problem_id"]).to_pylist()
    assert sum(row["requested"] == TAG_ALONE for row in parts) == len(problems)
    of_their_own = storage.read_parquet(f"{folder}/part-taken-over.parquet").to_pylist()
    expected = {one for one, row in free.items() if row["strategy"] != "none" and not row["truncated"]}
    assert {row["problem_id"] for row in of_their_own} == expected and len(expected) > len(problems) // 3
    assert all(row["requested"] == FREE for row in of_their_own)
