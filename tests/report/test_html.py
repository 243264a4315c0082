"""report.html: well-formed, complete, escaped, and there for a run in any state."""

import copy
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from siked_ray.core.stage import Kind, StageId
from siked_ray.report.html.markup import Markup, element
from siked_ray.report.html.page import render
from siked_ray.report.html.svg import Series, ticks
from siked_ray.report.html.svg_lines import line_chart, spread_out
from siked_ray.report.numbers import decimals, duration, points, short_count, wilson_interval

CONFIG = "teacher: {source: vllm, model: big/teacher}\nstudent: {model: small/student}\ndata: {train: some/problems}\n"


def counts(rows: int, teacher_rows: int) -> dict[str, Any]:
    alpha = teacher_rows / rows if rows else None
    return {"rows": rows, "teacher_rows": teacher_rows, "student_rows": rows - teacher_rows, "alpha": alpha}


def dataset(free: float, *, num_problems: int = 400) -> dict[str, Any]:
    return {
        "num_problems": num_problems,
        "free": free,
        "oracle": free + 0.111,
        "forced": {"cot": free - 0.052, "pot": free + 0.013},
        "strategy_histogram": {"cot": 0.312, "pot": 0.683, "none": 0.005},
    }


def iteration(number: int, free: float) -> dict[str, Any]:
    return {
        "iteration": number,
        "generation": {
            "engine": "vllm 0.32.0",
            "requests": 2000,
            "samples": 5432,
            "accepted": 1234 + number,
            "accepted_by_strategy": {"cot": 601, "pot": 633},
            "verdicts": {"correct": 1301, "wrong": 4131},
            "generated_tokens": 765_432,
            "seconds": 125.0,
        },
        "mixture": {
            "policy": "adaptive",
            **counts(1600, 1600 - 400 * number),
            "sha256": "0123456789abcdef" * 4,
            "by_strategy": {"cot": counts(800, 800 - 300 * number), "pot": counts(800, 800 - 100 * number)},
        },
        "kl_mixture_student": 0.0789 if number else None,
        "training": {
            "backend": "deepspeed",
            "zero_stage": 2,
            "num_workers": 3,
            "steps": 151,
            "tokens": 987_654,
            "seconds": 60.0,
            "first_loss": 3.217,
            "last_loss": 0.451,
            "skipped": 7,
        },
        "evaluation": {"validation": dataset(free), "svamp": dataset(free - 0.1)},
        "decision": {"stop": number == 1, "best_iteration": 1, "reason": "iterations.max = 1 is reached"},
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    stages = [f"{kind}_{n:02d}" for n in (0, 1) for kind in ("mixture", "training", "evaluation", "decision")]
    return {
        "run": "runs/trial",
        "config_sha256": "feedbeef" * 8,
        "status": "finished",
        "best_iteration": 1,
        "iterations": [iteration(0, 0.401), iteration(1, 0.553)],
        "stages": [{"name": n, "seconds": 61.0, "resumed": n.endswith("00")} for n in ("rollouts_teacher", *stages)],
        "quarantined": 4,
        "versions": {"ray": "2.60.0", "vllm": "0.32.0"},
    }


class TagBalance(HTMLParser):
    """Fails where a tag is closed that is not the one last opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_well_formed(page: str) -> set[str]:
    balance = TagBalance()
    balance.feed(page)
    balance.close()
    assert balance.open == []
    assert page.startswith("<!DOCTYPE html>")
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
        assert not re.search(r'="(?:-?inf|nan)"', drawing)
    return balance.tags


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page)


def test_strategies_that_were_sampled_and_are_not_used_are_not_shown(summary: dict[str, Any]):
    """A run with `start_from` and fewer strategies than the one that sampled."""
    for entry in summary["iterations"]:
        entry["generation"]["accepted_by_strategy"]["unused"] = 7
    assert "unused" not in render(summary, CONFIG)


def test_a_finished_run_is_one_file_without_network_or_script(summary: dict[str, Any]) -> None:
    page = render(summary, CONFIG)
    tags = assert_well_formed(page)
    assert not tags & {"script", "link", "img", "iframe"}
    assert "prefers-color-scheme: dark" in page
    assert re.findall(r"https?://[^\"\s<]+", page) == page.count("<svg") * ["http://www.w3.org/2000/svg"]
    assert page.count("<svg") == 2 + 2 + 3 + 3 + 1 + 1


def test_the_reading_compares_the_best_iteration_with_plain_distillation(summary: dict[str, Any]) -> None:
    page = text_of(render(summary, CONFIG))
    assert "Iteration 1 is the best one with 55.3% free accuracy on the held-out split" in page
    assert "against 40.1% of iteration 0, plain distillation: +15.2 points." in page
    assert "On the test set svamp it solves 45.3%" in page
    assert "fell from 1.00 in iteration 0 to 0.75 in iteration 1" in page
    assert "most often chooses pot (68.3%, 68.3% in iteration 0)" in page
    assert "The loop stopped because iterations.max = 1 is reached." in page
    assert "4 row(s) could not be sampled" in page


def test_a_gain_within_the_interval_is_called_so(summary: dict[str, Any]) -> None:
    summary["iterations"][1] = iteration(1, 0.42)
    assert "+1.9 points, within that interval." in text_of(render(summary, CONFIG))


def test_a_run_without_gain_says_so(summary: dict[str, Any]) -> None:
    summary["best_iteration"] = 0
    page = text_of(render(summary, CONFIG))
    assert "No self-guided iteration is above iteration 0" in page
    assert "points" not in page


@pytest.mark.parametrize(
    "figure",
    [
        *("55.3%", "66.4%", "50.1%", "56.6%", "50.4–60.1%", "31.2%", "0.5%"),
        *("1,600", "1,200", "0.75", "0.079", "800 (0.62)", "800 (0.88)", "800 (1.00)", "0123456789ab"),
        *("vllm 0.32.0", "2,000", "5,432", "1,235", "61.8%", "601", "633", "4,131", "765,432", "2 min 05 s", "6,123"),
        *("deepspeed", "151", "3.217", "0.451", "987,654", "1 min 00 s", "16,461"),
        *("rollouts_teacher", "1 min 01 s", "resumed", "9 min 09 s", "2.60.0", "feedbeeffeed"),
        *("teacher big/teacher", "student small/student", "problems some/problems", "finished"),
    ],
)
def test_every_figure_is_on_the_page(summary: dict[str, Any], figure: str) -> None:
    assert figure in text_of(render(summary, CONFIG))


@pytest.mark.parametrize("kind", Kind)
def test_the_time_of_a_stage_of_any_kind_is_drawn(summary: dict[str, Any], kind: Kind) -> None:
    stage = StageId.of_iteration(kind, 1)
    told = {"name": stage.name, "kind": kind.value, "iteration": 1, "seconds": 4321.0, "resumed": False}
    summary["stages"].append(told)
    assert_well_formed(render(summary, CONFIG))


def test_everything_is_escaped(summary: dict[str, Any]) -> None:
    hostile = "</title><script>alert(1)</script>&\"'"
    summary["run"] = summary["status"] = hostile
    summary["versions"] = {hostile: hostile}
    summary["stages"][0]["name"] = hostile
    for entry in summary["iterations"]:
        entry["generation"]["engine"] = entry["training"]["backend"] = entry["mixture"]["policy"] = hostile
        entry["decision"]["reason"] = hostile
        entry["evaluation"][hostile] = dataset(0.5)
        entry["mixture"]["by_strategy"][hostile] = counts(10, 5)
    tags = assert_well_formed(page := render(summary, f"run_dir: {hostile}\n# <script>"))
    assert "script" not in tags
    assert "<script" not in page


@pytest.mark.parametrize("status", ["running", "failed"])
@pytest.mark.parametrize("present", range(5))
def test_a_run_renders_after_every_stage(summary: dict[str, Any], status: str, present: int) -> None:
    """The last iteration has only its first stages; with none of them it has not begun."""
    order = ("generation", "mixture", "training", "evaluation", "decision")
    for iterations in (1, 2):
        partial = copy.deepcopy(summary) | {"status": status, "best_iteration": None}
        partial["iterations"] = partial["iterations"][:iterations]
        for key in order[present:]:
            partial["iterations"][-1].pop(key)
        if present < 2:
            partial["iterations"][-1].pop("kl_mixture_student")
        page = render(partial, CONFIG)
        assert_well_formed(page)
        assert "Accuracy" in page or (iterations == 1 and present < 4)


def test_a_run_that_has_not_begun_renders() -> None:
    begun: dict[str, Any] = {
        "run": "r",
        "config_sha256": "0",
        "status": "running",
        "best_iteration": None,
        "iterations": [],
    }
    page = render(begun | {"stages": [], "quarantined": 0, "versions": {}}, "")
    assert_well_formed(page)
    assert "no stage is committed yet, and 0 iterations are evaluated" in text_of(page)


def test_before_the_first_decision_the_best_is_computed(summary: dict[str, Any]) -> None:
    summary["best_iteration"] = None
    assert "Iteration 1 is the best one" in render(summary, CONFIG)


def test_numbers_that_are_none_or_not_finite_leave_gaps(summary: dict[str, Any]) -> None:
    entry = summary["iterations"][1]
    entry["training"]["last_loss"] = float("nan")
    entry["mixture"]["by_strategy"]["cot"] = counts(0, 0)
    entry["generation"] |= {"requests": 0, "accepted": 0, "samples": 0, "generated_tokens": 0, "seconds": 0.0}
    page = render(summary, CONFIG)
    assert_well_formed(page)
    assert "0 (–)" in page


def test_settings_that_are_no_yaml_are_shown_as_they_are(summary: dict[str, Any]) -> None:
    assert "a: [&lt;b" in render(summary, "a: [<b")


def test_elements_escape_text_and_attributes_and_keep_markup() -> None:
    made = element("p", "a < b", Markup("<b>c</b>"), class_='x"y', text_anchor="end", hidden=None)
    assert made == '<p class="x&quot;y" text-anchor="end">a &lt; b<b>c</b></p>'


@pytest.mark.parametrize("largest", [1e-6, 0.0031, 0.08, 0.11, 0.3, 0.72, 1.0, 4.2, 8.1, 9.99, 123.0, 5e9])
def test_ticks_are_few_and_reach_the_largest_value(largest: float) -> None:
    levels = ticks(largest)
    assert 3 <= len(levels) <= 6
    assert levels[0] == 0
    assert levels[-2] < largest <= levels[-1] * (1 + 1e-9)


def test_names_of_lines_do_not_overlap() -> None:
    heights = spread_out([50, 51, 52, 199, 199], gap=13, top=10, bottom=200)
    placed = sorted(heights)
    assert all(after - before >= 13 - 1e-9 for before, after in pairwise(placed))
    assert placed[0] >= 10
    assert placed[-1] <= 200
    assert heights[0] < heights[1] < heights[2]


def test_a_gap_interrupts_a_line() -> None:
    series = [Series(name="free", css="main", values=[0.1, None, 0.3, 0.4])]
    drawing = line_chart("title", ["0", "1", "2", "3"], series, decimals)
    path = re.search(r' d="([^"]*)"', drawing)
    assert path is not None
    assert path[1].count("M") == 2
    assert path[1].count("L") == 1
    assert drawing.count("<circle") == 3


def test_the_interval_is_wilsons() -> None:
    """Newcombe (1998), table I: 81 of 263, score interval without continuity correction."""
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0.5, 0) == (0.0, 1.0)


def test_numbers_read_well() -> None:
    assert [duration(s) for s in (0.04, 9.97, 59.6, 3599.9, 7500)] == [
        "0.0 s",
        "10 s",
        "1 min 00 s",
        "1 h 00 min",
        "2 h 05 min",
    ]
    assert [short_count(n) for n in (0, 9_999, 812_345, 1_234_567, 2.5e9)] == ["0", "9,999", "812 k", "1.23 M", "2.5 G"]
    assert [points(p) for p in (0.152, -0.02, 0.0001)] == ["+15.2 points", "−2.0 points", "no difference"]
    assert [decimals(x) for x in (0.0, 0.0031, 0.412, 12.34)] == ["0.000", "0.0031", "0.412", "12.3"]
