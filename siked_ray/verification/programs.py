"""Runs the program of a completion: in the first tier, and in the second what the first lacks something for."""

import re
from dataclasses import replace

from siked_ray.core.verdict import Verdict
from siked_ray.verification.math_names import with_math_import
from siked_ray.verification.monty_runner import ASSUMED_NAMES, MontyRunner, NeedsSecondTier, SyntaxProblem
from siked_ray.verification.plain import Outcome
from siked_ray.verification.program_text import MAX_PROGRAM_CHARS, has_blocks, programs_in, without_unused_imports
from siked_ray.verification.sandbox.client import SandboxError, SandboxPool, SandboxTimeout
from siked_ray.verification.screening import refusal

_ALGEBRA_NAMES = {"sympy", "numpy", *ASSUMED_NAMES} - {"math", "statistics"}
#: Of the time limit, for the first tier: what takes longer runs again in the second, which is faster at loops and
#: counts processor time, so that a busy machine changes no verdict.
_FIRST_TIER_SHARE = 0.25
_NEEDS_ALGEBRA = re.compile(rf"\b(?:{'|'.join(sorted(_ALGEBRA_NAMES))})\b")


class ProgramRunner:
    """Programs in, outcomes out; `run` may be called from many threads at once."""

    def __init__(
        self,
        monty: MontyRunner,
        plain: SandboxPool,
        algebra: SandboxPool,
        *,
        timeout_s: float,
        algebra_timeout_s: float,
    ) -> None:
        """`plain` is the second tier for Python that monty lacks, `algebra` for what needs sympy or numpy."""
        self._monty = monty
        self._plain = plain
        self._algebra = algebra
        self._timeout_s = timeout_s
        self._algebra_timeout_s = algebra_timeout_s

    def run(self, completion: str) -> Outcome:
        """What the completion's program gives, in the first reading of it that runs to its end."""
        if len(completion) > MAX_PROGRAM_CHARS:
            return Outcome(verdict=Verdict.ERROR, reason=f"a program of {len(completion)} characters")
        completion = completion.encode("utf-8", "replace").decode()  # lone surrogates are no Python either
        completion = with_math_import(completion)
        outcome = Outcome(verdict=Verdict.UNPARSED, reason="no program found")
        for code in programs_in(completion):
            if not code.strip():
                continue
            try:
                outcome = self._run_code(code)
            except SyntaxProblem as problem:
                outcome = Outcome(verdict=Verdict.ERROR, reason=str(problem))
                continue
            if not (outcome.raised and has_blocks(completion)):
                return outcome
        return outcome

    def _run_code(self, code: str) -> Outcome:
        why = refusal(code)
        if why is not None:
            return Outcome(verdict=Verdict.ERROR, reason=f"refused: the program {why}")
        code = without_unused_imports(code)
        try:
            outcome = self._monty.run(code, share=_FIRST_TIER_SHARE)
        except NeedsSecondTier:
            return self._run_in_second_tier(code)
        if outcome.verdict is Verdict.TIMEOUT:
            outcome = self._run_longer(code)
        return outcome if outcome.reason else replace(outcome, reason="program")

    def _run_longer(self, code: str) -> Outcome:
        """A slow program in the second tier, or once more in the first if that refuses it (classes) or is not there."""
        outcome = self._run_in_second_tier(code)
        if outcome.verdict is not Verdict.ERROR:
            return outcome
        try:
            return self._monty.run(code)
        except NeedsSecondTier:
            return outcome

    def _run_in_second_tier(self, code: str) -> Outcome:
        if _NEEDS_ALGEBRA.search(code):
            sandbox, timeout_s = self._algebra, max(self._timeout_s, self._algebra_timeout_s)
        else:
            sandbox, timeout_s = self._plain, self._timeout_s
        try:
            reply = sandbox.run({"task": "program", "code": code}, timeout_s)
        except SandboxTimeout:
            return Outcome(verdict=Verdict.TIMEOUT, reason=f"no result within {timeout_s:g} s")
        except SandboxError as error:
            return Outcome(verdict=Verdict.ERROR, reason=str(error))
        answers = reply.get("answers")
        if isinstance(answers, list) and answers and all(isinstance(answer, str) for answer in answers):
            is_formula = reply.get("is_formula") is True
            return Outcome(answers=tuple(answers), reason="program (second tier)", is_formula=is_formula)
        verdict = reply.get("verdict")
        return Outcome(
            verdict=Verdict(verdict) if verdict in ("unparsed", "error") else Verdict.ERROR,
            reason=str(reply.get("reason", "no answer came back"))[:300],
            raised=reply.get("raised") is True,
        )

    def close(self) -> None:
        """Ends the first tier and the plain servers; those of `algebra` belong to whoever made them."""
        self._monty.close()
        self._plain.close()
