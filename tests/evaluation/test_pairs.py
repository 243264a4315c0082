import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.intervals import compare
from siked_ray.evaluation.pairs import compare_all, holm


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.01, 0.02, 0.022, 0.09], [0.04, 0.06, 0.06, 0.09]),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]):
    assert holm(p_values) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_no_correction_and_bonferronis(p_values: list[float]):
    adjusted = holm(p_values)
    assert all(p <= q <= min(1.0, len(p_values) * p) + 1e-12 for p, q in zip(p_values, adjusted, strict=True))
    ranked = sorted(zip(p_values, adjusted, strict=True))
    assert [q for _, q in ranked] == sorted(adjusted), "the order of the p-values stays"


def test_every_two_students_are_compared_and_what_the_later_one_gains_is_positive():
    solved = {"a": [True, False, False, False], "b": [True, True, True, False], "c": [False, True, True, True]}
    pairs = compare_all(solved)
    assert [(one.one, one.other) for one in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [(one.paired.gained, one.paired.lost) for one in pairs] == [(2, 0), (3, 1), (1, 1)]
    assert pairs[0].paired == compare(solved["a"], solved["b"])
    assert pairs[0].paired.difference == 0.5
    assert [one.p_holm for one in pairs] == holm([one.paired.p_value for one in pairs])
