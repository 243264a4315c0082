"""Hours and cost of a run, out of its counts and of what the user knows of speed and prices."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from siked_ray import sources
from siked_ray.config import Config
from siked_ray.core.problem import Split
from siked_ray.core.prompts import student_prompt, teacher_prompt
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.errors import ConfigError
from siked_ray.preflight.check import Checked
from siked_ray.preflight.counting_lab import SamplingCount, TrainingCount, count_stages, num_candidates
from siked_ray.settings import STUDENT, EngineSettings

_HOUR_S = 3600.0
#: Of English text; a server's tokenizer is its own.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What `--assume` says. Tokens per second are those of one engine, and of one training worker.

    `…_acceptance` is the chance that one sample is correct; `tokens_per_sample` counts what is generated,
    `tokens_per_row` what is trained on (prompt and response); `engine_start_s` is the time from nothing to an engine
    with its weights.
    """

    teacher_acceptance: float
    student_acceptance: float
    tokens_per_sample: float
    tokens_per_row: float
    teacher_tokens_per_s: float
    student_tokens_per_s: float
    training_tokens_per_s: float
    engine_start_s: float
    gpu_hour_price: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCost:
    """A kind of stage, over all iterations."""

    tokens: float
    seconds: float
    gpus: float

    @property
    def gpu_hours(self) -> float:
        """GPUs held, times hours."""
        return self.gpus * self.seconds / _HOUR_S


def read_rates(assumptions: Sequence[str]) -> Rates:
    """Rates from `name=number` texts; ConfigError names what is unknown, missing or no number."""
    known = [field.name for field in fields(Rates)]
    values: dict[str, float] = {}
    for text in assumptions:
        name, _, number = text.partition("=")
        if name not in known:
            raise ConfigError(f"--assume: there is no {name!r}; name all of {', '.join(known)}.")
        try:
            values[name] = float(number)
        except ValueError:
            raise ConfigError(f"--assume: {name} needs a number, {number!r} is none.") from None
        _check_rate(name, values[name])
    missing = [name for name in known if name not in values]
    if missing:
        raise ConfigError(f"--assume needs {', '.join(missing)} too; docs/cluster.md says what they mean.")
    return Rates(**values)


def _check_rate(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"--assume: {name} needs a finite number, {value} is none.")
    if value < 0 or (value == 0 and name != "gpu_hour_price"):
        raise ConfigError(f"--assume: {name} has to be above 0.")
    if value > 1 and name.endswith("_acceptance"):
        raise ConfigError(f"--assume: {name} is a share of the samples, so at most 1; {value:g} is more.")


def expected_samples(num_samples: int, ramp: Sequence[int], keep_one: bool, acceptance: float) -> float:
    """Samples that a request draws on average: attempt after attempt as the ramp says, until one is correct."""
    if not keep_one:
        return float(num_samples)
    drawn, expected, attempt = 0, 0.0, 0
    while drawn < num_samples:
        size = min(ramp[min(attempt, len(ramp) - 1)], num_samples - drawn)
        expected += size * (1 - acceptance) ** drawn
        drawn, attempt = drawn + size, attempt + 1
    return expected


def estimate(config: Config, checked: Checked, rates: Rates) -> dict[str, StageCost]:
    """Cost by kind of stage, were no iteration left out; raises ConfigError when the problems are not known."""
    if not checked.train:
        raise ConfigError("--assume needs the problems, and data.train cannot be reached from here; give a local file.")
    counts = count_stages(config, checked)
    sampling = [one for one in counts if isinstance(one, SamplingCount)]
    training = [one for one in counts if isinstance(one, TrainingCount)]
    start_s, to_student, to_teacher = rates.engine_start_s, rates.student_tokens_per_s, rates.teacher_tokens_per_s
    costs = {
        f"{source.part.key}'s sampling": _sampling(
            _sampled(sampling, source.part.key, rates.teacher_acceptance, rates), to_teacher, own, start_s
        )
        for source in sources.sampled(config)
        if (own := source.engines.own)
    }
    sampled = _sampled(sampling, STUDENT, rates.student_acceptance, rates)
    rows = [_expected_rows(one, config, checked, rates) for one in training]
    answers = [one for one in sampling if one.measures_only]
    completions = sum(one.num_completions for one in answers) + _candidates(rows, config, checked, rates)
    num_students = len({one.model.weights for one in answers})
    evaluated = completions * rates.tokens_per_sample
    return costs | {
        "student's sampling": _sampling(sampled, to_student, config.engine, 0.0),
        "evaluation": _sampling(evaluated, to_student, config.engine, start_s * num_students),
        "training": _training(
            sum(num_rows * one.epochs for num_rows, one in zip(rows, training, strict=True)) * rates.tokens_per_row,
            config,
            rates,
        ),
    }


def _sampled(sampling: Sequence[SamplingCount], engines: str, acceptance: float, rates: Rates) -> float:
    """Tokens that are sampled to be trained on."""
    of_engines = [one for one in sampling if engines in one.requests and not one.measures_only]
    return sum(one.requests[engines] * _samples(one.how, acceptance) * rates.tokens_per_sample for one in of_engines)


def _expected_rows(training: TrainingCount, config: Config, checked: Checked, rates: Rates) -> float:
    """Those of which some sample is correct; what both teacher and student have solved counts once."""
    most = min(training.num_rows, len(checked.train) * len(config.strategies))
    acceptance = max(rates.teacher_acceptance, rates.student_acceptance)
    return most * (1 - (1 - acceptance) ** config.generation.num_samples)


def _candidates(rows: Sequence[float], config: Config, checked: Checked, rates: Rates) -> int:
    """Completions by which candidates are judged."""
    training = config.training
    per_step = training.rows_per_step * training.max_seq_len
    steps = [math.ceil(one * rates.tokens_per_row * training.epochs / per_step) for one in rows]
    return len(checked.validation) * sum(num_candidates(config, one) for one in steps)


def _training(tokens: float, config: Config, rates: Rates) -> StageCost:
    training = config.training
    return StageCost(
        tokens=tokens,
        seconds=tokens / (rates.training_tokens_per_s * training.max_workers),
        gpus=training.max_workers * training.gpus_per_worker,
    )


def server_lines(config: Config, checked: Checked) -> dict[str, str]:
    """What servers charge at most, as text, for the parts of the teacher and the further models whose prices the
    settings name."""
    priced = [*sources.sampled(config), *sources.further(config)]
    counts = count_stages(config, checked) if checked.train and priced else []
    sampling = [one for one in counts if isinstance(one, SamplingCount)]
    costs = {source.part.key: sum(_server_cost(source, config, checked, one) for one in sampling) for source in priced}
    return {
        f"{key}'s server charges": f"{cost:,.2f} at most, at {_BYTES_PER_TOKEN} bytes a token of the prompts"
        for key, cost in costs.items()
        if cost
    }


def _server_cost(source: sources.SampledSource, config: Config, checked: Checked, count: SamplingCount) -> float:
    """All samples of all requests of a stage, each with its prompt and as many new tokens as it may have."""
    if source.part.key not in count.requests:
        return 0.0
    templates, asked = config.prompts.templates(), count.asked
    sets = {Split.TRAIN.value: checked.train, Split.VALIDATION.value: checked.validation, **checked.tests}
    questions = [problem.question for name in asked.problems for problem in sets[name]]
    few_shot = [one for one in config.strategy_records() if one.name in source.part.strategies]
    prompts = [
        teacher_prompt(templates, one, text) for one in few_shot if one.name in asked.requested for text in questions
    ]
    if source.part.key in config.models:
        prompts = [student_prompt(templates, text) for text in questions]
    prompt_tokens = sum(len(prompt.encode()) for prompt in prompts) / _BYTES_PER_TOKEN
    num_samples = count.how.num_samples
    return source.cost(prompt_tokens * num_samples, len(prompts) * count.how.max_new_tokens * num_samples)


def lines(costs: Mapping[str, StageCost], rates: Rates) -> dict[str, str]:
    """The costs as text, with their sum."""
    shown = {
        name: f"{cost.tokens / 1e6:,.1f} M tokens, {cost.seconds / _HOUR_S:.1f} h on {cost.gpus:g} GPU(s), "
        f"{cost.gpu_hours:.1f} GPU hours, {cost.gpu_hours * rates.gpu_hour_price:,.0f}"
        for name, cost in costs.items()
    }
    hours = sum(cost.seconds for cost in costs.values()) / _HOUR_S
    gpu_hours = sum(cost.gpu_hours for cost in costs.values())
    return shown | {"all": f"{hours:.1f} h, {gpu_hours:.1f} GPU hours, {gpu_hours * rates.gpu_hour_price:,.0f}"}


def _samples(how: SamplingPlan, acceptance: float) -> float:
    """Samples per request; what keeps more than one is counted as drawing all K."""
    return expected_samples(how.num_samples, how.ramp, keep_one=how.keep == 1, acceptance=acceptance)


def _sampling(tokens: float, tokens_per_s: float, engine: EngineSettings, start_s: float) -> StageCost:
    num_engines = engine.engine_bounds[1]
    return StageCost(
        tokens=tokens,
        seconds=start_s + tokens / (tokens_per_s * num_engines),
        gpus=num_engines * engine.gpus_per_engine,
    )
