"""The garbage collector while libraries are imported."""

import gc

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
