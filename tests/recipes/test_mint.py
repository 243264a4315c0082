"""One student of all views, asked for by a suffix, beside one of each view alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from siked_ray.cli import main
from siked_ray.config import config_sha256, load_config
from siked_ray.core.problem import Split
from siked_ray.core.prompts import StudentPrompts, student_prompt
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.training_plan import Length
from siked_ray.data import run_directory as names
from siked_ray.driver.engines import EnginePools
from siked_ray.errors import ConfigError
from siked_ray.preflight.check import check
from siked_ray.preflight.context import longest_prompt_tokens
from siked_ray.recipes import mint
from siked_ray.recipes.verbs import Model, Rollouts
from tests.core.test_claim import Committed, paired
from tests.data.test_written_views import SOLUTION, write
from tests.driver.test_lab import Board, Run, share
from tests.recipes.test_siked import TEACHER_MODEL, FakeLab, Make

SETTINGS = ("recipe=mint", TEACHER_MODEL, "strategies=[cot, pot]", "prompts=views")
STUDENTS = ("all", "only_cot", "only_pot")


class ViewLab(FakeLab):
    """Students are called by their stages; `all` solves 60 % of cot, others 40 %, and 50 % of pot."""

    def __init__(self) -> None:
        super().__init__([0.3])
        self.against: dict[str, dict[str, Rollouts]] = {}
        self.trained_for: dict[str, Length | None] = {}

    def train(self, stage: StageId, start: Model, rows: Any, *rest: Any, **more: Any) -> Model:
        super().train(stage, start, rows, *rest, **more)
        self.trained_for[stage.label] = more["length"]
        return Model(engines="student", weights=stage.label, fingerprint="", steps=12)

    def measure(self, stage: StageId, answers: Any, against: Any = None, reading: Any = None) -> Any:
        super().measure(stage, answers, against)
        self.against[stage.label] = dict(against)
        forced = {"cot": 0.6 if stage.label == "all" else 0.4, "pot": 0.5}
        return {name: {"free": 0.45, "forced": forced} for name in answers}


def test_all_views_and_each_alone_from_the_same_student(make_config: Make):
    lab = ViewLab()
    decision = mint.run(lab, make_config(*SETTINGS, "options.noisy=[pot]"))
    assert lab.work == [
        "rollouts_teacher",
        *(f"{kind}_{label}" for label in STUDENTS for kind in ("table", "training")),
        *(f"answers_{label}" for label in STUDENTS),
        *(f"evaluation_{label}" for label in STUDENTS),
        "decision_mint",
    ]
    assert lab.starts == ["student"] * 3
    assert lab.trained_for == {"all": None, "only_cot": Length(steps=12), "only_pot": Length(steps=12)}
    rules = [lab.rules[f"table_{label}"] for label in STUDENTS]
    assert [one.views for one in rules] == [("cot", "pot"), ("cot",), ("pot",)]
    assert {one.noisy for one in rules} == {("pot",)}
    assert lab.asked["answers_all"][1].requested == lab.asked["answers_only_pot"][1].requested == ("free", "cot", "pot")
    assert decision.reason == (
        "asked for each of 2 views, the student of all of them solves 55.0% of the held-out problems on average, and "
        "those of one view 45.0%; where it chooses it solves 45.0%"
    )


def test_all_are_compared_with_each_view_alone_asked_for_it_and_those_with_all_where_they_choose(make_config: Make):
    lab = ViewLab()
    mint.run(lab, make_config(*SETTINGS))
    compared = {
        label: [(name, one.compared) for name, one in against.items()] for label, against in lab.against.items()
    }
    assert compared == {
        "all": [("only_cot", "cot"), ("only_pot", "pot")],
        "only_cot": [("all", "free")],
        "only_pot": [("all", "free")],
    }
    assert lab.against["all"]["only_cot"].folder == "answers_only_cot of only_cot"
    assert lab.against["all"]["only_cot"].fingerprint != lab.committed["answers_only_cot"].fingerprint


def test_claims_are_of_what_selects_nothing():
    compared = {"paired": {"only_cot": {"requested": "cot", **paired(0.02, 0.01, 0.03)}}}
    records = [
        Committed(StageId(Kind.TABLE, "all"), {"views": {"cot": {}}}),
        Committed(StageId(Kind.TABLE, "only_cot"), {"views": {}}),
        Committed(StageId(Kind.EVALUATION, "all"), {"validation": compared, "svamp": compared}),
    ]
    said = mint.summarise(records)
    assert [one.sentence for one in said["claims"]] == [
        "all, asked for cot, beats cot alone by 2.0 points [+1.0, +3.0] on 1,319 problems of svamp"
    ]
    assert said["views"] == {"cot": {}}
    assert mint.summarise([]) == {"claims": []}


@pytest.mark.parametrize("views", ["views", "world_views"])
def test_the_views_of_our_own_prompts_differ_after_the_question_alone(make_config: Make, views: str):
    config = make_config("recipe=mint", TEACHER_MODEL, f"prompts={views}")
    templates, question = config.prompts.templates(), "What is {0} plus 1?"
    assert set(templates.of_strategy) == set(config.prompts.strategies)
    beginning = templates.student.partition("{question}")[0] + question
    prompts = [student_prompt(templates, question, name) for name in (None, *templates.of_strategy)]
    assert all(one.startswith(beginning) for one in prompts) and len(set(prompts)) == len(prompts)
    render = StudentPrompts(templates=templates, strategies=config.strategy_records())
    assert render(question, "cot", None).prompt == prompts[1] and render(question, "cot", None).forced == "[cot]:"
    assert render(question, "free", None).prompt == prompts[0]


@pytest.mark.parametrize(("views", "base"), [("views", "default"), ("world_views", "world")])
def test_they_have_everything_else_of_the_prompts_that_they_extend(make_config: Make, views: str, base: str):
    theirs, ours = (make_config(f"prompts={name}").prompts.model_dump() for name in (base, views))
    for name, one in theirs["strategies"].items():
        assert ours["strategies"][name] | {"student": None} == one
    assert ours | {"strategies": None} == theirs | {"strategies": None}


def test_prompts_without_views_leave_the_hash_of_settings_as_it_was(make_config: Make):
    own = make_config("prompts.strategies.cot.student='{question} by steps'")
    assert config_sha256(make_config("prompts.strategies.cot.student=null")) == config_sha256(make_config())
    assert config_sha256(own) != config_sha256(make_config())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("strategies=[cot, tables]",), "known are cot, equation, formula, l2m, operators, pot"),
        (("options.noisy=[l2m]",), "options.noisy: l2m is none of the views in strategies: cot, pot."),
        (("prompts=default",), "recipe mint: cot, pot has no template of its own; set prompts.strategies.cot.student"),
        (("strategies=[cot]",), "recipe mint: cot alone is no union of views"),
        (
            ("recipe=siked",),
            "prompts.strategies.cot.student is for recipes whose strategies are views, and recipe siked",
        ),
        (("prompts.strategies.cot.student='by steps'",), "the template strategies.cot.student has to use {question}"),
        (("options.balance=equal",), "options: "),
    ],
)
def test_bad_settings_are_one_sentence_before_anything_starts(settings_file, capsys, overrides, said: str):
    assert main(["plan", str(settings_file), *SETTINGS, *overrides]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_stands_before_the_question_is_a_warning(settings_file, capsys):
    before = "prompts.strategies.cot.student='By steps: {question} A:'"
    assert main(["plan", str(settings_file), *SETTINGS, "prompts=world_views", before]) == 0
    said = capsys.readouterr()
    assert "note: prompts.strategies.cot.student says something else before the question" in said.err
    assert "not MinT" in said.err and "strategies.pot" not in said.err
    assert "# student's prompt · pot" in said.out and "table_only_cot, table_only_pot" in said.out


def _annotated(folder: Path) -> tuple[str, str]:
    """Ten problems of GSM8K's form, and ten of SVAMP's, the first of which is one of GSM8K's."""
    questions = [f"{48 + i} clips and half as many in store {i}?" for i in range(10)]
    gsm8k = write(folder / "gsm8k.jsonl", [{"question": one, "answer": SOLUTION} for one in questions])
    equations = ["( 70.0 + 2.0 )", "( 70.0 + 3.0 )", *["( 36.0 * 2.0 )"] * 8]
    others = [questions[0], *(f"Two times 36 in shop {i}?" for i in range(9))]
    rows = [
        {"Body": "", "Question": question, "Equation": equation, "Answer": 72, "Type": ""}
        for question, equation in zip(others, equations, strict=True)
    ]
    return gsm8k, write(folder / "svamp.json", rows)


def _of_annotations(make_config: Make, files: list[str], views: str, *more: str) -> Any:
    return make_config(
        *("recipe=mint", "prompts=views", f"strategies={views}", f"data.train={json.dumps(files)}", "data.limit=null"),
        *("teacher={source: annotations}", "data.validation_fraction=0.2", *more),
    )


def test_sources_and_views_that_do_not_go_together_are_refused_with_what_there_is(make_config: Make, tmp_path: Path):
    gsm8k, svamp = _annotated(tmp_path)
    has = f"{gsm8k} has cot, pot, equation; {svamp} has equation"
    with pytest.raises(ConfigError) as missing:
        check(_of_annotations(make_config, [gsm8k, svamp], "[cot, equation, formula]"))
    assert str(missing.value).startswith(f"strategies: no data set has the view formula: {has}. Take it out")
    with pytest.raises(ConfigError) as useless:
        check(_of_annotations(make_config, [gsm8k, svamp], "[cot, pot]"))
    assert str(useless.value).startswith(f"{svamp} has none of the views cot, pot: {has}. Take it out")


def test_problems_of_a_test_set_are_not_learnt_from(make_config: Make, tmp_path: Path):
    gsm8k, svamp = _annotated(tmp_path)
    checked = check(_of_annotations(make_config, [gsm8k], "[cot, equation]", f"data.test={svamp}"))
    tested = {problem.question for problem in checked.tests["svamp"]}
    learnt = {problem.question for problem in (*checked.train, *checked.validation)}
    assert not tested & learnt and any("svamp" in note for note in checked.notes)


def _views_and_their_figures(config: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[str, str]], Any, list]:
    """(prompt, response) of the union, what the table's record says, and its rows."""
    run = Run(config, monkeypatch)
    engines = EnginePools(Board(), specs={}, sizes={}, log_dir="", keep_engines_while_training=True)
    lab = run.lab(engines)
    written = lab.sample(
        mint.TEACHER,
        lab.model("teacher"),
        mint.Asked(problems=(Split.TRAIN.value,), requested=tuple(config.strategies)),
        config.generation.plan(),
    )
    mint._trained(lab, config, "all", tuple(config.strategies), written)
    rows = run.storage.read_parquet(names.place_of(StageId(Kind.TABLE, "all"))).to_pylist()
    record = next(one for one in run.summary()["stages"] if one["name"] == "table_all")
    assert record["kind"] == "table"
    return [(row["prompt"], row["response"]) for row in rows], mint.summarise(_records(run))["views"], rows


def _records(run: Run) -> Any:
    from siked_ray.data.ledger import Ledger

    return Ledger(run.storage).records()


def test_the_union_of_data_sets_does_not_depend_on_their_order(make_config: Make, tmp_path: Path, monkeypatch):
    files = _annotated(tmp_path)
    made = [
        _views_and_their_figures(
            _of_annotations(make_config, [*order], "[cot, pot, equation]", f"run_dir={tmp_path / str(number)}"),
            monkeypatch,
        )
        for number, order in enumerate((files, files[::-1]))
    ]
    (first, figures, rows), (second, *_) = made
    assert first == second
    assert sum(one["rows"] for one in figures["equation"].values()) == len(
        [r for r in rows if r["strategy"] == "equation"]
    )
    shared = [row for row in rows if "48 clips" in row["prompt"] and row["strategy"] == "equation"]
    assert len(shared) <= 1, "a problem of two data sets counts once in a view"
    wrong = figures["equation"]["svamp"]
    assert wrong["rationales"] - wrong["rows"] == wrong["wrong"] <= 1


def test_the_whole_recipe_on_the_lab_itself(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    skills = {"world:teacher": 0.9, "all": 0.6, "only_cot": 0.5, "only_pot": 0.1}
    config = make_config(*SETTINGS, "prompts=world_views", "generation.num_samples=1")
    run = Run(config, monkeypatch, solves=lambda weights, *which: share(*which) < skills[weights])
    for _ in range(2):
        mint.run(run.lab(), config)
    assert len(run.committed) == len({*run.committed}) == 1 + 2 * 3 + 2 * 3 + 1, "each stage once"
    asked = 3 * (run.num_validation + 10)
    assert [num for stage, _, num in run.generating.calls if stage.startswith("answers")] == [asked] * 3, (
        "a free answer is to another prompt than a forced one: none is taken over"
    )
    summary = run.summary()
    assert [one["name"] for one in summary["arms"]] == [*STUDENTS]
    of_all, of_pot = (summary["arms"][index]["evaluation"]["more"] for index in (0, 2))
    paired = of_all["paired"]["only_pot"]
    assert paired["requested"] == "pot"
    assert paired["difference"] == pytest.approx(of_all["forced"]["pot"] - of_pot["forced"]["pot"])
    assert "requested" not in of_pot["paired"]["all"]
    assert len(summary["claims"]) == 2 and "all, asked for pot, " in summary["claims"][1]["sentence"]
    (rows,) = summary["views"]["cot"].values()
    assert rows["rows"] == rows["right"] < rows["rationales"] == run.num_train


def test_the_longest_prompt_has_its_suffix(make_config: Make):
    suffix = "prompts.strategies.pot.student=" + repr("{question}" + " so" * 99)
    plain, longer = (make_config("prompts=world_views", *more) for more in ((), (suffix,)))
    facts = check(make_config("prompts=world")).models["student"]
    lengths = [longest_prompt_tokens(facts, "student", one, ["How many?"])[1] for one in (plain, longer)]
    assert lengths[1] > lengths[0] + 50


def test_the_jobs_are_plans(tmp_path: Path, capsys, monkeypatch):
    root = Path(__file__).parents[2]
    config = load_config(root / "jobs" / "mint_annotated.yaml", ["student.model=x"])
    mint.check(config)
    assert config.options == {"noisy": ["formula"]}
    assert main(["plan", str(root / "jobs" / "mint.yaml"), f"run_dir={tmp_path}"]) == 0
    assert "teacher's prompt · pot" in capsys.readouterr().out
