"""The real experiment's arms load as settings, in the order of what they need, and its page holds what runs found."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_ray.config import load_config
from siked_ray.core.mixture import Policy

FOLDER = Path(__file__).parents[1] / "jobs" / "real_experiment"
MODULES = ("run_real", "real_page", "real_arms", "running")


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("run_real")
    for name in MODULES:
        sys.modules.pop(name, None)


def test_every_arm_loads_and_changes_what_it_says(real: ModuleType):
    tasks = real.tasks(Path("/data"), "student.gguf")
    configs = {one.name: load_config(FOLDER / "base.yaml", one.overrides(Path("/r"))) for one in tasks}
    assert len(configs) == len(tasks) == 3 * 4 + 6 + 10
    assert {one.student.model for one in configs.values()} == {"student.gguf"}
    adaptive = configs["gpt-4-2-adaptive"]
    assert (adaptive.seed, adaptive.start_from, adaptive.control) == (2, "/r/gpt-4-2-combined", "matched")
    assert "/data/teachers/svamp.gpt-4.jsonl#split=train&question~0-50" in adaptive.data.train
    assert adaptive.data.test[-1] == "/data/gsm8k_test.jsonl#question~0-20"
    policies = {name: configs[f"gpt-4-1-{name}"].mixture.policy for name in ("all", "by_problem", "best_strategy")}
    assert list(policies.values()) == [Policy.ALL, Policy.BY_PROBLEM, Policy.BEST_STRATEGY]
    assert configs["code-davinci-002-1-single_pot"].strategies == ["pot"]
    assert "/data/teachers/asdiv.code-davinci-002.jsonl" in configs["code-davinci-002-1-single_pot"].teacher.path


def test_what_an_arm_needs_comes_before_it_and_what_decides_before_all_else(real: ModuleType):
    names, seen = [], set()
    for task in real.tasks(Path("/data"), ""):
        assert set(task.needs()) <= seen
        seen.add(task.name)
        names.append(task.name)
    assert [name for name in names[:12] if name.startswith("gpt-4-")] == names[:12]
    assert all(not task.arm.decides for task in real.tasks(Path("/data"), "")[12:18])


def figures(free: float, of: int = 300, **paired: Any) -> dict[str, Any]:
    return {
        "num_problems": of,
        "free": free,
        "oracle": 0.5,
        "forced": {"cot": 0.2, "pot": 0.3},
        "strategy_histogram": {"cot": 0.25, "pot": 0.75},
        "choices": {"accuracy": 0.6},
        **({"paired": {"loop": paired}} if paired else {}),
    }


def summary(frees: list[float], best: int, twin: tuple[int, int] | None) -> dict[str, Any]:
    """Iterations of 10 steps; of 500 problems the loop alone solves the first of `twin`, the twin alone the second."""
    sets = [("svamp", 300), ("asdiv", 200), ("gsm8k", 100)]
    iterations = [
        {
            "iteration": index,
            "training": {"steps": 10},
            "evaluation": {name: figures(free, total) for name, total in sets} | {"validation": figures(0.99)},
        }
        for index, free in enumerate(frees)
    ]
    found = {"iterations": iterations, "best_iteration": best, "status": "finished"}
    found |= {"versions": dict.fromkeys(("ray", "vllm", "torch", "deepspeed"), "1")}
    if twin:
        own, other = twin
        compared = {"num_problems": 300, "gained": other, "lost": own}
        evaluation = {
            "svamp": figures(0.3, 300, **compared),
            "asdiv": figures(0.3, 200, num_problems=200, gained=0, lost=0),
            "gsm8k": figures(0.1, 100, num_problems=100, gained=50, lost=0),
        }
        found["arms"] = [{"name": "twin", "training": {"steps": 30}, "evaluation": evaluation}]
    return found


def test_the_page_has_what_each_loop_gained_over_its_twin(real: ModuleType, tmp_path: Path):
    wanted = {"gpt-4-1-combined": ([0.2], None), "gpt-4-1-adaptive": ([0.2, 0.4], (60, 30))}
    wanted |= {"gpt-4-2-adaptive": ([0.2, 0.3], (40, 20))}
    runs = {
        task: summary(frees, len(frees) - 1, twin)
        for task in real.tasks(tmp_path, "")
        if task.name in wanted
        for frees, twin in [wanted[task.name]]
    }
    untrained = {name: figures(0.01) for name in ("svamp", "asdiv", "gsm8k")}
    real.write_page(tmp_path / "real.md", runs, untrained)
    page = (tmp_path / "real.md").read_text()
    assert "on the 500 test problems" in page and "(100 problems) is transfer" in page
    assert "| untrained | 1 | 1.0 | 1.0 |" in page
    assert "| combined | 1 | 20.0 | 20.0 | 50.0 | cot 20.0% / pot 30.0% | 60.0 | cot 25% / pot 75% | 10 |" in page
    assert "| adaptive | 2 | 35.0 ± " in page and "| adaptive's twin | 2 | 30.0 ± 0.0 | 10.0 ± 0.0 |" in page
    assert "| adaptive | 2 | 100 | 50 | +5.0 | " in page, "GSM8K is left out"
    assert page.count("+6.0, +4.0") == 1, "seed by seed"


def test_arms_that_are_finished_are_shown_and_nothing_is_run_for_a_report(
    real: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "gpt-4-1-combined").mkdir()
    (tmp_path / "gpt-4-1-combined" / "summary.json").write_text(json.dumps(summary([0.2], 0, None)))
    page = tmp_path / "real.md"
    monkeypatch.setattr(sys, "argv", ["run_real.py", "--report", "--root", str(tmp_path), "--page", str(page)])
    monkeypatch.setattr("running.subprocess.run", lambda *_, **__: pytest.fail("a report runs nothing"))
    assert real.main() == 0
    assert "| combined | 1 | 20.0 |" in page.read_text() and "adaptive's twin" not in page.read_text()
