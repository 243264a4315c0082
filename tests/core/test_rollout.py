"""Which samples may be kept."""

from dataclasses import replace

import pytest

from siked_ray.core.reasoning import Accept, Reasoning, Steps
from siked_ray.core.verdict import Verdict
from tests.core.test_mixture_rule import rollout


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("sound", [True, False, None])
def test_what_is_accepted(verdict: Verdict, sound: bool | None):
    sample = replace(rollout("p", verdict=verdict), sound=sound)
    assert sample.is_accepted(Accept.ANSWER) is (verdict is Verdict.CORRECT)
    assert sample.is_accepted(Accept.SOUND) is (verdict is Verdict.CORRECT and sound is True)


def test_a_false_step_or_an_answer_out_of_nowhere_is_not_sound():
    assert Reasoning(steps=Steps(stated=2, true=2, reaches_answer=True)).sound
    assert not Reasoning(steps=Steps(stated=2, true=1, reaches_answer=True)).sound
    assert not Reasoning(steps=Steps(stated=2, true=2, reaches_answer=False)).sound
    assert Reasoning(uses_question_numbers=True).sound and not Reasoning(uses_question_numbers=False).sound
