"""The verifier: a completion and a gold in, a judgement out; it never raises for what a completion says."""

from collections.abc import Callable, Sequence
from types import TracebackType

from siked_ray.core.strategy import AnswerKind, Strategy, split_tag
from siked_ray.core.thoughts import has_thoughts, separate_thoughts
from siked_ray.core.verdict import Judgement, Verdict
from siked_ray.errors import ConfigError, VerificationError
from siked_ray.verification.calculation import NoCalculation, shown, value_of
from siked_ray.verification.choices import choice_in
from siked_ray.verification.equivalence import (
    Comparison,
    Layer,
    choice_of,
    compare_symbolically,
    compare_without_symbols,
)
from siked_ray.verification.extraction import DEFAULT_MARKERS, Extraction, extract_answer, extract_choice
from siked_ray.verification.monty_runner import MontyRunner
from siked_ray.verification.plain import Outcome
from siked_ray.verification.programs import ProgramRunner
from siked_ray.verification.quantity import read_value
from siked_ray.verification.sandbox.client import SandboxPool
from siked_ray.verification.values import Listing

_MAX_PREDICTED_CHARS = 500
#: Least-to-most poses its questions to itself.
_ASKS_ITSELF = frozenset({"l2m"})
#: What data sets have where there is no gold; `None of these` is an answer.
_MISSING_GOLDS = frozenset({"none", "null", "n/a", "na", "nan", "inf", "+inf", "-inf"})

#: Compares a predicted answer with the gold; None where it cannot tell.
Compare = Callable[[str, str], Comparison | None]


class Verifier:
    """Judges completions; one for a process, shared by its threads. Closing it ends its worker processes.

    `program_timeout_s` and `program_memory_mb` bound one program, `symbolic_timeout_s` one symbolic comparison,
    and one program that needs sympy or numpy; `num_workers` is how many programs (and how many sympy tasks) run
    at once: with two, one that loops to its deadline delays no other. Processes start when first needed. Time in
    the second tier and in symbolic comparisons is processor time.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        *,
        program_timeout_s: float = 1.0,
        program_memory_mb: int = 64,
        symbolic_timeout_s: float = 5.0,
        num_workers: int = 2,
    ) -> None:
        _require_positive(
            program_timeout_s=program_timeout_s,
            program_memory_mb=program_memory_mb,
            symbolic_timeout_s=symbolic_timeout_s,
            num_workers=num_workers,
        )
        self._strategies = {strategy.name: strategy for strategy in strategies}
        self._symbolic_timeout_s = symbolic_timeout_s
        self._algebra = SandboxPool(algebra=True, num_workers=num_workers, memory_mb=program_memory_mb)
        self._programs = ProgramRunner(
            MontyRunner(timeout_s=program_timeout_s, memory_mb=program_memory_mb, num_workers=num_workers),
            SandboxPool(algebra=False, num_workers=num_workers, memory_mb=program_memory_mb),
            self._algebra,
            timeout_s=program_timeout_s,
            algebra_timeout_s=symbolic_timeout_s,
        )

    def judge(self, strategy: str, completion: str, answer: str, *, truncated: bool = False) -> Judgement:
        """The verdict on one completion of the named strategy, given the gold `answer`.

        `truncated`: generation stopped at its token limit, so an answer at the very end may be cut.
        """
        judgement = self._judge(strategy, completion, answer, truncated, self._compare)
        assert judgement is not None, "nothing is left open with all layers"
        return judgement

    def judge_at_once(self, strategy: str, completion: str, answer: str) -> Judgement | None:
        """The same without waiting for any other process; None where one is needed: programs, symbolic mathematics."""
        known = self._strategies.get(strategy)
        if known is not None and known.kind is AnswerKind.PROGRAM:
            return None
        return self._judge(strategy, completion, answer, False, compare_without_symbols)

    def _judge(
        self, strategy: str, completion: str, answer: str, truncated: bool, compare: Compare
    ) -> Judgement | None:
        known = self._strategies.get(strategy)
        if known is None:
            return Judgement(verdict=Verdict.ERROR, predicted=None, reason=f"unknown strategy {strategy!r}"[:200])
        if has_thoughts(completion):
            separated = separate_thoughts(completion)
            if separated.is_unclosed:
                return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason="the thoughts have no end")
            completion = separated.answer
        tag, rationale = split_tag(completion)
        completion = rationale if tag == strategy else completion
        answer = answer.rpartition("####")[2]  # GSM8K keeps its gold at the end of a rationale
        if not answer.strip():
            return Judgement(verdict=Verdict.ERROR, predicted=None, reason="the gold answer is empty")
        if answer.strip().lower() in _MISSING_GOLDS:
            reason = f"the gold answer is missing ({answer.strip()!r})"
            return Judgement(verdict=Verdict.ERROR, predicted=None, reason=reason)
        try:
            if known.kind is AnswerKind.PROGRAM:
                return self._judge_program(completion, answer)
            if known.kind is AnswerKind.EQUATION:
                return _judge_equation(completion, answer)
            return _judge_text(known, completion, answer, truncated, compare)
        except VerificationError:
            raise
        except Exception as error:
            reason = f"the verifier failed: {type(error).__name__}: {error}"[:300]
            return Judgement(verdict=Verdict.ERROR, predicted=None, reason=reason)

    def _judge_program(self, completion: str, answer: str) -> Judgement:
        outcome = self._programs.run(completion)
        if outcome.verdict is not None:
            return Judgement(verdict=outcome.verdict, predicted=None, reason=outcome.reason)
        predicted = ", ".join(outcome.answers)[:_MAX_PREDICTED_CHARS]
        if len(outcome.answers) > 1 and not isinstance(read_value(answer), Listing):
            reason = f"several values ({len(outcome.answers)})"
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=reason)
        if outcome.is_formula and read_value(answer) is not None:
            reason = f"{outcome.reason}; {predicted[:60]} is no number"
            return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=reason)
        return _program_judgement(predicted, self._compare_result(predicted, answer), outcome, answer)

    def _compare_result(self, predicted: str, answer: str) -> Comparison:
        if choice := choice_of(answer):
            return Comparison(equal=choice_in(predicted) == choice, layer=Layer.EXACT)
        return self._compare(predicted, answer)

    def _compare(self, predicted: str, gold: str) -> Comparison:
        comparison = compare_without_symbols(predicted, gold)
        if comparison is not None:
            return comparison
        return compare_symbolically(predicted, gold, self._algebra, self._symbolic_timeout_s)

    def close(self) -> None:
        """Ends all worker processes. Judging after that is an error for what needs them."""
        self._programs.close()
        self._algebra.close()

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _judge_equation(completion: str, answer: str) -> Judgement:
    try:
        value = shown(value_of(completion))
    except NoCalculation as error:
        return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=f"cannot be checked: {error}"[:300])
    found = compare_without_symbols(value, answer)
    if found is None or not found.equal:
        return Judgement(verdict=Verdict.WRONG, predicted=value[:_MAX_PREDICTED_CHARS], reason="equation; not equal")
    return Judgement(verdict=Verdict.CORRECT, predicted=value, reason=f"equation; {found.layer}")


def _judge_text(
    strategy: Strategy, completion: str, answer: str, truncated: bool, compare: Compare
) -> Judgement | None:
    """None when `compare` leaves it open."""
    markers, asks_itself = strategy.answer_markers or DEFAULT_MARKERS, strategy.name in _ASKS_ITSELF
    if gold := choice_of(answer):
        letter = extract_choice(completion, markers, truncated=truncated, asks_itself=asks_itself)
        if letter:
            comparison = Comparison(equal=letter == gold, layer=Layer.EXACT)
            return _text_judgement(Extraction(letter, "option", choice=letter), comparison, answer)
    extraction = extract_answer(completion, markers, truncated=truncated, asks_itself=asks_itself)
    if extraction.answer is None:
        return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=extraction.rule)
    found = compare(extraction.answer, answer)
    if found is None:
        return None
    if not found.equal and extraction.region:
        whole = compare_without_symbols(extraction.region, answer)
        found = whole if whole is not None and whole.equal else found
    return _text_judgement(extraction, found, answer)


def _text_judgement(extraction: Extraction, comparison: Comparison, answer: str) -> Judgement:
    predicted = (extraction.answer or "")[:_MAX_PREDICTED_CHARS]
    if comparison.timed_out:
        return Judgement(
            verdict=Verdict.TIMEOUT, predicted=predicted, reason=f"{extraction.rule}; comparing took too long"
        )
    if comparison.equal:
        reason = f"{extraction.rule}; {comparison.layer}"
        return Judgement(verdict=Verdict.CORRECT, predicted=predicted, reason=reason)
    if read_value(answer) is not None and not any(char.isdigit() or char == "\\" for char in predicted):
        return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=f"{extraction.rule}; no number in it")
    reason = f"{extraction.rule}; not equal ({comparison.layer})" + (
        f"; {comparison.error}" if comparison.error else ""
    )
    return Judgement(verdict=Verdict.WRONG, predicted=predicted, reason=reason)


def _program_judgement(predicted: str, comparison: Comparison, outcome: Outcome, answer: str) -> Judgement:
    if comparison.timed_out:
        reason = f"{outcome.reason}; comparing took too long"
        return Judgement(verdict=Verdict.TIMEOUT, predicted=predicted, reason=reason)
    if comparison.equal:
        return Judgement(verdict=Verdict.CORRECT, predicted=predicted, reason=f"{outcome.reason}; {comparison.layer}")
    if read_value(answer) is not None and read_value(predicted) is None:
        return Judgement(verdict=Verdict.UNPARSED, predicted=None, reason=f"{outcome.reason}; the result is no number")
    return Judgement(verdict=Verdict.WRONG, predicted=predicted, reason=f"{outcome.reason}; not equal")


def _require_positive(**settings: float) -> None:
    for name, value in settings.items():
        if value <= 0:
            raise ConfigError(f"{name} is {value}, but must be positive")
