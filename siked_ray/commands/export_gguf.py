"""`siked export`: a student, or any model, as one file for llama.cpp and Ollama."""

import argparse
from pathlib import Path

SUMMARY = "write a student, or any model, into a GGUF file for llama.cpp and Ollama"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN_OR_MODEL", help="a run directory, or a model directory or Hub name")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.gguf")
    parser.add_argument("--type", choices=("f16", "q8_0"), default="f16", help="of the matrices (default: f16)")
    parser.add_argument("--iteration", type=int, metavar="N", help="of a run (default: the best one)")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.data import run_directory as names
    from siked_ray.data.gguf.gguf_writing import write_gguf
    from siked_ray.data.model_folder import local_model
    from siked_ray.data.storage import Storage
    from siked_ray.errors import ConfigError
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.report.publishing import chosen_iteration

    do_without_an_unreachable_hub()
    run, model = Storage(options.model), options.model
    if run.exists(names.CONFIG):
        model = run.path(names.student(chosen_iteration(run, options.iteration)))
    elif options.iteration is not None:
        raise ConfigError(f"--iteration is of a run, and {options.model} is none: it has no {names.CONFIG}.")
    output = Path(options.output).expanduser()
    try:
        write_gguf(local_model(model), output, options.type)
    except OSError as error:
        raise ConfigError(f"Cannot write {output} from {model}: {error}") from None
    print(f"{output} ({output.stat().st_size / 1e6:,.0f} MB)")
    return 0
