"""The model card of a student: what it can do, how to ask it, and where every part of it comes from."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from siked_ray.data.gguf.gguf_location import repository_of
from siked_ray.report import sample_columns
from siked_ray.report.contamination_words import card_lines
from siked_ray.report.numbers import count, percent, percent_range, share
from siked_ray.report.summary_tables import Cells
from siked_ray.report.view import View, interval, lookup, title_of

#: A name that can be one of the Hub's; anything else is a place on somebody's machine.
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PAPER = "https://arxiv.org/abs/2410.18574"


def model_card(summary: Mapping[str, Any], settings: Mapping[str, Any], iteration: int) -> str:
    """README.md of an iteration's student, out of the summary and the resolved settings of its run."""
    view = View(summary)
    parts = [_metadata(settings, view), *_introduction(settings, view, iteration), *_use(settings)]
    return "\n".join([*parts, *_accuracy(view, iteration), *_lineage(view, settings, iteration)]) + "\n"


def _metadata(settings: Mapping[str, Any], view: View) -> str:
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": [view.recipe, *(["distillation"] if settings["teacher"] else []), "mathematical-reasoning"],
    }
    base, data = settings["student"]["model"], [name.partition(":")[0] for name in _names(settings["data"]["train"])]
    repository = repository_of(base) or base
    if _is_on_hub(repository):
        values["base_model"] = repository
    on_hub = [name for name in data if _is_on_hub(name)]
    if on_hub:
        values["datasets"] = on_hub
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---"


def _is_on_hub(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and not Path(name).exists()


def _introduction(settings: Mapping[str, Any], view: View, iteration: int) -> Iterator[str]:
    base, strategies = _short(settings["student"]["model"]), ", ".join(settings["strategies"])
    if not view.is_sikeds:
        yield f"# {base}, trained by the recipe {view.recipe} (iteration {iteration})\n"
        yield f"Made with siked-ray, on problems that are solved with the strategies {strategies}.\n"
        return
    yield f"# {base}, distilled with SIKeD (iteration {iteration})\n"
    yield (
        f"A student that learned to choose among the strategies {strategies} and to solve "
        "mathematical problems with the one that it chose, by "
        f"[self-guided iterative knowledge distillation]({_PAPER}) with siked-ray.\n"
    )


def _use(settings: Mapping[str, Any]) -> Iterator[str]:
    yield "## Use\n"
    yield "The prompt, as it was trained on (put through the chat template where the tokenizer has one):\n"
    yield f"```\n{settings['prompts']['student']}\n```\n"
    for name, one in settings["prompts"].get("strategies", {}).items():
        if name in settings["strategies"] and one.get("student"):
            yield f"Asked for {name}:\n"
            yield f"```\n{one['student']}\n```\n"
    system = settings["student"].get("system_prompt")
    if system:
        yield f"The system message before it:\n\n```\n{system}\n```\n"
    if arguments := settings["student"].get("template_args"):
        yield f"Arguments of the chat template: `{json.dumps(arguments)}`\n"
    tags = ", ".join(f"`[{name}]:`" for name in settings["strategies"])
    yield f"The answer begins with the chosen strategy: {tags}. To force one, end the prompt with its tag.\n"
    modelfile = [
        "FROM ./student.gguf",
        "PARAMETER temperature 0",
        *([f"SYSTEM {json.dumps(system)}"] if system else []),
    ]
    yield (
        "In llama.cpp and Ollama (Llama and Qwen2): `siked export RUN -o student.gguf`, then `llama-server "
        "-m student.gguf --jinja --temp 0`; or `ollama create student -f Modelfile`, with a Modelfile of the lines "
        f"{', '.join(f'`{line}`' for line in modelfile)}.\n"
    )


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
    yield from _samples({name: one["samples"] for name, one in evaluation.items() if one.get("samples")})
    if view.control:
        yield f"{view.control['sentence']}.\n"


def _samples(samples: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not samples:
        return
    first = next(iter(samples.values()))
    ks = sample_columns.reported_ks(samples.values())
    yield (
        f"{first['num_samples']} free samples of each problem (T {first['temperature']:g}, top_p {first['top_p']:g}): "
        "their mean accuracy, pass@k, and the majority of k.\n"
    )
    yield from _table(
        ["set", "mean", *sample_columns.headings(ks)],
        [
            [title_of(name), percent(figures["average"]), *sample_columns.cells(figures, ks)]
            for name, figures in samples.items()
        ],
    )


def _lineage(view: View, settings: Mapping[str, Any], iteration: int) -> Iterator[str]:
    yield "## Lineage\n"
    yield f"* base student: `{settings['student']['model']}`"
    if teacher := settings["teacher"]:
        yield f"* teacher: `{teacher['model'] or _shown(teacher['path']) or teacher['source']}` ({teacher['source']})"
    yield f"* problems: `{_shown(settings['data']['train'])}`, seed {settings['seed']}"
    if record := view.summary.get("contamination"):
        yield from (f"* {line}" for line in card_lines(record))
    yield f"* run: `{view.summary['run']}`, settings sha256 `{view.summary['config_sha256']}`"
    origin = view.summary.get("start_from")
    if origin:
        yield f"* branched from `{origin['from']}` (settings sha256 `{origin['config_sha256']}`)"
    made = ", ".join(f"{name} {version}" for name, version in view.summary["versions"].items())
    yield f"* made with {made}\n"
    if not view.has_mixtures and not view.is_sikeds:
        return
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


def _names(value: str | Sequence[str] | None) -> Sequence[str]:
    """One name, several, or none, as settings have them."""
    return [value] if isinstance(value, str) else value or []


def _shown(value: str | Sequence[str] | None) -> str:
    return " + ".join(_names(value))


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2].replace("world:", "world ")
