import pytest

from siked_ray.evaluation.seeds import compare_over_seeds, mean_and_half_width, sign_flip_p, t_probability, t_quantile


@pytest.mark.parametrize(
    ("num_degrees", "t"), [(1, 12.706), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (30, 2.0423)]
)
def test_students_table(num_degrees: int, t: float):
    assert t_quantile(0.95, num_degrees) == pytest.approx(t, rel=1e-4)
    assert t_probability(t, num_degrees) == pytest.approx(0.95, abs=1e-5)


def test_the_sleep_data_of_student():
    """Student (1908), differences of ten patients: t = 4.0621, p = 0.00283; mean 1.58, interval 0.70 to 2.46."""
    differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    compared = compare_over_seeds(differences)
    assert compared.mean == pytest.approx(1.58)
    assert compared.interval == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert compared.p_t == pytest.approx(0.002833, abs=1e-6)
    assert compared.p_flip == pytest.approx(4 / 1024), "one difference is 0, so two of the flips are equal to each"


@pytest.mark.parametrize(("differences", "p"), [([1.0] * 6, 2 / 64), ([1.0, -1.0], 1.0), ([3.0, 1.0, -1.0], 0.75)])
def test_flips_by_hand(differences: list[float], p: float):
    assert sign_flip_p(differences) == p


def test_differences_that_are_all_the_same_are_certain():
    assert compare_over_seeds([0.1, 0.1, 0.1]).p_t == pytest.approx(0.0)
    assert compare_over_seeds([0.0, 0.0]).p_t == 1.0


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="two of them at least"):
        mean_and_half_width([0.5])
