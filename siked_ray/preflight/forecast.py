"""What a run would do, as text: what its recipe does on a lab that counts, and where it would run; upper bounds."""

from collections.abc import Mapping, Sequence

from siked_ray.capacity.engine_specs import cpus_wanted, gpus_wanted
from siked_ray.config import Config
from siked_ray.core.objective import bytes_per_token
from siked_ray.core.prompts import student_prompt, student_response, teacher_prompt
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TWIN, Kind, StageId
from siked_ray.preflight.check import Checked
from siked_ray.preflight.counting_lab import (
    Count,
    OtherCount,
    SamplingCount,
    ScoringCount,
    TableCount,
    TrainingCount,
    count_stages,
    num_candidates,
)
from siked_ray.recipes.verbs import Asked
from siked_ray.report.contamination_words import plan_lines
from siked_ray.settings import STUDENT, EngineSettings, TrainingSettings
from siked_ray.sources import further, sampled

_UNKNOWN = "unknown (the data set is on the Hub, which cannot be reached from here)"


def first_prompts(config: Config, checked: Checked) -> Mapping[str, str]:
    """The rendered prompts of the first training problem, by title."""
    templates = config.prompts.templates()
    question = checked.train[0].question if checked.train else "…"
    prompts = {}
    asked = [name for source in sampled(config) for name in source.part.strategies]
    for strategy in config.strategy_records():
        if strategy.name in asked:
            prompts[f"teacher's prompt · {strategy.name}"] = teacher_prompt(templates, strategy, question)
    prompts["student's prompt"] = student_prompt(templates, question)
    views = [name for name in config.strategies if name in templates.of_strategy]
    prompts |= {f"student's prompt · {name}": student_prompt(templates, question, name) for name in views}
    prompts["student's response"] = student_response(config.strategies[0], "…")
    return prompts


def forecast(config: Config, checked: Checked) -> dict[str, str]:
    """Figures by name, as text. Completions and tokens are upper bounds: sampling stops at the first correct one."""
    lines = _data_lines(checked)
    lines |= {f"{role} model": f"{facts.name}{_remark(facts.note)}" for role, facts in checked.models.items()}
    lines |= _work_lines(config, checked) if checked.train else {"requests and steps": _UNKNOWN}
    return lines | _placement_lines(config)


def stage_lines(config: Config, checked: Checked) -> Mapping[str, str]:
    """What each stage would do at most, as text, by name. Stages of a kind that do the same have one line."""
    counts = count_stages(config, checked) if checked.train else []
    alike: dict[tuple[Kind, str], list[StageId]] = {}
    for one in counts:
        alike.setdefault((one.stage.kind, _shown_count(one, config.generation.max_new_tokens)), []).append(one.stage)
    return {_shown_names(stages): shown for (_, shown), stages in alike.items()}


def _data_lines(checked: Checked) -> dict[str, str]:
    if not checked.train:
        return {"problems": _UNKNOWN}
    lines = {
        "training problems": f"{len(checked.train):,}",
        "held-out problems": f"{len(checked.validation):,}",
    }
    lines |= {f"test problems · {name}": f"{len(problems):,}" for name, problems in checked.tests.items()}
    if checked.contamination is not None:
        lines |= dict(plan_lines(checked.contamination))
    if checked.excluded:
        lines["records left out"] = f"{len(checked.excluded):,} (problems/excluded.parquet will say why)"
    return lines


def _work_lines(config: Config, checked: Checked) -> dict[str, str]:
    counts, training = count_stages(config, checked), config.training
    all_sampling = [one for one in counts if isinstance(one, SamplingCount)]
    sampling = [one for one in all_sampling if not one.measures_only]
    measuring = [one for one in all_sampling if one.measures_only]
    scored = [one for one in counts if isinstance(one, ScoringCount)]
    trained = [one for one in counts if isinstance(one, TrainingCount)]
    candidates = len(checked.validation) * sum(num_candidates(config, one.num_steps) for one in trained)
    evaluations = sum(one.num_completions for one in measuring) + candidates
    tokens = sum(one.num_completions * one.how.max_new_tokens for one in all_sampling)
    tokens += candidates * config.evaluation.max_new_tokens
    twin_steps = [one.num_steps for one in trained if one.stage == TWIN]
    trained = [one for one in trained if one.stage != TWIN]
    iterations = [one.stage.iteration for one in trained if one.stage.iteration is not None]
    of_what = "iteration" if iterations else "training stage"
    steps = max((one.num_steps for one in trained), default=0)
    return {
        **({"iterations": f"0 to {max(iterations)} at most"} if iterations else {}),
        "requests per sampling stage": _requests(sampling),
        "completions, sampling": f"{sum(one.num_completions for one in sampling):,} at most",
        "completions, evaluation": f"{evaluations:,} at most",
        "generated tokens": f"{tokens:,} at most",
        **({"teacher's probabilities": _scores(scored, config.generation.max_new_tokens)} if scored else {}),
        f"optimizer steps per {of_what}": (
            f"{steps:,} at most, of {training.rows_per_step} rows of {training.max_seq_len}"
        ),
        **({"the loop's twin": f"{twin_steps[0]:,} more steps at most, and its answers"} if twin_steps else {}),
    }


def _scores(counts: Sequence[ScoringCount], max_tokens: int) -> str:
    """What is stored of a teacher's probabilities."""
    each = bytes_per_token(counts[-1].top_k)
    num_tokens = sum(one.num_rows for one in counts) * max_tokens
    return f"{each} bytes for each of {num_tokens:,} tokens at most ({each * num_tokens / 1e6:,.0f} MB)"


def _requests(sampling: Sequence[SamplingCount]) -> str:
    """Requests to the student, and those to others where they are others."""
    largest: dict[str, SamplingCount] = {}
    for one in sorted(sampling, key=lambda one: one.num_asked):
        largest[one.model.engines] = one
    if not largest:
        return "none"
    first = largest.get(STUDENT) or next(iter(largest.values()))
    shown = _asked(first.asked, first.num_asked)
    for engines, one in largest.items():
        if one.num_requests and _asked(one.asked, one.num_asked) != shown:
            shown += f" (to the {engines} {_asked(one.asked, one.num_requests)})"
    most = max(one.how.num_samples for one in largest.values())
    return f"{shown}, up to {most} samples" if most > 1 else f"{shown}, one sample"


def _asked(asked: Asked, number: int) -> str:
    free = asked.table is None and asked.requested == (FREE,)
    return f"{number:,} problems, strategy free" if free else f"{number:,} (problem, strategy) rows"


def _shown_count(count: Count, max_tokens: int) -> str:
    match count:
        case SamplingCount(num_requests=0):
            return f"{count.model.engines}: rationales that exist"
        case SamplingCount():
            samples = f", up to {count.how.num_samples} samples" if count.how.num_samples > 1 else ""
            return f"{count.model.engines}: {_asked(count.asked, count.num_requests)}{samples}"
        case ScoringCount():
            return f"{count.model.engines}: {count.num_rows:,} rows, {_scores([count], max_tokens)}"
        case TrainingCount():
            return f"{count.num_steps:,} steps, on {count.num_rows:,} rows"
        case TableCount():
            return f"{count.num_rows:,} rows"
        case OtherCount():
            return count.verb


def _shown_names(stages: Sequence[StageId]) -> str:
    by_number = all(stage == StageId.of_iteration(stage.kind, stage.iteration or 0) for stage in stages)
    if by_number and len(stages) > 1:
        return f"{stages[0].name} to {stages[-1].name}"
    return ", ".join(stage.name for stage in stages)


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
    """The engines of each part of the teacher, and of each further model, that has its own."""
    found = {source.part.key: source.engines.own for source in (*sampled(config), *further(config))}
    return {f"engines of {key}": _engines(own) for key, own in found.items() if own and own is not config.engine}


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
