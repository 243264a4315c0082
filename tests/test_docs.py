"""The pages are up to date, and every job in the repository is one that loads."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from siked_ray.config import Config, dump_config, load_config
from siked_ray.errors import ConfigError

ROOT = Path(__file__).parent.parent
JOBS = sorted((ROOT / "jobs").rglob("*.yaml"))
PAPER = sorted((ROOT / "jobs").glob("paper_*.yaml"))
#: The published learning rates and schedules by student.
PUBLISHED_RATES = {
    "Qwen/Qwen2-0.5B": (3e-4, "cosine"),
    "Qwen/Qwen2-1.5B": (3e-4, "cosine"),
    "google/gemma-2b-it": (2e-4, "linear"),
    "google/gemma-7b-it": (2e-4, "linear"),
    "HuggingFaceTB/SmolLM-1.7B": (2e-4, "linear"),
}


def test_the_settings_page_is_what_its_script_prints() -> None:
    script = ROOT / "docs" / "make_settings.py"
    printed = subprocess.run([sys.executable, script], capture_output=True, encoding="utf-8", check=True).stdout
    remedy = "run: python docs/make_settings.py > docs/settings.md"
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == printed, remedy


def test_the_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    keys = [
        f"{section}.{name}" for section, model in sections.items() for name in getattr(model, "model_fields", {"": 0})
    ]
    assert [key for key in keys if f"`{key.rstrip('.')}`" not in page] == []


def settings_of(path: Path) -> Config:
    overrides = ["student.model=any/student"] if path.stem.endswith("_annotated") else []
    return load_config(path, overrides)


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_every_job_loads_and_survives_being_written_down(path: Path, tmp_path: Path) -> None:
    config = settings_of(path)
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml") == config


def test_no_two_jobs_write_to_the_same_place() -> None:
    places = [settings_of(path).run_dir for path in JOBS]
    assert len(set(places)) == len(places)


def test_the_annotated_job_asks_for_its_student() -> None:
    with pytest.raises(ConfigError, match=r"student\.model is required"):
        load_config(ROOT / "jobs" / "gsm8k_annotated.yaml")


def test_the_papers_students_are_all_there() -> None:
    assert {load_config(path).student.model for path in PAPER} == set(PUBLISHED_RATES)


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_papers_jobs_hold_the_published_values(path: Path) -> None:
    config = load_config(path)
    generation, training = config.generation, config.training
    assert (generation.num_samples, generation.temperature, generation.top_p) == (10, 0.7, 0.95)
    assert (generation.max_new_tokens, config.evaluation.max_new_tokens) == (512, 1024)
    assert (training.lora.rank, training.lora.alpha, training.lora.dropout) == (16, 32, 0)
    assert (training.epochs, training.micro_batch_size, training.gradient_accumulation) == (3, 2, 4)
    assert (training.warmup_steps, training.weight_decay, training.max_seq_len) == (5, 0.01, 1024)
    assert (training.learning_rate, training.schedule) == PUBLISHED_RATES[config.student.model]
    assert (training.loss_on, config.mixture.policy, config.seed) == ("all", "adaptive", 42)


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_papers_models_fit_on_gpus_of_80_gb(path: Path) -> None:
    """70 billion parameters need four of them; a student needs one, so that as many replicas as there are GPUs fit."""
    config = load_config(path)
    teacher = config.engine_of("teacher")
    assert (teacher.tensor_parallel_size, teacher.gpus_per_engine) == (4, 4)
    assert (config.engine.tensor_parallel_size, config.engine.gpus_per_engine) == (1, 1)
    assert config.engine.engine_bounds == (1, 4)
    assert {teacher.dtype, config.engine.dtype} == {"bfloat16"}


def rooms() -> set[str]:
    folders = (path for path in (ROOT / "siked_ray").iterdir() if path.is_dir() and path.name != "__pycache__")
    return {f"{path.name}/" for path in folders}


def test_the_architecture_page_has_a_line_for_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+/)` \| \S", page, re.MULTILINE)) == rooms()


#: What was tried once names files as they were then; what can be added names files that are not there.
PAGES = [path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if path.stem not in ("log", "extending")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"[`(]((?:[\w.]+/)*\w+\.(?:py|sh))[`) ]", page.read_text(encoding="utf-8"))
    places = [ROOT, ROOT / "siked_ray", ROOT / "docs"]
    missing = [name for name in named if "/" in name and not any((place / name).exists() for place in places)]
    assert missing == []
    modules = {path.name for place in ("siked_ray", "tests") for path in (ROOT / place).rglob("*.py")}
    assert [name for name in named if "/" not in name and name not in modules] == []
