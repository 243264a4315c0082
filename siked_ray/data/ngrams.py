"""8-grams of words as 64-bit hashes in arrays: those of some questions, and tables of them to look others up in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Words of an n-gram.
N = 8
#: Questions that may have the 8-gram by which one of them is looked up: a bound on the work for sets out of templates.
_MOST_ALIKE = 64
#: Questions whose words are held at a time; words take more memory than hashes.
_SPLIT_AT_A_TIME = 8192
#: Of the polynomial that makes one hash of the hashes of N words, modulo 2^64.
_FACTOR = 0x9E3779B97F4A7C15


@dataclass(frozen=True, kw_only=True, slots=True)
class Grams:
    """Hashes of the 8-grams of some questions; the question of each; how many each question has."""

    hashes: "NDArray[np.uint64]"
    questions: "NDArray[np.int64]"
    num_grams: "NDArray[np.int64]"


def grams_of(questions: Sequence[Sequence[str]]) -> Grams:
    import numpy as np

    lengths = np.fromiter(map(len, questions), dtype=np.int64, count=len(questions))
    words = np.fromiter(map(_hash, chain.from_iterable(questions)), dtype=np.uint64, count=lengths.sum())
    owners = np.repeat(np.arange(len(questions)), lengths)
    number = max(0, len(words) - N + 1)
    hashes = np.zeros(number, dtype=np.uint64)
    for offset in range(N):
        hashes = hashes * np.uint64(_FACTOR) + words[offset : offset + number]
    within = np.flatnonzero(owners[:number] == owners[len(owners) - number :])
    ascending = within[np.argsort(hashes[within])]  # in this order they are looked up several times faster
    return Grams(hashes=hashes[ascending], questions=owners[ascending], num_grams=np.maximum(lengths - N + 1, 0))


def grams_of_texts(texts: Sequence[str]) -> Grams:
    """The same of many questions; words take more memory than hashes, so a few thousand are split at a time."""
    import numpy as np

    starts = range(0, len(texts), _SPLIT_AT_A_TIME) or [0]
    parts = [grams_of([text.split(" ") for text in texts[start : start + _SPLIT_AT_A_TIME]]) for start in starts]
    return Grams(
        hashes=np.concatenate([part.hashes for part in parts]),
        questions=np.concatenate([part.questions + start for start, part in zip(starts, parts, strict=True)]),
        num_grams=np.concatenate([part.num_grams for part in parts]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GramTable:
    """8-grams of test questions by their hash, ascending, and the question of each."""

    hashes: "NDArray[np.uint64]"
    questions: "NDArray[np.int64]"

    def shared(self, grams: Grams) -> list[tuple[int, int, int]]:
        """(question, test question, how many of these 8-grams both have) where they share any, ascending."""
        import numpy as np

        if not len(self.hashes):
            return []
        first = np.minimum(np.searchsorted(self.hashes, grams.hashes), len(self.hashes) - 1)
        hits = self.hashes[first] == grams.hashes
        first, ours = first[hits], grams.questions[hits]
        number = np.searchsorted(self.hashes, self.hashes[first], side="right") - first
        places = np.repeat(first - np.cumsum(number) + number, number) + np.arange(number.sum())
        distinct = np.unique(np.stack((np.repeat(ours, number), self.questions[places], places)), axis=1)
        pairs, counts = np.unique(distinct[:2], axis=1, return_counts=True)
        return list(zip(*pairs.tolist(), counts.tolist(), strict=True))


def signs_and_anchors(grams: Grams) -> "tuple[GramTable, GramTable]":
    """The 8-grams that one question alone has; and of each question one of those that the fewest have."""
    import numpy as np

    order = np.lexsort((grams.questions, grams.hashes))
    hashes, questions = grams.hashes[order], grams.questions[order]
    is_new = np.ones(len(hashes), dtype=bool)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (questions[1:] != questions[:-1])
    hashes, questions = hashes[is_new], questions[is_new]
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    how_many_have_it = counts[place]
    alone = how_many_have_it == 1
    rarest_first = np.lexsort((hashes, how_many_have_it, questions))
    _, first = np.unique(questions[rarest_first], return_index=True)
    rarest = np.sort(rarest_first[first])
    rarest = rarest[how_many_have_it[rarest] <= _MOST_ALIKE]
    signs = GramTable(hashes=hashes[alone], questions=questions[alone])
    return signs, GramTable(hashes=hashes[rarest], questions=questions[rarest])


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    """64 bits, the same in every process; of 10 million questions against 100,000, a false hit has odds of 1 to 10,000,
    and half of a question's 8-grams have to be hit."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
