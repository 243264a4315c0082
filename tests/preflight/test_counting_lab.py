"""What a recipe would do at most, counted by running it."""

from types import SimpleNamespace

import pytest

from siked_ray.core.mixture import MixtureRules, Policy
from siked_ray.core.mixture_rule import MixtureRule
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.rule import SqlRule
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.errors import ConfigError
from siked_ray.preflight import counting_lab
from siked_ray.preflight.check import check
from siked_ray.preflight.counting_lab import CountingLab, SamplingCount, TableCount, TrainingCount, count_stages
from siked_ray.preflight.forecast import forecast, stage_lines
from siked_ray.recipes.verbs import Asked
from tests.recipes.test_siked import ALL_STAGES

SMALL = ("strategies=[cot, pot]", "iterations.max=2", "training={epochs: 2, num_workers: 1}")
SAMPLED = "teacher={source: vllm, model: 'world:teacher'}"


def problems(num_train: int, num_held_out: int, **tests: list[str]) -> SimpleNamespace:
    def of(names: list[str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(problem_id=name) for name in names]

    train, held_out = [f"t{i}" for i in range(num_train)], [f"h{i}" for i in range(num_held_out)]
    return SimpleNamespace(train=of(train), validation=of(held_out), tests={k: of(v) for k, v in tests.items()})


def counted(config, checked, kind: type) -> dict:
    return {one.stage.name: one for one in count_stages(config, checked) if isinstance(one, kind)}


def test_every_stage_of_siked_is_counted_and_nothing_stops_it(make_config) -> None:
    config = make_config(*SMALL, SAMPLED, "iterations.patience=1", "iterations.max_tokens=1")
    assert [one.stage.name for one in count_stages(config, problems(10, 2))] == ALL_STAGES


def test_what_is_asked_of_whom(make_config) -> None:
    config = make_config(*SMALL, SAMPLED, "iterations.generator=self_free", "generation.num_samples=4")
    sampling = counted(config, problems(10, 2, same=["h0", "x"]), SamplingCount)
    assert sampling["rollouts_teacher"].requests == {"teacher": 20}
    assert sampling["rollouts_01"].requests == {"student": 10}
    assert sampling["rollouts_01"].num_completions == 40
    assert sampling["answers_00"].num_completions == 3 * 3, "h0 once; free and two forced"


def test_parts_of_a_teacher_are_asked_for_their_own_strategies_and_rationales_that_exist_are_not(make_config) -> None:
    part = "teacher.strategies={pot: {source: openai, model: big}}"
    sampling = counted(make_config(*SMALL, part), problems(10, 2), SamplingCount)
    assert sampling["rollouts_teacher"].requests == {"teacher.pot": 10}
    assert sampling["rollouts_teacher"].num_asked == 20


@pytest.mark.parametrize(("policy", "most"), [("adaptive", 20), ("all", 40)])
def test_rows_and_steps(make_config, policy: str, most: int) -> None:
    config = make_config(*SMALL, SAMPLED, f"mixture.policy={policy}")
    tables, training = (counted(config, problems(10, 2), kind) for kind in (TableCount, TrainingCount))
    assert [one.num_rows for one in tables.values()] == [20, most, most], "iteration 0 has the teacher's alone"
    assert [one.num_steps for one in training.values()] == [2 * -(-n // 8) for n in (20, most, most)]


def test_a_policy_that_is_not_known_for_one_row_each_may_keep_both() -> None:
    templates = PromptTemplates(student="", teacher="", demonstration="")
    tables = {"problems": 10, "teacher_rollouts": 60, "student_rollouts": 60}

    def most(policy: Policy) -> int:
        rule = MixtureRule(strategies=("cot",), rules=MixtureRules(policy=policy), iteration=1, templates=templates)
        return rule.max_rows(tables)

    assert {policy.value: most(policy) for policy in Policy} == {
        **dict.fromkeys(("adaptive", "self_only", "teacher_only", "biased", "by_problem", "best_strategy"), 10),
        **dict.fromkeys(("all", "fixed_alpha", "kl_target"), 20),
    }


def test_test_sets_that_wait_for_the_end_are_for_two_students(make_config) -> None:
    config = make_config(*SMALL, "evaluation.test_sets=end")
    sampling = counted(config, problems(10, 2, more=["x", "y"]), SamplingCount)
    asked = {name: one.num_asked for name, one in sampling.items() if one.measures_only}
    at_the_end = {"answers_tests_00": 6, "answers_tests_02": 6}
    assert asked == {"answers_00": 6, "answers_01": 6, "answers_02": 6, **at_the_end}


def test_samples_for_pass_at_k_are_counted_as_evaluation(make_config) -> None:
    config = make_config(*SMALL, SAMPLED, "evaluation.samples=8")
    sampling = counted(config, problems(10, 2, more=["x", "y"]), SamplingCount)
    drawn = {name: one.num_completions for name, one in sampling.items() if one.stage.kind is Kind.SAMPLES}
    assert drawn == {"samples_00": 4 * 8, "samples_01": 4 * 8, "samples_02": 4 * 8}
    assert all(sampling[name].measures_only for name in drawn)
    without = counted(make_config(*SMALL, SAMPLED), problems(10, 2, more=["x", "y"]), SamplingCount)
    assert sampling.keys() - drawn.keys() == without.keys()


@pytest.mark.parametrize("recipe", ["metagpt", "losses", "on_policy"])
def test_other_recipes_draw_samples_of_every_student_too(make_config, recipe: str) -> None:
    config = make_config(*SMALL, SAMPLED, f"recipe={recipe}", "evaluation.samples=3")
    sampling = counted(config, problems(10, 2), SamplingCount)
    students = {kind: {one.stage.label for one in sampling.values() if one.stage.kind is kind} for kind in Kind}
    assert students[Kind.SAMPLES] == students[Kind.ANSWERS] != set()


def test_a_table_of_asks_has_as_many_as_its_rule_gives(make_config) -> None:
    config = make_config(*SMALL)
    lab, plan = CountingLab(config, problems(10, 2)), config.generation.plan()
    solutions = lab.sample(TEACHER, lab.model("teacher"), Asked(problems=("train",), requested=("cot",)), plan)
    rule = SqlRule(sql="SELECT * FROM solutions", columns=("problem_id",))
    asks = lab.select(StageId(Kind.TABLE, "asks"), rule, solutions=solutions)
    most = 10 + 10 * plan.num_samples
    asked = Asked(problems=("train",), table=asks)
    again = lab.sample(StageId(Kind.ROLLOUTS, "again"), lab.model("student"), asked, plan)
    assert (asks.figures["rows"], lab.counts[-1].num_requests) == (most, most)
    rows = lab.select(StageId(Kind.TABLE, "rows"), rule, again=again)
    lab.train(StageId(Kind.TRAINING, "last"), lab.model("student"), rows, CROSS_ENTROPY)
    assert lab.counts[-1].num_rows == 10 + most * plan.num_samples


def test_a_recipe_without_an_end_is_refused(make_config, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(lab, config):
        while not lab.decide(StageId.of_iteration(Kind.DECISION, 0), lambda: None).stop:
            pass

    monkeypatch.setattr(counting_lab, "recipe_named", lambda name: SimpleNamespace(run=run))
    with pytest.raises(ConfigError, match="give it an end"):
        count_stages(make_config(), problems(1, 1))


def test_stages_that_do_the_same_have_one_line(make_config) -> None:
    config = make_config(*SMALL, SAMPLED, "mixture.policy=all", "generation.num_samples=4")
    assert stage_lines(config, problems(10, 2)) == {
        "rollouts_teacher": "teacher: 20 (problem, strategy) rows, up to 4 samples",
        "mixture_00": "20 rows",
        "training_00": "6 steps, on 20 rows",
        "answers_00 to answers_02": "student: 6 (problem, strategy) rows",
        "evaluation_00 to evaluation_02": "measure",
        "decision_00 to decision_02": "decide",
        "rollouts_01 to rollouts_02": "student: 20 (problem, strategy) rows, up to 4 samples",
        "mixture_01 to mixture_02": "40 rows",
        "training_01 to training_02": "10 steps, on 40 rows",
    }
    assert stage_lines(make_config(*SMALL), problems(10, 2))["rollouts_teacher"] == "teacher: rationales that exist"
    assert stage_lines(config, problems(0, 0)) == {}


def test_what_a_teacher_would_score_is_counted_in_bytes(make_config) -> None:
    teacher = "teacher={source: vllm, model: 'world:teacher', logprobs: 16}"
    config = make_config(*SMALL, teacher, "training.objective=jsd", "generation.max_new_tokens=100")
    shown = stage_lines(config, problems(10_000, 2))
    assert shown["scores_teacher, scores_01, scores_02"] == (
        "teacher: 20,000 rows, 98 bytes for each of 2,000,000 tokens at most (196 MB)"
    )
    figures = forecast(config, check(config))
    assert figures["teacher's probabilities"].startswith("98 bytes for each of ")


def test_a_run_without_a_second_iteration_samples_no_student(make_config) -> None:
    config = make_config(*SMALL, "iterations.max=0", "iterations.generator=self_free", SAMPLED)
    checked = check(config)
    figures = forecast(config, checked)
    assert figures["iterations"] == "0 to 0 at most"
    asked = f"{2 * len(checked.train)} (problem, strategy) rows, up to 10 samples"
    assert figures["requests per sampling stage"] == asked
