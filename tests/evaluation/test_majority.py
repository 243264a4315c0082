import pytest

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.evaluation.majority import majority_solves
from siked_ray.evaluation.outcomes import GradedAnswer

STRATEGIES = ["cot", "l2m", "pot"]


def answers(gold: str, chosen: str = "none", **predicted: str | None) -> dict[str, GradedAnswer]:
    made = {
        name: GradedAnswer(
            problem_id="1",
            requested=name,
            strategy=name,
            verdict=Verdict.CORRECT if answer == gold else Verdict.WRONG if answer else Verdict.UNPARSED,
            predicted=answer,
        )
        for name, answer in predicted.items()
    }
    free = GradedAnswer(problem_id="1", requested=FREE, strategy=chosen, verdict=Verdict.WRONG)
    return made | {FREE: free}


@pytest.mark.parametrize(
    ("predicted", "solved"),
    [
        ({"cot": "4", "l2m": "4", "pot": "5"}, True),
        ({"cot": "5", "l2m": "5", "pot": "4"}, False),
        ({"cot": "4", "l2m": "5", "pot": "5.0"}, False),
        ({"cot": "4", "l2m": "5", "pot": "6"}, True),
        ({"cot": "5", "l2m": "4", "pot": "6"}, False),
        ({"cot": None, "l2m": None, "pot": "4"}, True),
        ({"cot": None, "l2m": None, "pot": None}, False),
        ({"pot": "4"}, True),
        ({}, False),
    ],
)
def test_most_answers_win_and_the_first_of_a_tie(predicted: dict[str, str | None], solved: bool):
    assert majority_solves(answers("4", **predicted), STRATEGIES) is solved


@pytest.mark.parametrize(("chosen", "solved"), [("cot", False), ("l2m", True), ("pot", False), ("none", False)])
def test_a_tie_goes_to_what_the_student_chose(chosen: str, solved: bool):
    assert majority_solves(answers("4", chosen, cot="5", l2m="4", pot="6"), STRATEGIES) is solved
