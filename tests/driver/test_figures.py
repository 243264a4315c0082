from dataclasses import replace

import pytest

from siked_ray.core.reasoning import Accept, Steps
from siked_ray.core.verdict import Verdict
from siked_ray.data.ledger import StageRecord
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.figures import sampling_metrics, spent
from tests.core.test_mixture_rule import rollout
from tests.stage_ids import stage_id


def test_what_a_sampling_stage_stored(tmp_path):
    storage = Storage(str(tmp_path))
    rollouts = [
        rollout("1", 0, Verdict.WRONG),
        rollout("1", 1),
        rollout("1", 2),
        rollout("2", 0, Verdict.TIMEOUT),
        rollout("2", 0, strategy="pot"),
    ]
    storage.write_parquet("folder/a.parquet", table("rollouts", rollouts[:2]))
    storage.write_parquet("folder/b.parquet", table("rollouts", rollouts[2:]))
    assert sampling_metrics(storage, ["folder/a.parquet", "folder/b.parquet"], ["cot", "l2m", "pot"]) == {
        "engine": "",
        "requests": 3,
        "samples": 5,
        "accepted": 2,
        "accepted_by_strategy": {"cot": 1, "l2m": 0, "pot": 1},
        "verdicts": {"correct": 3, "wrong": 1, "unparsed": 0, "error": 0, "timeout": 1},
        "generated_tokens": 5,
        "prompt_tokens": 0,
        "thought_chars": 0,
        "tokens_per_accepted": 2.5,
        "soundness": {},
    }


def test_how_sound_correct_samples_are(tmp_path):
    storage = Storage(str(tmp_path))
    steps = {name: Steps(stated=2, true=true, reaches_answer=reached) for name, true, reached in _READ}
    rollouts = [
        replace(rollout("1", 0), steps=steps["sound"], sound=True),
        replace(rollout("1", 1), steps=steps["false"], sound=False),
        replace(rollout("2", 0), steps=steps["out of nowhere"], sound=False),
        replace(rollout("3", 0, Verdict.WRONG), steps=steps["sound"], sound=True),
        replace(rollout("1", 0, strategy="pot"), uses_question_numbers=False, sound=False),
        rollout("1", 0, strategy="l2m"),
    ]
    storage.write_parquet("all.parquet", table("rollouts", rollouts))
    counts = sampling_metrics(storage, ["all.parquet"], ["cot", "l2m", "pot"], Accept.SOUND)
    assert counts["accepted_by_strategy"] == {"cot": 1, "l2m": 0, "pot": 0}
    text = {"correct": 3, "sound": 1, "false_step": 1, "not_reached": 1, "no_question_number": 0}
    program = {"correct": 1, "sound": 0, "false_step": 0, "not_reached": 0, "no_question_number": 1}
    assert counts["soundness"] == {"cot": text, "pot": program}


_READ = (("sound", 2, True), ("false", 1, True), ("out of nowhere", 2, False))


def test_a_stage_that_stored_nothing(tmp_path):
    counts = sampling_metrics(Storage(str(tmp_path)), [], ["cot"])
    assert (counts["engine"], counts["requests"], counts["accepted"], counts["generated_tokens"]) == ("", 0, 0, 0)


def record(stage: str, seconds: float, **metrics) -> StageRecord:
    return StageRecord(id=stage_id(stage), position=0, seconds=seconds, outputs=(), metrics=metrics)


def test_gpu_hours_are_those_of_what_a_stage_runs_on(make_config):
    config = make_config("engine={num_engines: 2, gpus_per_engine: 4}", "training={num_workers: 3, gpus_per_worker: 1}")
    records = [
        record("rollouts_01", 3600, generated_tokens=1000),
        record("training_01", 1800, tokens=500),
        record("evaluation_01", 360, validation={}),
        record("mixture_01", 1800),
        record("decision_01", 1800),
    ]
    used = spent(records, config)
    assert used.hours == pytest.approx(2.6)
    assert used.gpu_hours == pytest.approx(8 * 1.0 + 3 * 0.5 + 8 * 0.1)
    assert used.tokens == 1500


def test_training_with_fewer_workers_costs_fewer_gpu_hours(make_config):
    config = make_config("training={num_workers: [1, 3], gpus_per_worker: 2}")
    assert spent([record("training_00", 3600, workers_at_end=1)], config).gpu_hours == 2


@pytest.mark.parametrize(
    ("teacher", "gpus"),
    [
        ("{source: dataset, path: x.jsonl}", 0),
        ("{source: openai, model: big}", 0),
        ("{source: vllm, model: big}", 4),
        (
            "{source: openai, model: big, strategies: {pot: {source: vllm, model: x, engine: {gpus_per_engine: 2}}}}",
            2,
        ),
    ],
)
def test_a_teacher_without_engines_costs_no_gpu_hours(make_config, teacher: str, gpus: float):
    config = make_config("engine={num_engines: 4, gpus_per_engine: 1}", f"teacher={teacher}")
    assert spent([record("rollouts_teacher", 3600)], config).gpu_hours == gpus
