"""What processes import, and the garbage collector meanwhile."""

import gc
import subprocess
import sys

import pytest

from siked_ray.startup import garbage_collector_paused


def test_the_collector_stands_still_and_goes_on():
    with garbage_collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error():
    with pytest.raises(ImportError), garbage_collector_paused():
        raise ImportError
    assert gc.isenabled()


def test_one_that_was_off_stays_off():
    gc.disable()
    try:
        with garbage_collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_who_starts_a_training_stage_and_its_controller_import_no_torch():
    names = ("trainer", "lean_trainer", "process_group", "patience")
    imports = "; ".join(f"import siked_ray.training.stage.{name}" for name in names)
    script = f"import sys; {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
