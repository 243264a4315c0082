"""Whether what is learnt from is in a test set: the definition, in one place.

A question is a test question
* by its text (`EQUAL`): both have the same normalised words (`question_words`);
* nearly (`ALIKE`): the test question is in it word for word (8 words or more); or at least half of the 8-grams of the
  shorter one are in the other, and the numbers of one of them, in their order and without a gap, are among those of the
  other. For this an 8-gram counts where one question of the test set has it: what several have is how that set puts
  things, and no sign of one of its questions.

PaLM measures the share of 8-grams, and open-r1 takes a single one for a sign; GPT-3 leaves frequent n-grams out
(appendix C). What these rules find in known data sets, and why they are not stricter: docs/contamination.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from siked_ray.data.ngrams import Grams, grams_of, grams_of_texts, signs_and_anchors
from siked_ray.data.question_words import numbers_of, words_of

#: Of the 8-grams of the shorter question, the share that has to be in the other.
SHARE = 0.5
#: Questions that are compared, and held, at a time.
_BATCH = 8192


class Likeness(StrEnum):
    """How a question is a test question."""

    EQUAL = "equal"
    ALIKE = "alike"


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The question at `index` of those compared, and the test question that it is; `share` of the shorter one's 8-grams
    is in the other."""

    index: int
    test_set: str
    test_question: str
    likeness: Likeness
    share: float


class QuestionIndex:
    """The questions of test sets, hashed once: 16 bytes for each 8-gram, beside the questions."""

    def __init__(self, tests: Mapping[str, Iterable[str]]) -> None:
        self._sets = {name: _HashedSet(questions) for name, questions in tests.items()}

    def matches(self, questions: Iterable[str]) -> Iterator[Match]:
        """For each question the test question of each set that it is, or is most like; in the order of the questions,
        which are read as they come."""
        rest, start = iter(questions), 0
        while batch := [words_of(question) for question in islice(rest, _BATCH)]:
            grams = grams_of(batch)
            found = [
                Match(index=start + index, test_set=name, test_question=question, likeness=likeness, share=share)
                for name, one in self._sets.items()
                for index, (question, likeness, share) in one.matches(batch, grams).items()
            ]
            yield from sorted(found, key=lambda match: match.index)
            start += len(batch)


_Found = tuple[str, Likeness, float]


class _HashedSet:
    """The questions of one test set. Two spellings of a question are one."""

    def __init__(self, questions: Iterable[str]) -> None:
        by_text: dict[str, str] = {}
        for question in sorted(questions):
            by_text.setdefault(" ".join(words_of(question)), question)
        by_text.pop("", None)
        self._questions, self._texts = list(by_text.values()), list(by_text)
        self._index = {text: index for index, text in enumerate(by_text)}
        grams = grams_of_texts(self._texts)
        self._num_grams = grams.num_grams
        self._signs, self._anchors = signs_and_anchors(grams)

    def matches(self, batch: Sequence[Sequence[str]], grams: Grams) -> dict[int, _Found]:
        """By its number, what each question of the batch is, where it is any of these."""
        found: dict[int, _Found] = {}
        for index, words in enumerate(batch):
            if (equal := self._index.get(" ".join(words))) is not None:
                found[index] = (self._questions[equal], Likeness.EQUAL, 1.0)
        for index, other, _ in self._anchors.shared(grams):
            if index not in found and f" {self._texts[other]} " in f" {' '.join(batch[index])} ":
                found[index] = (self._questions[other], Likeness.ALIKE, 1.0)
        for index, other, count in self._signs.shared(grams):
            share = count / min(grams.num_grams[index], self._num_grams[other])
            best = found[index][2] if index in found else 0.0
            if share >= SHARE and share > best and _same_numbers(batch[index], self._texts[other].split()):
                found[index] = (self._questions[other], Likeness.ALIKE, min(1.0, float(share)))
        return found


def _same_numbers(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the fewer numbers are, in their order and without a gap, among the others; none are so among none."""
    few, many = sorted((numbers_of(words), numbers_of(others)), key=len)
    if not few:
        return not many
    return any(many[start : start + len(few)] == few for start in range(len(many) - len(few) + 1))
