"""What a run learns from, selects by and shows its models is compared with its test sets, before anything starts.

What counts is defined in `data/contamination.py`; `data.contamination` says what follows. Problems that a run has
stored are settled: what is found of them is said and no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.contamination import Likeness, Match, QuestionIndex
from siked_ray.data.golds import ExclusionReason
from siked_ray.data.problems import Exclusion, ProblemSet, excluded_as
from siked_ray.data.question_words import words_of
from siked_ray.errors import ConfigError, DataError
from siked_ray.report.contamination_words import by_rule, found_in, quoted
from siked_ray.settings.data import OnContamination
from siked_ray.sources import sampled

_REASONS = {Likeness.EQUAL: ExclusionReason.IN_TEST_SET, Likeness.ALIKE: ExclusionReason.LIKE_TEST_SET}

TestSets = Mapping[str, Sequence[Problem]]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What is left out, what there is to say, and what the run keeps of it: None where nothing can be compared."""

    excluded: Sequence[Exclusion] = ()
    notes: Sequence[str] = ()
    record: Mapping[str, Any] | None = None

    def passed(self, problems: ProblemSet) -> ProblemSet:
        """The problems of a set that are not left out."""
        left_out = {(one.dataset, one.question) for one in self.excluded}
        kept = tuple(one for one in problems if (one.dataset, one.question) not in left_out)
        return replace(problems, problems=kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Overlap:
    """A problem that is learnt from, or held out, and the test question that it is."""

    problem: Problem
    is_held_out: bool
    match: Match


def pass_gate(
    config: Config, train: Sequence[Problem], validation: Sequence[Problem], tests: TestSets, *, is_settled: bool
) -> Gate:
    """Compare problems and prompts with the test sets. `is_settled`: the problems are as a run has stored them.

    Raises DataError for problems that `data.contamination: refuse` does not let pass, and ConfigError for a prompt with
    a test question, which is not removed: it is a text that somebody wrote, and all rationales depend on it.
    """
    if not tests:
        return Gate()
    index = QuestionIndex({name: (one.question for one in problems) for name, problems in tests.items()})
    learnt = [*train, *validation]
    overlaps = [
        _Overlap(problem=learnt[match.index], is_held_out=match.index >= len(train), match=match)
        for match in index.matches(problem.question for problem in learnt)
    ]
    texts = list(_prompt_texts(config))
    in_prompts = {texts[match.index][0]: match for match in index.matches(text for _, text in texts)}
    policy = OnContamination.ALLOW if is_settled else config.data.contamination
    excluded = list(_excluded(overlaps)) if policy is OnContamination.REMOVE else []
    record = {
        "setting": config.data.contamination.value,
        "training_problems": len(train),
        "held_out_problems": len(validation),
        "prompt_texts": len(texts),
        "removed": len(excluded),
        "left": 0 if excluded else len({one.problem.problem_id for one in overlaps}),
        "prompts": list(in_prompts),
        "test_sets": {name: _found(overlaps, name) | {"problems": len(tests[name])} for name in tests},
    }
    _check_passes(policy, record, in_prompts)
    removed = f"{found_in(record)}; they are left out, and problems/excluded.parquet lists them."
    notes = [removed] if excluded else [*_still_there(overlaps, tests)]
    notes += [f"{key} shows a problem of the test set {match.test_set}." for key, match in in_prompts.items()]
    return Gate(excluded=excluded, notes=notes, record=record)


def _check_passes(policy: OnContamination, record: Mapping[str, Any], in_prompts: Mapping[str, Match]) -> None:
    """Raises DataError or ConfigError for what the policy does not let pass."""
    if policy is OnContamination.REFUSE and record["left"]:
        raise DataError(
            f"data.contamination is refuse, and {found_in(record)}, where accuracy would say nothing about new "
            "problems. Take them out of data.train or data.test, or set data.contamination to remove or allow."
        )
    if policy is not OnContamination.ALLOW and in_prompts:
        key, match = next(iter(in_prompts.items()))
        raise ConfigError(
            f"{key} shows a problem of the test set {match.test_set}, {quoted(match.test_question)}, so models would "
            "be measured by what they are told; write another one in the prompts, or set data.contamination to allow."
        )


def _prompt_texts(config: Config) -> Iterator[tuple[str, str]]:
    """(setting, text) of what models see beside the problem: templates, instructions, questions of demonstrations."""
    prompts, asked = config.prompts, {name for source in sampled(config) for name in source.part.strategies}
    yield "prompts.student", prompts.student
    if asked:
        yield "prompts.teacher", prompts.teacher
    for name in sorted(asked):
        yield f"prompts.strategies.{name}.instruction", prompts.strategies[name].instruction
        for example in prompts.strategies[name].demonstrations:
            yield f"prompts.strategies.{name}.demonstrations", example.question


def _excluded(overlaps: Sequence[_Overlap]) -> Iterator[Exclusion]:
    """Each problem once, with the first test set that has it."""
    first: dict[str, _Overlap] = {}
    for one in overlaps:
        first.setdefault(one.problem.problem_id, one)
    for one in first.values():
        exclusion = excluded_as(one.problem, _REASONS[one.match.likeness])
        yield replace(exclusion, test_set=one.match.test_set, test_question=one.match.test_question)


def _found(overlaps: Sequence[_Overlap], test_set: str) -> dict[str, Any]:
    """How many problems are in a test set, by rule, how many of those are held out, and one of them."""
    own = [one for one in overlaps if one.match.test_set == test_set]
    counts = {likeness.value: sum(one.match.likeness is likeness for one in own) for likeness in Likeness}
    first = min(own, key=lambda one: (-one.match.share, one.problem.question), default=None)
    example = first and {"question": first.problem.question, "test_question": first.match.test_question}
    return counts | {"held_out": sum(one.is_held_out for one in own), "example": example}


def _still_there(overlaps: Sequence[_Overlap], tests: TestSets) -> Iterator[str]:
    """A sentence for each test set with questions of the training problems, and for each with held-out ones."""
    consequences = {
        False: "are training problems too; its accuracy says nothing about new problems",
        True: "are in the held-out split, which selects the student; its accuracy is too favourable",
    }
    for is_held_out, consequence in consequences.items():
        for name, problems in tests.items():
            own = [one.match for one in overlaps if (one.match.test_set, one.is_held_out) == (name, is_held_out)]
            known = {tuple(words_of(match.test_question)) for match in own}
            if known:
                number = sum(tuple(words_of(problem.question)) in known for problem in problems)
                rules = by_rule({one: sum(match.likeness == one for match in own) for one in Likeness})
                yield f"{number} of the {len(problems)} problems of the test set {name} {consequence} ({rules})."
