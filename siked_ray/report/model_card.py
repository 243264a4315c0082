"""The model card of a student: what it can do, how to ask it, and where every part of it comes from."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from siked_ray.report.numbers import count, percent, percent_range, share
from siked_ray.report.tables import Cells
from siked_ray.report.view import View, interval, lookup, title_of

#: A name that can be one of the Hub's; anything else is a place on somebody's machine.
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PAPER = "https://arxiv.org/abs/2410.18574"


def model_card(summary: Mapping[str, Any], settings: Mapping[str, Any], iteration: int) -> str:
    """README.md of an iteration's student, out of the summary and the resolved settings of its run."""
    view = View(summary)
    parts = [_metadata(settings), *_introduction(settings, iteration), *_use(settings)]
    return "\n".join([*parts, *_accuracy(view, iteration), *_lineage(view, settings, iteration)]) + "\n"


def _metadata(settings: Mapping[str, Any]) -> str:
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["siked", "distillation", "mathematical-reasoning"],
    }
    base, data = settings["student"]["model"], settings["data"]["train"].partition(":")[0]
    if _is_on_hub(base):
        values["base_model"] = base
    if _is_on_hub(data):
        values["datasets"] = [data]
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---"


def _is_on_hub(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not Path(name).exists()


def _introduction(settings: Mapping[str, Any], iteration: int) -> Iterator[str]:
    yield f"# {_short(settings['student']['model'])}, distilled with SIKeD (iteration {iteration})\n"
    yield (
        f"A student that learned to choose among the strategies {', '.join(settings['strategies'])} and to solve "
        "mathematical problems with the one that it chose, by "
        f"[self-guided iterative knowledge distillation]({_PAPER}) with siked-ray.\n"
    )


def _use(settings: Mapping[str, Any]) -> Iterator[str]:
    yield "## Use\n"
    yield "The prompt, as it was trained on (put through the chat template where the tokenizer has one):\n"
    yield f"```\n{settings['prompts']['student']}\n```\n"
    tags = ", ".join(f"`[{name}]:`" for name in settings["strategies"])
    yield f"The answer begins with the chosen strategy: {tags}. To force one, end the prompt with its tag.\n"


def _accuracy(view: View, iteration: int) -> Iterator[str]:
    evaluation = view.entry(iteration).get("evaluation") or {}
    if not evaluation:
        return
    yield "## Accuracy\n"
    yield "Greedy. *Free* is the student's own choice of strategy, with a 95 % interval; the others are forced.\n"
    headings = ["set", "problems", "free", "interval", "oracle", *(f"{name} forced" for name in view.strategies)]
    yield from _table(
        headings,
        [
            [
                title_of(name),
                count(metrics["num_problems"]),
                percent(metrics["free"]),
                percent_range(interval(metrics)),
                percent(metrics["oracle"]),
                *(percent(lookup(metrics, "forced", strategy)) for strategy in view.strategies),
            ]
            for name, metrics in evaluation.items()
        ],
    )


def _lineage(view: View, settings: Mapping[str, Any], iteration: int) -> Iterator[str]:
    teacher = settings["teacher"]
    yield "## Lineage\n"
    yield f"* base student: `{settings['student']['model']}`"
    yield f"* teacher: `{teacher['model'] or teacher['path'] or teacher['source']}` ({teacher['source']})"
    yield f"* problems: `{settings['data']['train']}`, seed {settings['seed']}"
    yield f"* run: `{view.summary['run']}`, settings sha256 `{view.summary['config_sha256']}`"
    origin = view.summary.get("start_from")
    if origin:
        yield f"* branched from `{origin['from']}` (settings sha256 `{origin['config_sha256']}`)"
    made = ", ".join(f"{name} {version}" for name, version in view.summary["versions"].items())
    yield f"* made with {made}\n"
    start = "the student before it" if settings["iterations"]["start"] == "previous" else "the base student"
    yield f"Each iteration from 1 on started from {start}. Rows are verified rationales.\n"
    yield from _table(
        ["iteration", "policy", "teacher rows", "own rows", "α", "rows' sha256", "steps"],
        [
            [
                str(entry["iteration"]),
                entry["mixture"]["policy"],
                count(entry["mixture"]["teacher_rows"]),
                count(entry["mixture"]["student_rows"]),
                share(entry["mixture"]["alpha"]),
                f"`{entry['mixture']['sha256'][:16]}`",
                count(lookup(entry, "training", "steps")),
            ]
            for entry in view.iterations
            if entry["iteration"] <= iteration and entry.get("mixture")
        ],
    )


def _table(headings: Cells, rows: Sequence[Cells]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2].replace("world:", "world ")
