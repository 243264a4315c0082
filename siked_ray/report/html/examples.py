"""Examples that changed from wrong to right, side by side."""

from collections.abc import Mapping

from siked_ray.report.changes import Changes
from siked_ray.report.html.markup import Markup, element

_MAX_CHARS = 1200


def examples(changes: Changes) -> Markup:
    """What iteration 0 and the best student wrote, and the strategies that they chose."""
    return element("div", *(_example(example, changes.best) for example in changes.examples), class_="examples")


def _example(example: Mapping[str, str], best: int) -> Markup:
    return element(
        "article",
        element("p", example["question"], class_="question"),
        element("p", f"Answer: {example['answer']}", class_="note"),
        element("div", _completion(example, "before", 0), _completion(example, "after", best), class_="pair"),
    )


def _completion(example: Mapping[str, str], when: str, iteration: int) -> Markup:
    verdict, strategy, text = (example[f"{key}_{when}"] for key in ("verdict", "strategy", "completion"))
    return shortened_completion(f"iteration {iteration} · chose {strategy} · ", verdict, text)


def shortened_completion(whose: str, verdict: str, text: str) -> Markup:
    """A completion under whose it is and its verdict; the beginning of a long one."""
    mark = element("span", verdict, class_="good" if verdict == "correct" else "bad")
    cut = text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]} …"
    return element("div", element("p", whose, mark, class_="note"), element("pre", cut))
