"""math-verify as the last layer of equivalence. Its own timeouts use signals and are off: the server kills."""

from typing import Any


def same(predicted: str, gold: str) -> bool:
    """Whether math-verify takes either text for the other one (it is not symmetric by itself)."""
    from math_verify import verify

    left, right = _parsed(predicted), _parsed(gold)
    if not left or not right:
        return False
    return bool(verify(right, left, timeout_seconds=None) or verify(left, right, timeout_seconds=None))


def _parsed(text: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    written = text if "$" in text or "\\boxed" in text else f"${text}$"
    return parse(
        written,
        extraction_config=(LatexExtractionConfig(), ExprExtractionConfig()),
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )


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
