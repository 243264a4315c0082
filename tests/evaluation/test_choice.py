from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.evaluation.choice import examine_choices
from siked_ray.evaluation.outcomes import GradedAnswer

STRATEGIES = ["cot", "pot"]


def problem(chosen: str | None, free: bool, **forced: bool) -> dict[str, GradedAnswer]:
    def outcome(requested: str, strategy: str, solved: bool) -> GradedAnswer:
        verdict = Verdict.CORRECT if solved else Verdict.WRONG
        return GradedAnswer(problem_id="", requested=requested, strategy=strategy, verdict=verdict)

    made = {name: outcome(name, name, solved) for name, solved in forced.items()}
    return made | ({FREE: outcome(FREE, chosen, free)} if chosen else {})


PROBLEMS = [
    problem("cot", True, cot=True, pot=True),
    problem("cot", False, cot=False, pot=True),
    problem("pot", True, cot=False, pot=True),
    problem("pot", False, cot=False, pot=False),
    problem("none", False, cot=True, pot=True),
    problem(None, False, cot=True, pot=True),
]


def test_chosen_against_best_by_hand():
    choices = examine_choices(PROBLEMS, STRATEGIES)
    assert choices.confusion == {
        "cot": {"cot": 1, "pot": 1, "none": 0},
        "pot": {"cot": 0, "pot": 1, "none": 1},
        "none": {"cot": 0, "pot": 1, "none": 0},  # pot solves four problems, cot three
    }
    assert choices.accuracy == 2 / 4, "of four problems that can be solved and have a choice, two were chosen well"


def test_accuracies_of_the_problems_that_a_strategy_was_chosen_for():
    by_choice = examine_choices(PROBLEMS, STRATEGIES).by_choice
    assert (by_choice["cot"].num_problems, by_choice["cot"].free) == (2, 0.5)
    assert by_choice["cot"].forced == {"cot": 0.5, "pot": 1.0}, "the choice is not calibrated: pot does better there"
    assert by_choice["pot"].forced == {"cot": 0.0, "pot": 0.5}


def test_nothing_that_can_be_solved():
    choices = examine_choices([problem("cot", False, cot=False, pot=False)], STRATEGIES)
    assert choices.accuracy is None
    assert choices.by_choice["pot"].num_problems == 0
