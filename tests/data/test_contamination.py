"""What counts as a test question: the definition against a plain reading of it, and what it finds in known data."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.data import contamination, load_problems, ngrams
from siked_ray.data.contamination import Likeness, Match, QuestionIndex
from siked_ray.data.question_words import numbers_of, words_of
from siked_ray.preflight.check import check
from tests.conftest import write_jsonl

Original = Callable[[str], str]
BAKER = (
    "A baker in the old town has 48 rolls. She sells 15 of them in the morning, and in the afternoon she sells three "
    "bags of 8 to a school. How many rolls are left for the evening?"
)


def matches(questions: Sequence[str], tests: Sequence[str]) -> list[Match]:
    return list(QuestionIndex({"t": tests}).matches(questions))


def found(question: str, *tests: str) -> Likeness | None:
    return next((match.likeness for match in matches([question], tests or [BAKER])), None)


@pytest.mark.parametrize(
    ("question", "likeness"),
    [
        (BAKER, Likeness.EQUAL),
        (BAKER.upper().replace(".", " ."), Likeness.EQUAL),
        (BAKER.replace("three", "3").replace("48", "forty-eight"), Likeness.EQUAL),
        (BAKER.replace("school", "hospital"), Likeness.ALIKE),
        (BAKER.replace("morning", "early morning"), Likeness.ALIKE),
        (f"Solve this step by step. {BAKER} Think first.", Likeness.ALIKE),
        (BAKER.partition(" How many")[0], Likeness.ALIKE),
        (BAKER.replace("48", "96"), None),
        (BAKER.replace("15", "15 or 16"), None),
        ("How many rolls are left for the evening?", None),
        ("", None),
    ],
)
def test_a_question_and_its_variants(question: str, likeness: Likeness | None) -> None:
    assert found(question) == likeness


def test_short_questions_are_compared_by_their_words_alone() -> None:
    assert found("what is 3 plus 4", "What is 3 plus 4?") == Likeness.EQUAL
    assert found("Tell me now: what is 3 plus 4?", "What is 3 plus 4?") is None


def test_signs_of_arithmetic_tell_questions_apart() -> None:
    assert found("What is 3 - 4?", "What is 3 + 4?") is None


def test_what_several_test_questions_share_is_no_sign() -> None:
    frame = (
        "It is {} degrees at the lake and then at noon the wind {} by 2 and it gets very dark there till dawn comes up"
    )
    tests = [frame.format(4, "turns"), frame.format(5, "rises")]
    other = frame.format(4, "drops")
    assert [found(other, tests[0]), found(other, *tests)] == [Likeness.ALIKE, None]
    assert [found(tests[0], *tests), found(f"Well: {tests[0]}", *tests)] == [Likeness.EQUAL, Likeness.ALIKE]


def test_the_most_alike_of_each_test_set_is_named() -> None:
    near, nearer = BAKER.replace("48 rolls", "48 fresh rolls"), BAKER.replace("evening", "night")
    index = QuestionIndex({"a": [near, "Else?"], "b": [nearer], "c": ["Else?"]})
    first, second = index.matches([BAKER])
    assert [(one.test_set, one.test_question) for one in (first, second)] == [("a", near), ("b", nearer)]
    assert 0.5 < first.share < second.share < 1


#: Few words, so that random questions share 8-grams, and numbers among them.
_WORD = st.sampled_from(["egg", "pan", "cow", "3", "4"])
_QUESTION = st.lists(_WORD, max_size=14).map(" ".join)
_PAIRS = st.tuples(_QUESTION, st.lists(_WORD, max_size=4).map(" ".join), st.booleans())


def plainly(question: str, tests: Sequence[str]) -> tuple[Likeness, float] | None:
    """The definition, read word for word, slowly."""
    words, others = words_of(question), {tuple(words_of(test)) for test in tests} - {()}
    if tuple(words) in others:
        return Likeness.EQUAL, 1.0
    grams_of = {other: {other[i : i + 8] for i in range(len(other) - 7)} for other in others}
    having = Counter(gram for grams in grams_of.values() for gram in grams)
    own = {tuple(words[i : i + 8]) for i in range(len(words) - 7)}
    shares = [0.0]
    for other, grams in grams_of.items():
        if grams and any(tuple(words[i : i + len(other)]) == other for i in range(len(words))):
            shares.append(1.0)
        few, many = sorted((numbers_of(words), numbers_of(other)), key=len)
        gaps = range(len(many) - len(few) + 1)
        if (not few and many) or not any(many[i : i + len(few)] == few for i in gaps):
            continue
        if own and grams:
            shared = sum(having[gram] == 1 for gram in own & grams)
            shares.append(shared / (min(len(words), len(other)) - 7))
    return (Likeness.ALIKE, max(shares)) if max(shares) >= contamination.SHARE else None


@given(st.lists(_PAIRS, max_size=6), st.lists(_QUESTION, max_size=4), st.randoms(use_true_random=False))
def test_it_is_what_the_definition_says_in_any_order(pairs, others, rng: random.Random) -> None:
    tests = [test for test, _, _ in pairs] + others
    questions = [f"{test} {more}" if behind else f"{more} {test}" for test, more, behind in pairs] + others[::2]
    expected = {question: plainly(question, tests) for question in questions}
    rng.shuffle(questions)
    rng.shuffle(tests)
    result = {questions[one.index]: (one.likeness, pytest.approx(one.share)) for one in matches(questions, tests)}
    assert {question: result.get(question) for question in questions} == expected


def test_questions_are_read_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "_BATCH", 3)
    monkeypatch.setattr(ngrams, "_SPLIT_AT_A_TIME", 2)
    read: list[int] = []

    def stream() -> Iterator[str]:
        for number in range(9):
            read.append(number)
            yield BAKER if number % 4 == 1 else f"Else {number}?"

    result = QuestionIndex({"t": ["One?", "Two?", BAKER]}).matches(stream())
    assert (next(result).index, len(read)) == (1, 3)
    assert [one.index for one in result] == [5]


def test_hashes_are_the_same_in_every_process() -> None:
    (one,) = ngrams.grams_of([["a"] * 8]).hashes.tolist()
    assert one == 10213308326362172744


def test_the_demos_world_overlaps_nowhere() -> None:
    train, test = (load_problems(f"world:{split}") for split in ("train", "test"))
    for limit in (20, 200, 3000):
        assert matches([one.question for one in train[:limit]], [one.question for one in test[:limit]]) == []


def changed(question: str, number: int) -> str:
    """Another word in place of one of a question's."""
    words = question.split()
    plain = [index for index, word in enumerate(words) if word.isalpha()]
    words[plain[number % len(plain)]] = "something"
    return " ".join(words)


def test_gsm8k(original: Original) -> None:
    train, test = (
        [one.question for one in load_problems(original(f"gsm8k_{part}.jsonl"))] for part in ("train", "test")
    )
    index = QuestionIndex({"gsm8k": test})
    assert list(index.matches(train)) == []
    assert [one.likeness for one in index.matches(one.lower().replace(" 2 ", " two ") for one in test)] == (
        [Likeness.EQUAL] * len(test)
    )
    with_another_word = [changed(question, number) for number, question in enumerate(test)]
    assert sum(1 for _ in index.matches(with_another_word)) >= 0.97 * len(test)


@pytest.mark.parametrize(
    ("train", "test", "equal"),
    [("SVAMP.json", "MultiArith.json", 0), ("SVAMP.json", "ASDiv.xml", 0), ("MultiArith.json", "ASDiv.xml", 78)],
)
def test_other_sets(original: Original, train: str, test: str, equal: int) -> None:
    """MultiArith and ASDiv were collected from the same pages."""
    questions = [[one.question for one in load_problems(original(name))] for name in (train, test)]
    assert Counter(one.likeness for one in matches(*questions)) == Counter({Likeness.EQUAL: equal} if equal else {})


def test_gsm8ks_test_problems_in_a_file_are_left_out(original: Original, make_config, tmp_path: Path) -> None:
    train, test = (load_problems(original(f"gsm8k_{part}.jsonl"))[:300] for part in ("train", "test"))
    mixed = [*train[:200], *test[:40]]
    rows = [{"question": one.question, "answer": one.answer} for one in mixed]
    rows += [{"question": changed(one.question, 3 * i), "answer": one.answer} for i, one in enumerate(test[40:60])]
    random.Random(0).shuffle(rows)
    sets = (f"data.train={write_jsonl(tmp_path / 'mixed.jsonl', rows)}", f"data.test={original('gsm8k_test.jsonl')}")
    checked = check(make_config(*sets, "teacher={source: vllm, model: 'world:teacher'}"))
    assert {one.question for one in (*checked.train, *checked.validation)} == {one.question for one in train[:200]}
    assert Counter(one.reason.value for one in checked.excluded) == {
        "question of a test set": 40,
        "nearly a question of a test set": 20,
    }
    assert len(checked.tests["gsm8k"]) == 1319
