"""math-verify as the last layer of equivalence. Its own timeouts use signals and are off: the server kills."""

import re
from typing import Any

from siked_ray.verification.normalise import without_unit

_ROOT = re.compile(r"\bsqrt\(([^()]*)\)")
_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")


def same(predicted: str, gold: str) -> bool:
    """Whether math-verify takes either text for the other one (it is not symmetric by itself)."""
    from math_verify import verify

    left, right = _parsed(predicted), _parsed(gold)
    if not left or not right:
        return False
    return bool(verify(right, left, timeout_seconds=None) or verify(left, right, timeout_seconds=None))


def _parsed(text: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    text = as_latex(text)
    written = text if "$" in text or "\\boxed" in text else f"${text}$"
    return parse(
        written,
        extraction_config=(LatexExtractionConfig(), ExprExtractionConfig()),
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )


def as_latex(text: str) -> str:
    """A formula in the spelling that math-verify reads: no unit at its end, and LaTeX for what Python prints."""
    text = without_unit(text).replace("\\dbinom", "\\binom").replace("\\tbinom", "\\binom")
    if "\\" in text:
        return text
    text = _PI.sub(r"\\pi ", _ROOT.sub(r"\\sqrt{\1}", text.replace("**", "^")))
    return text.replace("*", r" \cdot ") if "\\" in text else text


def warm_up() -> None:
    """Loads the grammar and fills caches, so that a child neither opens files nor waits for it."""
    import logging

    logging.disable(logging.CRITICAL)
    for left, right in (
        (r"\frac{\sqrt{2}}{2}", "1/sqrt(2)"),
        (r"\{1, 2\}", r"\{2, 1\}"),
        ("x^2 + 1", "1 + x^2"),
        ("(1, 2)", "(1, 2)"),
        (r"[0, \infty)", r"x \geq 0"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("20*5", "100"),
        (r"2\pi", "6.283185307179586"),
        ("50%", "0.5"),
    ):
        same(left, right)
