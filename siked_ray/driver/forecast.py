"""What a run would do, counted before it starts: requests, steps, placement, tokens; upper bounds."""

import math
from collections.abc import Mapping

from siked_ray.config import Config
from siked_ray.core.mixture import Policy
from siked_ray.core.prompts import student_prompt, student_response, teacher_prompt
from siked_ray.driver.placement import cpus_wanted, gpus_wanted, prompt_templates
from siked_ray.driver.preflight import Checked
from siked_ray.settings import EngineSettings, TrainingSettings

#: Policies that may keep the teacher's and the student's row of one (problem, strategy).
_BOTH_SOURCES = (Policy.ALL, Policy.FIXED_ALPHA, Policy.KL_TARGET)

_UNKNOWN = "unknown (the data set is on the Hub, which cannot be reached from here)"


def first_prompts(config: Config, checked: Checked) -> Mapping[str, str]:
    """The rendered prompts of the first training problem, by title."""
    templates = prompt_templates(config)
    question = checked.train[0].question if checked.train else "…"
    prompts = {}
    sampled = [name for part in config.teacher_parts() if part.source.is_sampled for name in part.strategies]
    for strategy in config.strategy_records():
        if strategy.name in sampled:
            prompts[f"teacher's prompt · {strategy.name}"] = teacher_prompt(templates, strategy, question)
    prompts["student's prompt"] = student_prompt(templates, question)
    prompts["student's response"] = student_response(config.strategies[0], "…")
    return prompts


def forecast(config: Config, checked: Checked) -> Mapping[str, str]:
    """Figures by name, as text. Completions and tokens are upper bounds: sampling stops at the first correct one."""
    lines = _data_lines(checked)
    lines |= {f"{role} model": f"{facts.name}{_remark(facts.note)}" for role, facts in checked.models.items()}
    lines |= _work_lines(config, checked) if checked.train else {"requests and steps": _UNKNOWN}
    return lines | _placement_lines(config)


def student_requests(config: Config, num_train: int) -> int:
    """Requests to the student in an iteration: the problems once per strategy, or once where it is free to choose."""
    return num_train * (1 if config.iterations.generator == "self_free" else len(config.strategies))


def num_candidates(config: Config, num_steps: int) -> int:
    """Candidates of a training stage that are judged by free completions on the held-out problems."""
    selection = config.training.selection
    if selection.every_steps is None or selection.by == "loss":
        return 0
    return math.ceil(num_steps / selection.every_steps)


def _data_lines(checked: Checked) -> dict[str, str]:
    if not checked.train:
        return {"problems": _UNKNOWN}
    lines = {
        "training problems": f"{len(checked.train):,}",
        "held-out problems": f"{len(checked.validation):,}",
    }
    lines |= {f"test problems · {name}": f"{len(problems):,}" for name, problems in checked.tests.items()}
    if checked.excluded:
        lines["records left out"] = f"{len(checked.excluded):,} (problems/excluded.parquet will say why)"
    return lines


def _work_lines(config: Config, checked: Checked) -> dict[str, str]:
    generation, training = config.generation, config.training
    num_iterations = config.iterations.max + 1
    num_train, num_strategies = len(checked.train), len(config.strategies)
    to_teacher = num_train * sum(len(part.strategies) for part in config.teacher_parts() if part.source.is_sampled)
    to_student = student_requests(config, num_train)
    completions = (to_teacher + to_student * config.iterations.max) * generation.num_samples
    rows_per_step = training.rows_per_step
    most_rows = num_train * num_strategies * (2 if config.mixture.policy in _BOTH_SOURCES else 1)
    steps = training.epochs * math.ceil(most_rows / rows_per_step)
    problems = {p.problem_id for split in (checked.validation, *checked.tests.values()) for p in split}
    of_candidates = len(checked.validation) * num_candidates(config, steps)
    evaluations = (len(problems) * (num_strategies + 1) + of_candidates) * num_iterations
    return {
        "iterations": f"0 to {config.iterations.max} at most",
        "requests per sampling stage": (
            f"{_asked(config, to_teacher, to_student)}, up to {generation.num_samples} samples"
        ),
        "completions, sampling": f"{completions:,} at most",
        "completions, evaluation": f"{evaluations:,} at most",
        "generated tokens": (
            f"{completions * generation.max_new_tokens + evaluations * config.evaluation.max_new_tokens:,} at most"
        ),
        "optimizer steps per iteration": f"{steps:,} at most, of {rows_per_step} rows of {training.max_seq_len}",
    }


def _asked(config: Config, to_teacher: int, to_student: int) -> str:
    """Requests to the student, and those to the teacher where they are others."""
    if config.iterations.generator == "self_forced":
        return f"{to_student:,} (problem, strategy) rows"
    teacher = f" (to the teacher {to_teacher:,} (problem, strategy) rows)" if to_teacher else ""
    return f"{to_student:,} problems, strategy free{teacher}"


def _placement_lines(config: Config) -> dict[str, str]:
    training = config.training
    return {
        **_teachers_engines(config),
        "engines": _engines(config.engine),
        "training workers": (
            f"{_workers(training)} x ({training.cpus_per_worker:g} CPU, {training.gpus_per_worker:g} GPU), "
            f"ZeRO {training.zero_stage}"
        ),
        "side by side they want": f"{cpus_wanted(config):g} CPU, {gpus_wanted(config):g} GPU (else they take turns)",
    }


def _teachers_engines(config: Config) -> dict[str, str]:
    """The engines of each part of the teacher that has its own."""
    sampled = [part for part in config.teacher_parts() if part.source.source == "vllm" and part.source.engine]
    return {f"engines of {part.key}": _engines(config.engine_of(part.key)) for part in sampled}


def _engines(engine: EngineSettings) -> str:
    return f"{_shown(engine.engine_bounds)} x ({engine.cpus_per_engine:g} CPU, {engine.gpus_per_engine:g} GPU)"


def _workers(training: TrainingSettings) -> str:
    fewest, most = training.min_workers, training.max_workers
    return str(most) if fewest == most else f"{fewest} to {most}"


def _remark(note: str) -> str:
    return f" ({note})" if note else ""


def _shown(bounds: tuple[int, int]) -> str:
    least, most = bounds
    return f"{least}" if least == most else f"{least} to {most}"
