"""The report's tables of mixtures, stages and costs: the figures of the plots, to read and to copy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siked_ray.report.contamination_words import compared
from siked_ray.report.numbers import NOTHING, count, decimals, duration, percent, probability, rate, share
from siked_ray.report.view import View, lookup, number

Cells = Sequence[str]
#: What a correct sample that is not sound lacks, by its key in the summary.
_FAULTS = {
    "false_step": "a false step",
    "not_reached": "answer not reached",
    "no_question_number": "no number of the question",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryTable:
    """Rows of text with their headings; all but the first `num_text_columns` are figures. Rows whose first cell is
    `best` are set apart."""

    title: str
    headings: Cells
    rows: Sequence[Cells]
    best: int | None = None
    num_text_columns: int = 1


def claims(view: View) -> SummaryTable:
    """What a paired test says of the recipe's question, and of what a loop gained over its twin."""
    rows = [[one["sentence"], f"{probability(one['p_value'])} ({one.get('test', 'McNemar')})"] for one in view.claims]
    return SummaryTable(title="Claims", headings=["by a paired test on the same problems", "p"], rows=rows)


def mixtures(view: View) -> SummaryTable:
    """What each iteration trained on."""
    headings = ["iteration", "policy", "rows", "teacher", "student", "α", "KL"]
    headings += [f"{name} (α)" for name in view.strategies]
    corrects = any("wrong" in mixture for _, mixture, _ in _with(view, "mixture"))
    headings += ["corrected", "KL with them"] if corrects else []
    rows = []
    for iteration, mixture, entry in _with(view, "mixture"):
        by_strategy = mixture.get("by_strategy") or {}
        rows.append(
            [
                iteration,
                mixture["policy"],
                *(count(mixture[key]) for key in ("rows", "teacher_rows", "student_rows")),
                share(mixture["alpha"]),
                decimals(number(entry, "kl_mixture_student")),
                *(_rows_and_alpha(by_strategy.get(name)) for name in view.strategies),
                *(_corrected(mixture) if corrects else ()),
                str(mixture.get("sha256", NOTHING))[:12],
            ]
        )
    return SummaryTable(title="Mixtures", headings=[*headings, "sha256"], rows=rows, num_text_columns=2)


def _corrected(mixture: Mapping[str, Any]) -> Cells:
    return [count(number(mixture, "wrong", "rows")), decimals(number(mixture, "wrong", "kl_with_wrong"))]


def decisions(view: View) -> SummaryTable:
    """Why each mixture is what it is, where there are mixtures, and what was decided after it."""
    headings = {"mixture": "mixture", "decision": "afterwards"} if view.has_mixtures else {"decision": "decision"}
    rows = [
        [str(entry["iteration"]), *(str(lookup(entry, key, "reason") or NOTHING) for key in headings)]
        for entry in view.iterations
    ]
    return SummaryTable(
        title="Decisions", headings=["iteration", *headings.values()], rows=rows, num_text_columns=1 + len(headings)
    )


def _rows_and_alpha(counts: Mapping[str, Any] | None) -> str:
    return f"{count(number(counts, 'rows'))} ({share(number(counts, 'alpha'))})"


def sampling(view: View) -> SummaryTable:
    """Samples, what was accepted, and what an accepted rationale cost."""
    headings = ["iteration", "sampled", "engine", "requests", "samples", "accepted", "share"]
    headings += ["tokens", "time", "tokens/s", "samples each", "tokens each", "seconds each"]
    rows = []
    for iteration, generation, entry in _with(view, "generation"):
        accepted = generation["accepted"]
        rows.append(
            [
                iteration,
                view.sampled(entry),
                generation["engine"] or NOTHING,
                *(count(generation[key]) for key in ("requests", "samples", "accepted")),
                percent(rate(accepted, generation["requests"])),
                *_cost(generation["generated_tokens"], generation["seconds"]),
                decimals(rate(generation["samples"], accepted)),
                decimals(rate(generation["generated_tokens"], accepted)),
                decimals(rate(generation["seconds"], accepted)),
            ]
        )
    title = "Sampling, and the cost of each accepted rationale"
    return SummaryTable(title=title, headings=headings, rows=rows, num_text_columns=3)


def verdicts(view: View) -> SummaryTable:
    """Accepted requests by strategy and samples by verdict."""
    sampled = list(_with(view, "generation"))
    names = list(dict.fromkeys(name for _, generation, _ in sampled for name in generation.get("verdicts") or {}))
    headings = [f"{name} accepted" for name in view.strategies]
    headings += [f"samples: {name}" if index == 0 else name for index, name in enumerate(names)]
    rows = [
        [
            iteration,
            *(count(number(generation, "accepted_by_strategy", name)) for name in view.strategies),
            *(count(number(generation, "verdicts", name)) for name in names),
        ]
        for iteration, generation, _ in sampled
    ]
    return SummaryTable(title="Verdicts", headings=["iteration", *headings], rows=rows)


def soundness(view: View) -> SummaryTable:
    """Of the correct samples, how many follow from what they state."""
    rows = [
        [
            iteration,
            strategy,
            *(count(counts[key]) for key in ("correct", "sound")),
            *(percent(rate(counts[key], counts["correct"])) for key in ("sound", *_FAULTS)),
        ]
        for iteration, generation, _ in _with(view, "generation")
        for strategy, counts in (generation.get("soundness") or {}).items()
    ]
    headings = ["iteration", "strategy", "correct samples", "sound", "share", *_FAULTS.values()]
    return SummaryTable(title="Reasoning of correct samples", headings=headings, rows=rows, num_text_columns=2)


def training(view: View) -> SummaryTable:
    """Steps, loss and cost of each training stage."""
    headings = ["iteration", "backend", "ZeRO", "workers", "steps", "first loss", "last loss", "rows left out"]
    rows = [
        [
            iteration,
            stage["backend"],
            str(stage["zero_stage"]),
            *(count(stage[key]) for key in ("num_workers", "steps")),
            *(decimals(stage[key]) for key in ("first_loss", "last_loss")),
            count(number(stage, "skipped")),
            *_cost(stage["tokens"], stage["seconds"]),
        ]
        for iteration, stage, _ in _with(view, "training")
    ]
    return SummaryTable(
        title="Training", headings=[*headings, "tokens", "time", "tokens/s"], rows=rows, num_text_columns=2
    )


def _cost(tokens: float, seconds: float) -> Cells:
    return [count(tokens), duration(seconds), count(rate(tokens, seconds))]


def contamination(view: View) -> SummaryTable:
    """What test sets have of the problems that were to be learnt from or to select."""
    record = view.summary["contamination"]
    happened = "removed" if record["removed"] else "left in"
    rows = [
        [
            name,
            happened if one["example"] else "none found",
            one["example"]["question"] if one["example"] else NOTHING,
            *(count(one[key]) for key in ("problems", "equal", "alike", "held_out")),
        ]
        for name, one in record["test_sets"].items()
    ]
    headings = ["test set", "what happened", "such as", "test problems", "by their words", "by 8-grams", "held out"]
    title = f"Compared: {compared(record)}"
    return SummaryTable(title=title, headings=headings, rows=rows, num_text_columns=3)


def stages(view: View) -> SummaryTable:
    """Committed stages in their order."""
    rows = [[stage["name"], duration(stage["seconds"]), _where(stage)] for stage in view.stages]
    total = sum(stage["seconds"] for stage in view.stages)
    headings = ["stage", "time", "by the last process"]
    return SummaryTable(title="Stages", headings=headings, rows=[*rows, ["total", duration(total), ""]])


def _where(stage: Mapping[str, Any]) -> str:
    if stage.get("branched"):
        return "by the run that this one branched from"
    return "resumed" if stage["resumed"] else "run"


def versions(view: View) -> SummaryTable:
    """Packages that made the run."""
    rows = [[*pair] for pair in (view.summary.get("versions") or {}).items()]
    return SummaryTable(title="Versions", headings=["package", "version"], rows=rows)


def _with(view: View, section: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Iteration, section and whole entry of the iterations that have the section."""
    for entry in view.iterations:
        if entry.get(section):
            yield str(entry["iteration"]), entry[section], entry
