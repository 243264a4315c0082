"""How sure a model is, out of the two likeliest tokens at each place."""

import pytest

from siked_ray.core.margin import DecodedToken, Margin, margin_of, num_tag_tokens
from siked_ray.core.reasoning import Accept
from siked_ray.core.sampling_plan import greedy_plan

PLACES = [DecodedToken(text, gap) for text, gap in [(" [", 9.0), ("cot", 0.25), ("]", 7.0), (":", 8.0), (" 4", 0.75)]]


def test_where_the_difference_is_taken():
    assert margin_of(Margin.FIRST_TOKEN, PLACES) == 9.0
    assert margin_of(Margin.TAG, PLACES) == 0.25, "the token of the tag that the model was least sure of"
    assert margin_of(Margin.MEAN, PLACES) == pytest.approx(5.0)
    assert margin_of(Margin.VOTES, PLACES) is None


@pytest.mark.parametrize(
    ("texts", "number"),
    [(["[cot]:", " 4"], 1), (["[", "co", "t]", ": 4"], 4), (["\n", "[cot]", " 4"], 2), (["4 [cot]:"], 0), ([], 0)],
)
def test_the_tokens_of_a_tag(texts: list[str], number: int):
    assert num_tag_tokens(texts) == number


def test_what_is_not_known_is_no_margin():
    assert margin_of(Margin.MEAN, []) is None
    assert margin_of(Margin.TAG, PLACES[4:]) is None
    assert margin_of(Margin.FIRST_TOKEN, [DecodedToken("a", None), *PLACES]) is None
    assert margin_of(Margin.MEAN, [DecodedToken("a", None), DecodedToken("b", 2.0)]) == 2.0


def test_plans_without_a_margin_are_recorded_as_before():
    assert greedy_plan(8).arguments == {
        "num_samples": 1,
        "ramp": (1,),
        "keep": None,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_new_tokens": 8,
        "accept": Accept.ANSWER,
    }
