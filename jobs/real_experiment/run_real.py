"""Is the loop worth it on a real student? SmolLM2-135M, published rationales, three seeds and a control.

    make real-experiment                                         # with the weights that `make real` gets
    python jobs/real_experiment/run_real.py --student FILE.gguf --data FOLDER
    python jobs/real_experiment/run_real.py --report             # only writes the page, from the arms that are finished

FOLDER has gsm8k_test.jsonl, and teachers/{svamp,multiarith,asdiv}.{gpt-4,code-davinci-002}.jsonl, published rationales.
About five hours a seed on two cores; each arm is a `siked run` of its own, and the same command goes on where an
interrupted one stopped. It writes docs/real.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "experiment"))
sys.path.insert(0, str(Path(__file__).parent))

from real_arms import ARMS, SEEDS, TEACHERS, TESTS, TRANSFER, Task, tasks
from real_page import write_page
from running import PROJECT, Runs, is_finished

HERE = Path(__file__).parent
STUDENT = "HuggingFaceTB/SmolLM2-135M-Instruct"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default=STUDENT, help="a folder, a .gguf file or a Hub name")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--root", type=Path, default=PROJECT / "runs" / "real_experiment")
    parser.add_argument("--page", type=Path, default=PROJECT / "docs" / "real.md")
    parser.add_argument("--teachers", nargs="+", default=list(TEACHERS), choices=TEACHERS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--arms", nargs="+", default=[arm.name for arm in ARMS], choices=[arm.name for arm in ARMS])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change all arms' settings")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    root, wanted = (
        options.root.resolve(),
        [one for one in tasks(options.data.resolve(), options.student) if _is_wanted(one, options)],
    )
    failed: list[str] = []
    if not options.report:
        runs = Runs(root, HERE / "base.yaml", options.set, num_parallel=1)
        failed = runs.in_parallel(wanted, lambda task: task.overrides(root))
        evaluate_untrained(root, wanted[0], options.student)
    finished = {one: _read(root / one.name / "summary.json") for one in wanted if is_finished(root / one.name)}
    untrained = root / "untrained.json"
    write_page(options.page, finished, _read(untrained) if untrained.exists() else {})
    print(f"{options.page} is written." + (f" Not finished: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def evaluate_untrained(root: Path, task: Task, student: str) -> None:
    """The base student's figures by test set, with the prompts and the limits of a finished run; stored in the root."""
    output, config = root / "untrained.json", root / task.name / "config.yaml"
    if output.exists() or not is_finished(root / task.name):
        return
    import yaml

    settings = yaml.safe_load(config.read_text())
    prompts = root / "prompts.yaml"
    prompts.write_text(yaml.safe_dump(settings["prompts"]))
    command = [sys.executable, "-m", "siked_ray", "eval", student, "--prompts", str(prompts), "--json"]
    command += ["--max-new-tokens", str(settings["evaluation"]["max_new_tokens"])]
    figures = {}
    for name, data in zip((*TESTS, TRANSFER), settings["data"]["test"], strict=True):
        found = subprocess.run([*command, "--data", data], cwd=PROJECT, check=True, capture_output=True, text=True)
        figures[name] = json.loads(found.stdout)
    output.write_text(json.dumps(figures))


def _is_wanted(task: Task, options: argparse.Namespace) -> bool:
    return task.teacher in options.teachers and task.seed in options.seeds and task.arm.name in options.arms


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(main())
