from pathlib import Path

import pytest
import yaml

from siked_ray.config import Config, config_sha256, differing_keys, dump_config, load_config
from siked_ray.core.mixture import Policy
from siked_ray.core.strategy import AnswerKind
from siked_ray.errors import ConfigError

JOBS = sorted((Path(__file__).parents[1] / "jobs").glob("**/*.yaml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_job_in_the_repository_is_valid(path: Path, tmp_path: Path):
    leaves_the_student_open = not yaml.safe_load(path.read_text()).get("student")
    config = load_config(path, ["student.model=world:student"] if leaves_the_student_open else [])
    assert config.strategy_records()
    assert dumped_and_loaded(config, tmp_path) == config


def dumped_and_loaded(config: Config, folder: Path) -> Config:
    path = folder / "dumped.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize("prompts", ["default", "world"])
def test_dumped_settings_load_as_the_same_settings(make_config, prompts: str, tmp_path: Path):
    config = make_config(
        f"prompts={prompts}", "generation.keep=all", "mixture.policy=self_only", "data.limit=7", "engine.dtype=bfloat16"
    )
    again = dumped_and_loaded(config, tmp_path)
    assert again == config
    assert dump_config(again) == dump_config(config)
    assert config_sha256(again) == config_sha256(config)


@pytest.mark.parametrize("text", ["010", "1e3", "1:30", "yes", "2026-01-02", "0o7", "a #b", "null", " x ", "~", ".5"])
def test_a_text_stays_a_text_in_every_reader_of_yaml(make_config, text: str, tmp_path: Path):
    config = make_config("prompts.stop=[END]")
    config = config.model_copy(update={"prompts": config.prompts.model_copy(update={"student": f"{text}{{question}}"})})
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": text})})
    dumped = dump_config(config)
    assert yaml.safe_load(dumped)["data"]["train"] == text
    assert dumped_and_loaded(config, tmp_path).data.train == text


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("seed=7", 7),
        ("training.learning_rate=3e-4", 3e-4),
        ("training.learning_rate=0.01", 0.01),
        ("trust_remote_code=true", True),
        ("data.limit=12", 12),
        ("data.limit=null", None),
        ("data.test=one.jsonl", ["one.jsonl"]),
        ("data.test=[one.jsonl, two.csv]", ["one.jsonl", "two.csv"]),
        ("data.test=[]", []),
        ("generation.keep=all", "all"),
        ("generation.keep=3", 3),
        ("generation.ramp=[2, 4]", [2, 4]),
        ("mixture.policy=all", Policy.ALL),
        ("training.lora.rank=0", 0),
        ("training.lora={rank: 8, alpha: 4}.rank", None),
        ("student.model=/a/b=c", "/a/b=c"),
        ("run_dir=s3://bucket/run", "s3://bucket/run"),
        ("strategies=[pot]", ["pot"]),
        ("seed=010", 10),
        ("seed=-007", -7),
        ("seed=0x10", 16),
        ("training.learning_rate=1e-3", 1e-3),
        ("run_dir=/a/b #2", "/a/b #2"),
        ("run_dir=#2", "#2"),
        ("run_dir='/a/b #2'", "/a/b #2"),
        ("run_dir=2026-01-02", "2026-01-02"),
        ("data.test=['a #1', b]", ["a #1", "b"]),
    ],
)
def test_overrides(make_config, override: str, value: object):
    key, _, _ = override.partition("=")
    if value is None and override != "data.limit=null":
        with pytest.raises(ConfigError):
            make_config(override)
        return
    found = make_config("data.limit=5", override)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_a_whole_section_can_be_overridden(make_config):
    config = make_config("training={epochs: 9, lora: {rank: 2}}")
    assert (config.training.epochs, config.training.lora.rank, config.training.lora.alpha) == (9, 2, 32)


def test_later_overrides_win(make_config):
    assert make_config("seed=1", "seed=2").seed == 2


def test_overrides_open_sections_that_the_file_does_not_have(make_config):
    assert make_config("iterations.max=0").iterations.max == 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("generation.num_sample=3", r"unknown setting generation\.num_sample \(did you mean num_samples\?\)"),
        ("iteration.max=3", r"unknown setting iteration \(did you mean iterations\?\)"),
        ("training.lora.rnk=3", r"unknown setting training\.lora\.rnk \(did you mean rank\?\)"),
        ("mixture.zzz=3", r"unknown setting mixture\.zzz \(known here: policy, order, alphas, kl_bound, wrong, .*\)"),
        ("mixture.policy=best", r"mixture\.policy: .*'adaptive', 'all', 'self_only'.*it is 'best'"),
        ("generation.num_samples=0", r"generation\.num_samples: .*greater than or equal to 1.*it is 0"),
        ("generation.temperature=warm", r"generation\.temperature: .*number.*it is 'warm'"),
        ("data.validation_fraction=1", r"data\.validation_fraction: .*less than 1"),
        ("training.zero_stage=4", r"training\.zero_stage: .*0, 1, 2 or 3.*it is 4"),
        ("training.epochs=1.5", r"training\.epochs: "),
        ("strategies=[]", r"strategies: "),
        ("strategies=[cot, tot]", r"\['tot'\] without an entry in prompts\.strategies; known are cot, l2m, pot"),
        ("strategies=[cot, cot]", "twice"),
        ("teacher={source: vllm}", "teacher: .*set its model to a directory"),
        ("teacher={source: dataset}", "teacher: .*set its path"),
        ("teacher.strategies.pot.source=openai", r"teacher\.strategies\.pot: .*set its model to the server's name"),
        (
            "teacher.strategies.pot.sourc=openai",
            r"unknown setting teacher\.strategies\.pot\.sourc \(did you mean source",
        ),
        ("teacher.engine.num_engins=2", r"unknown setting teacher\.engine\.num_engins \(did you mean num_engines\?\)"),
        ("student.model={path: x}", r"student\.model: .*valid string \(it is {'path': 'x'}\)"),
        ("data={train: x, test: {a: b}}", r"data\.test: .*valid list"),
        ("engine.num_engines=0", r"engine\.num_engines: .*equal to 1, or .*valid tuple \(it is 0\)"),
        ("engine.num_engines=[0, 1]", r"engine\.num_engines\.0: .*equal to 1 \(it is 0\)"),
        ("generation.keep=0", r"generation\.keep: .*equal to 1, or .*'all' \(it is 0\)"),
        ("cluster.training_resources.my-gpu=0", r"cluster\.training_resources\.my-gpu: .*greater than 0"),
        ("cluster.training_resources.tpu=.inf", r"cluster\.training_resources\.tpu: .*finite"),
        ("generation.temperature=.inf", r"generation\.temperature: .*finite number \(it is inf\)"),
        ("iterations.max_hours=.nan", r"iterations\.max_hours: .*finite"),
        ("teacher.endpoint.base_url=localhost:8000", r"teacher\.endpoint\.base_url: .*set it to one such as http://"),
        ("teacher.endpoint.base_url=''", r"teacher\.endpoint\.base_url: "),
        ("teacher.endpoint.base_url='http://[::1'", r"teacher\.endpoint\.base_url: "),
        ("teacher.endpoint.base_url=http://x:99999/v1", r"teacher\.endpoint\.base_url: "),
        ("teacher={source: oracle}", r"teacher\.source: .*'vllm'"),
        (
            "teacher={source: openai, model: m, endpoint: {extra_body: {temperature: 1}}}",
            r"teacher\.endpoint\.extra_body: temperature is set by the trainer",
        ),
        ("student.template_args={tokenize: false}", r"student\.template_args: tokenize is set by the trainer"),
        ("student.template_args={enable_thinking: [1]}", r"student\.template_args\.enable_thinking"),
        ("student.system_prompt=''", r"student\.system_prompt"),
        ("teacher={source: annotations, system_prompt: x}", "teacher: source annotations has no model; leave"),
        (
            "teacher={source: openai, model: m, endpoint: {api: completions}, template_args: {a: 1}}",
            "teacher: source openai continues prompts as they are",
        ),
        ("prompts.thought_tags=[[<plan>]]", r"prompts\.thought_tags\.0"),
        ("generation.accept=most", r"generation\.accept: .*'answer' or 'sound'"),
        ("teacher={}", r"teacher\.source is required"),
        ("prompts=nowhere.yaml", r"prompts: 'nowhere\.yaml' is neither"),
        ("seed", "'seed' is no override; write key.path=value"),
        ("=3", "'=3' is no override"),
        ("seed.deep=3", "seed.deep=3' cannot be set: "),
        ("seed=[", "no valid YAML"),
        ("seed=5 # five", r"seed: .*integer.*it is '5 # five'"),
        ("seed=1:30", r"seed: .*integer.*it is '1:30'"),
        ("run_dir='a' # b", "no valid YAML"),
        ("training={epochs: 1, epochs: 2}", "no valid YAML"),
        ("run_dir=''", "run_dir: an empty text names no directory; set it to one"),
        ("run_dir=' '", "run_dir: an empty text names no directory"),
    ],
)
def test_a_wrong_setting_is_one_readable_sentence(make_config, override: str, words: str):
    overrides = ["seed=1", override]
    with pytest.raises(ConfigError, match=words) as raised:
        make_config(*overrides)
    assert "\n" not in str(raised.value)


def test_sections_that_are_left_empty_have_their_defaults(make_config, settings_file: Path):
    values = yaml.safe_load(settings_file.read_text()) | {"engine": None, "training": {"lora": None}, "prompts": None}
    settings_file.write_text(yaml.safe_dump(values))
    assert make_config() == make_config("engine={}", "training={}", "prompts=default")
    config = make_config("engine.num_engines=2", "training.lora.rank=8", "prompts.stop=[END]")
    assert (config.engine.num_engines, config.training.lora.rank, config.prompts.stop) == (2, 8, ["END"])


def test_settings_as_they_are_printed_can_be_overridden(make_config, settings_file: Path):
    settings_file.write_text(dump_config(make_config()))
    engine = make_config("teacher.engine.num_engines=2").teacher.engine
    assert engine is not None and engine.num_engines == 2


def test_an_empty_section_does_not_stand_for_what_is_required(make_config, settings_file: Path):
    values = yaml.safe_load(settings_file.read_text()) | {"student": None}
    settings_file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"student\.model is required"):
        make_config()


def test_settings_that_are_required(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("data: {train: x}\nteacher: {source: annotations}\n")
    with pytest.raises(ConfigError, match=r"run_dir is required; set it .* as run_dir=….*student\.model is required"):
        load_config(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no settings file"),
        ("", "holds no settings"),
        ("- a\n- b\n", "holds no settings"),
        ("data: [\n", "cannot be read as YAML"),
        ("seed: 1\ndata: {train: x}\nseed: 2\n", "cannot be read as YAML: the key 'seed' stands there twice.*line 3"),
        ("data: {train: x, train: y}\n", "the key 'train' stands there twice"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, content: str | bytes | None, words: str):
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=words) as raised:
        load_config(path)
    assert "run.yaml" in str(raised.value) and "\n" not in str(raised.value)


def test_prompts_of_ones_own_are_found_beside_the_settings(settings_file: Path):
    values = yaml.safe_load(settings_file.read_text())
    prompts = load_config(settings_file).prompts.model_dump(mode="json")
    prompts["student"] = "Please solve.\n{question}\n"
    settings_file.with_name("own.yaml").write_text(yaml.safe_dump(prompts))
    settings_file.write_text(yaml.safe_dump(values | {"prompts": "own.yaml"}))
    assert load_config(settings_file).prompts.student == "Please solve.\n{question}\n"


def test_strategies_become_plain_records_in_their_order(make_config):
    records = make_config("strategies=[pot, cot]").strategy_records()
    assert [(record.name, record.kind) for record in records] == [("pot", AnswerKind.PROGRAM), ("cot", AnswerKind.TEXT)]
    assert records[1].answer_markers == ("The answer is",)
    assert records[1].demonstrations[0].rationale == "4 + 3 = 7. The answer is 7."


def test_the_hash_sees_every_setting_but_the_place(make_config):
    base = make_config()
    assert config_sha256(make_config("run_dir=/elsewhere")) == config_sha256(base)
    changed = [
        make_config(override)
        for override in ("seed=1", "training.lora.rank=0", "prompts=default", "data.test=[]", "strategies=[cot]")
    ]
    assert len({config_sha256(config) for config in [base, *changed]}) == 6


def test_differing_keys(make_config):
    base = make_config()
    assert differing_keys(base, make_config("run_dir=/elsewhere")) == []
    assert differing_keys(base, make_config("training.lora.rank=0", "data.limit=3")) == [
        "data.limit: None -> 3",
        "training.lora.rank: 16 -> 0",
    ]
    (strategies,) = differing_keys(base, make_config("strategies=[cot]"))
    assert strategies == "strategies: ['cot', 'l2m', 'pot'] -> ['cot']"


def test_what_a_run_is_given_may_differ_when_it_is_continued(make_config):
    teacher = "teacher={{source: openai, model: big, endpoint: {{max_concurrency: {}}}, engine: {{num_engines: {}}}}}"
    given = (
        *("engine.num_engines=3", "engine.gpus_per_engine=0.5", "engine.max_num_seqs=8", "engine.kv_cache_gib=2"),
        *("training.max_failures=9", "training.checkpoint.keep=5", "training.loggers=[]", "max_quarantined_fraction=1"),
    )
    base, other = make_config(teacher.format(64, 1)), make_config(teacher.format(2, 4), *given)
    assert differing_keys(base, other) == [] and config_sha256(base) == config_sha256(other)
    assert differing_keys(base, make_config(teacher.format(64, 1), "engine.dtype=float32")) == [
        "engine.dtype: 'auto' -> 'float32'"
    ]


def test_settings_do_not_change(make_config):
    with pytest.raises(ValueError, match="frozen"):
        make_config().seed = 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("prompts.student=Solve", "the template student has to use {question}"),
        ("prompts.student='Q {query} {question}'", "the template student does not render"),
        ("prompts.student='{question.x}'", "the template student does not render"),
        ("prompts.student='{question[a]}'", "the template student does not render"),
        ("prompts.stop=['']", "prompts.stop.0: String should have at least 1 character"),
        ("prompts.strategies.cot.answer_markers=['']", "prompts.strategies.cot.answer_markers.0: String should"),
        ("prompts.demonstration='{question}'", "the template demonstration has to use {rationale}"),
        ("prompts.strategies.free={kind: text, instruction: x}", "'free' cannot be a strategy"),
        ("prompts.strategies.step-by-step={kind: text, instruction: x}", "'step-by-step' cannot be a strategy"),
        ("prompts.strategies.cot.demonstrations=[{question: x}]", "rationale is required"),
    ],
)
def test_prompts_that_cannot_work_are_refused(make_config, override: str, words: str):
    with pytest.raises(ConfigError) as error:
        make_config(override)
    assert words in str(error.value)


def test_inline_prompts_replace_only_what_they_name(make_config):
    config, default = make_config("prompts.stop=[END]"), make_config()
    assert config.prompts.stop == ["END"]
    assert config.prompts.strategies == default.prompts.strategies
