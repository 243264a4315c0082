"""Hours and cost of a run, out of its counts and of what the user knows of speed and prices."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from siked_ray.config import Config
from siked_ray.core.prompts import teacher_prompt
from siked_ray.driver.forecast import num_candidates, student_requests
from siked_ray.driver.placement import prompt_templates
from siked_ray.driver.preflight import Checked
from siked_ray.errors import ConfigError
from siked_ray.settings import EngineSettings, TeacherPart

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


def _evaluated_problems(config: Config, checked: Checked) -> int:
    """Problems of all evaluations together; test sets that wait for the end are for iteration 0 and the best one."""
    num_students = config.iterations.max + 1
    held_out = {problem.problem_id for problem in checked.validation}
    tests = {problem.problem_id for problems in checked.tests.values() for problem in problems}
    if config.evaluation.test_sets == "every_iteration":
        return len(held_out | tests) * num_students
    return len(held_out) * num_students + len(tests) * min(num_students, 2)


def estimate(config: Config, checked: Checked, rates: Rates) -> dict[str, StageCost]:
    """Cost by kind of stage, were no iteration left out; raises ConfigError when the problems are not known."""
    if not checked.train:
        raise ConfigError("--assume needs the problems, and data.train cannot be reached from here; give a local file.")
    generation, training = config.generation, config.training
    requests = student_requests(config, len(checked.train))
    sampled = requests * _samples(config, rates.student_acceptance) * rates.tokens_per_sample
    per_problem = _samples(config, rates.teacher_acceptance) * rates.tokens_per_sample
    from_teacher = {
        part.key: len(checked.train) * len(part.strategies) * per_problem
        for part in config.teacher_parts()
        if part.source.source == "vllm"
    }
    acceptance = max(rates.teacher_acceptance, rates.student_acceptance)
    rows = len(checked.train) * len(config.strategies) * (1 - (1 - acceptance) ** generation.num_samples)
    iterations = config.iterations.max
    trained_once = rows * rates.tokens_per_row * training.epochs
    steps = math.ceil(trained_once / (training.rows_per_step * training.max_seq_len))
    candidates = len(checked.validation) * num_candidates(config, steps) * (iterations + 1)
    completions = _evaluated_problems(config, checked) * (len(config.strategies) + 1) + candidates
    evaluated = completions * rates.tokens_per_sample
    trained = trained_once * (iterations + 1)
    start_s, student, teacher = rates.engine_start_s, config.engine, rates.teacher_tokens_per_s
    costs = {
        f"{key}'s sampling": _sampling(tokens, teacher, config.engine_of(key), start_s)
        for key, tokens in from_teacher.items()
    }
    return costs | {
        "student's sampling": _sampling(sampled * iterations, rates.student_tokens_per_s, student, 0.0),
        "evaluation": _sampling(evaluated, rates.student_tokens_per_s, student, start_s * (iterations + 1)),
        "training": StageCost(
            tokens=trained,
            seconds=trained / (rates.training_tokens_per_s * training.max_workers),
            gpus=training.max_workers * training.gpus_per_worker,
        ),
    }


def server_lines(config: Config, checked: Checked) -> dict[str, str]:
    """What servers charge at most, as text, for the parts of the teacher whose prices the settings name."""
    costs = {part.key: _server_cost(part, config, checked) for part in config.teacher_parts()}
    return {
        f"{key}'s server charges": f"{cost:,.2f} at most, at {_BYTES_PER_TOKEN} bytes a token of the prompts"
        for key, cost in costs.items()
        if cost
    }


def _server_cost(part: TeacherPart, config: Config, checked: Checked) -> float:
    """All K samples of all requests, each with its prompt and as many new tokens as it may have."""
    if part.source.source != "openai":
        return 0.0
    endpoint, generation, templates = part.source.endpoint, config.generation, prompt_templates(config)
    strategies = [one for one in config.strategy_records() if one.name in part.strategies]
    prompts = [teacher_prompt(templates, one, problem.question) for one in strategies for problem in checked.train]
    prompt_tokens = sum(len(prompt.encode()) for prompt in prompts) / _BYTES_PER_TOKEN
    prompt_cost = prompt_tokens * endpoint.price_per_million_prompt_tokens
    generated_cost = len(prompts) * generation.max_new_tokens * endpoint.price_per_million_generated_tokens
    return (prompt_cost + generated_cost) * generation.num_samples / 1e6


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


def _samples(config: Config, acceptance: float) -> float:
    """Samples per request; what keeps more than one is counted as drawing all K."""
    generation = config.generation
    return expected_samples(
        generation.num_samples, generation.ramp, keep_one=generation.keep == 1, acceptance=acceptance
    )


def _sampling(tokens: float, tokens_per_s: float, engine: EngineSettings, start_s: float) -> StageCost:
    num_engines = engine.engine_bounds[1]
    return StageCost(
        tokens=tokens,
        seconds=start_s + tokens / (tokens_per_s * num_engines),
        gpus=num_engines * engine.gpus_per_engine,
    )
