"""The worked examples of docs/extending.md, as they stand on the page: applied to a copy of the code, and run there."""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siked_ray.recipes import RECIPES
from tests.driver.test_lab import SETTINGS, Run, share

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAMS = {"siked": [sys.executable, "-m", "siked_ray"], "python": [sys.executable]}
#: Files of the product by what is added, new ones among them: what the design allows, and nothing else. A strategy
#: needs none, a policy one, an objective and a source one and their section of the settings, a recipe one.
TOUCHED = {
    "A strategy": [],
    "A mixture policy": ["core/mixture.py"],
    "A training objective": ["settings/training.py", "training/compute/objectives.py"],
    "A source of rollouts": ["settings/teacher.py", "sources/tgi.py"],
    "A recipe": ["recipes/soup.py"],
}


def blocks_of(title: str) -> list[tuple[str, str]]:
    """(language, text) of each block of a section."""
    sections = dict(section.split("\n", 1) for section in PAGE.split("\n## ")[1:])
    return _BLOCK.findall(sections[title])


def write_files(title: str, folder: Path) -> list[Path]:
    """Write the new files of a section, and change those that its diffs change."""
    written = []
    for language, text in blocks_of(title):
        if language in ("python", "yaml"):
            path = folder / text.split("\n", 1)[0].removeprefix("# ")
            path.write_text(text, encoding="utf-8")
        elif language == "diff":
            first, hunks = text.split("\n", 1)
            path = folder / first.removeprefix("--- ")
            path.write_text(changed(path.read_text(encoding="utf-8"), hunks), encoding="utf-8")
        else:
            continue
        written.append(path)
    return written


def changed(code: str, hunks: str) -> str:
    for hunk in hunks.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        after = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert code.count(before) == 1, f"there is not one place for this change:\n{hunk}"
        code = code.replace(before, after)
    return code


def run_commands(console: str, folder: Path) -> None:
    """Run what stands after each `$`, and compare what is printed; `...` stands for anything."""
    for line, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE):
        program, *arguments = shlex.split(line)
        environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
        command = [*_PROGRAMS[program], *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300)
        assert done.returncode == 0, done.stderr
        matches = doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS)
        assert matches, f"$ {line} printed\n{done.stdout}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the code, and the run of `make smoke`."""
    shutil.copytree(ROOT / "siked_ray", tmp_path / "siked_ray", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "old_runs" / "smoke_0_1", tmp_path / "runs" / "smoke")
    return tmp_path


def test_every_section_of_the_page_is_an_example() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(TOUCHED)
    assert all(any(language == "console" for language, _ in blocks_of(title)) for title in TOUCHED)


def test_the_pages_table_names_the_files_that_are_touched() -> None:
    rows = re.findall(r"^\| an? .* \| (.*) \| \[.*\]\(#(.*)\) \|$", PAGE, re.MULTILINE)
    named = {anchor.replace("-", " ").capitalize(): re.findall(r"`(.*?)`", files) for files, anchor in rows}
    assert named.keys() == TOUCHED.keys()
    for title, files in TOUCHED.items():
        rooms = [file if file in named[title] else f"{Path(file).parent}/" for file in files]
        assert sorted(rooms) == sorted(named[title]), title


def test_new_files_are_no_more_than_one() -> None:
    new = {
        title: [file for file in files if not (ROOT / "siked_ray" / file).exists()] for title, files in TOUCHED.items()
    }
    assert new == {
        "A strategy": [],
        "A mixture policy": [],
        "A training objective": [],
        "A source of rollouts": ["sources/tgi.py"],
        "A recipe": ["recipes/soup.py"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("title", TOUCHED)
def test_an_example_prints_what_its_page_says_and_touches_no_other_file(title: str, folder: Path) -> None:
    if title in ("A source of rollouts", "A recipe"):  # the page says so
        write_files("A strategy", folder)
    written = write_files(title, folder)
    product = folder / "siked_ray"
    assert sorted(str(path.relative_to(product)) for path in written if product in path.parents) == TOUCHED[title]
    for language, text in blocks_of(title):
        if language == "console":
            run_commands(text, folder)


RECIPE = next(text for _, text in blocks_of("A recipe") if text.startswith("# siked_ray/recipes/"))


def test_every_recipe_is_one_screen() -> None:
    files = [path for path in (ROOT / "siked_ray" / "recipes").glob("*.py") if path.stem in RECIPES]
    assert len(files) == len(RECIPES)
    assert all(text.count("\n") <= 150 for text in (RECIPE, *(path.read_text() for path in files)))


def test_the_pages_recipe_runs_once_on_the_lab_itself(make_config, monkeypatch: pytest.MonkeyPatch) -> None:
    skills = {"world:teacher": 0.9, "iteration_00": 0.5}
    run = Run(make_config(*SETTINGS), monkeypatch, solves=lambda weights, *which: share(*which) < skills[weights])
    merged: list[tuple[str, str, list[str], float]] = []

    def merge(storage, output, base, parts, rule):
        merged.append((output, base, [Path(part).name for part in parts.values()], rule.weights["cot"]))
        storage.write_text(f"{output}/config.json", "{}")
        return {"tensors": 1}

    monkeypatch.setattr("siked_ray.driver.lab.merge_models", merge)
    recipe: dict = {"__name__": "soup"}
    exec(RECIPE, recipe)
    for _ in range(2):
        decision = recipe["run"](run.lab(), run.config)
    of_parts = ("table_cot", "training_cot", "table_pot", "training_pot")
    of_soup = ("merge_00", "answers_00", "evaluation_00", "decision_00")
    assert run.committed == ["rollouts_teacher", *of_parts, *of_soup], "each stage once"
    assert merged == [("students/iteration_00", "base", ["cot", "pot"], 0.5)]
    assert [(start, output) for start, output, _ in run.trained] == [("base", "students/cot"), ("base", "students/pot")]
    (iteration,) = run.summary()["iterations"]
    assert f"{iteration['evaluation']['validation']['free']:.1%}" in decision.reason
