"""SIKeD's words and parts are not every recipe's: here a student learns from itself alone, without a teacher."""

import sys
from types import ModuleType

import pytest

from siked_ray.cli import main
from siked_ray.config import Config, dump_config, read_resolved
from siked_ray.core.mixture_rule import MixtureRule
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.data import run_directory as names
from siked_ray.errors import ConfigError
from siked_ray.preflight.check import check
from siked_ray.preflight.counting_lab import count_stages
from siked_ray.recipes.verbs import Asked, Lab
from siked_ray.report.model_card import model_card
from tests.driver.test_lab import SETTINGS, Run, share

ALONE = ("recipe=alone", "teacher=null", "strategies=[cot, pot]", "generation.num_samples=3")
#: Words of an algorithm that has a teacher, mixtures, and a student that guides itself.
OF_SIKED = ("SIKeD", "α", "alpha", "teacher", "mixture", "Mixture", "distillation", "self-guided", "iteration 0 of")


def alone(lab: Lab, config: Config) -> Decision:
    """Sample the student, train it on what it solved, measure both."""
    base = lab.model("student")
    asked = Asked(problems=("train",), requested=tuple(config.strategies))
    own = lab.sample(StageId.of_iteration(Kind.ROLLOUTS, 0), base, asked, config.generation.plan())
    rule = MixtureRule(
        strategies=tuple(config.strategies),
        rules=config.mixture.rules(),
        iteration=0,
        templates=config.prompts.templates(),
    )
    rows = lab.select(StageId.of_iteration(Kind.TABLE, 0), rule, teacher_rollouts=own)
    student = lab.train(StageId(Kind.TRAINING, "itself"), base, rows, config.training.objective_spec())
    exam = Asked(problems=("validation",), requested=(FREE, *config.strategies))
    before = lab.sample(StageId(Kind.ANSWERS, "before"), base, exam, config.evaluation.plan())
    after = lab.sample(StageId.of_iteration(Kind.ANSWERS, 0), student, exam, config.evaluation.plan())
    lab.measure(StageId.of_iteration(Kind.EVALUATION, 0), {"validation": after}, {"base": before})
    decision = Decision(stop=True, best_iteration=0, reason="once is enough")
    return lab.decide(StageId.of_iteration(Kind.DECISION, 0), lambda: decision)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("siked_ray.recipes.alone")
    module.run = alone
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("siked_ray.recipes.RECIPES", ("alone", "siked"))


@pytest.fixture
def run(make_config, recipe: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that was finished."""
    skills = {"base": 0.5, "itself": 0.8}
    run = Run(make_config(*ALONE), monkeypatch, lambda weights, *which: share(*which) < skills[weights])
    alone(run.lab(), run.config)
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    run.storage.write_json(names.SUMMARY, run.summary())
    return run


def test_a_recipe_that_needs_no_teacher_has_none(make_config, recipe: None):
    config = make_config(*ALONE)
    assert config.teacher is None and config.teacher_parts() == ()
    assert read_resolved(dump_config(config), "") == config
    checked = check(config)
    assert list(checked.models) == ["student"]
    assert count_stages(config, checked)[0].requests == {"student": 2 * len(checked.train)}


def test_siked_without_a_teacher_is_refused_with_one_sentence(settings_file, capsys):
    assert main(["run", str(settings_file), "teacher=null"]) == 2
    said = capsys.readouterr().err
    assert "teacher.source is required, recipe siked learns from a teacher; set it" in said and said.count("\n") == 1


def test_a_teacher_that_is_asked_for_and_not_there_is_refused(run: Run):
    with pytest.raises(ConfigError, match="recipe alone learns from a teacher"):
        run.lab().model("teacher")


def test_plan_shows_it(settings_file, recipe: None, capsys):
    assert main(["plan", str(settings_file), *ALONE]) == 0
    said = capsys.readouterr().out
    assert "rollouts_00" in said and "teacher's prompt" not in said and "student's prompt" in said


def test_status_has_no_words_of_another_algorithm(run: Run, capsys):
    assert main(["status", run.config.run_dir]) == 0
    said = capsys.readouterr().out
    assert "done: training_itself" in said and "free accuracy, iteration 0: validation" in said
    assert "of at most" not in said and not [word for word in OF_SIKED if word in said]


@pytest.mark.parametrize("arguments", [[], ["--text"]])
def test_the_report_has_no_words_of_another_algorithm(run: Run, capsys, arguments: list[str]):
    assert main(["report", run.config.run_dir, *arguments]) == 0
    page = run.storage.read_text(names.REPORT).partition("<h2>Versions and settings")[0]
    said = capsys.readouterr().out
    for shown in (page.partition("</style>")[2], said):
        assert not [word for word in OF_SIKED if word in shown]
    assert "alone · " in page and "The run stopped because once is enough." in page and "rollouts_00" in page
    assert "against" in page and '<td class="text">base</td>' in page


def test_it_has_no_mixtures_to_recompute(run: Run, capsys):
    for more in ([], ["--iteration", "0"]):
        assert main(["mix", run.config.run_dir, *more]) == 2
        said = capsys.readouterr().err
        assert "was made by recipe alone, whose training rows are no mixture" in said and said.count("\n") == 1


def test_the_card_of_its_student_says_who_made_it(run: Run):
    card = model_card(run.summary(), run.config.model_dump(mode="json"), 0)
    assert "trained by the recipe alone (iteration 0)" in card
    assert not [word for word in OF_SIKED if word in card]


@pytest.mark.slow
def test_siked_keeps_its_words(make_config, monkeypatch: pytest.MonkeyPatch, capsys):
    run = Run(make_config(*SETTINGS, "iterations.max=1"), monkeypatch)
    run.finish()
    run.storage.write_text(names.CONFIG, dump_config(run.config))
    run.storage.write_json(names.SUMMARY, run.summary())
    assert main(["report", run.config.run_dir]) == 0
    table, page = capsys.readouterr().out, run.storage.read_text(names.REPORT)
    assert "α" in table and "SIKeD · " in page and "against" in page and "plain distillation" in page
    assert "0 teacher" in page and "1 student" in page
