"""Packing of tokenised examples into rows, as a pure function of their lengths, their order and the seed.

The packed rows and their order do not depend on the number of workers, only how the rows of a step are shared out;
and every worker can count the targets of the whole step from the lengths, without asking the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, TypeVar

from siked_ray.data.payload import TopK, joined

if TYPE_CHECKING:
    import numpy as np

#: A row is filled out of the oldest unpacked examples: at least so many, and so many rows' worth of tokens.
LOOK_AHEAD_EXAMPLES = 64
_LOOK_AHEAD_ROWS = 3

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Examples are shuffled all together up to `num_examples`; beyond, by blocks and then within windows of blocks, so
    that only a window's tokens are in memory at a time. `block` examples are stored together."""

    block: int
    blocks: int = 16

    @property
    def num_examples(self) -> int:
        return self.block * self.blocks

    @property
    def num_blocks_in_memory(self) -> int:
        """Those of the window being packed and of the one before, whose last examples still wait."""
        return 2 * self.blocks + 2


#: At 200 tokens an example and 4 bytes a token, 0.1 GB in memory.
OF_TOKENS = Window(block=4096)
#: At 98 bytes a token (the teacher's top 16), 0.3 GB; 2 GB if the window were that of tokens alone.
OF_TOKENS_WITH_TEACHER = Window(block=512)


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of prompt and response, and what is known of the response's tokens; the response ends with the
    end-of-sequence token. A `wrong` one is no text to learn, but one to be corrected on. The
    first `num_tag` tokens of the response are a strategy's tag, where an objective has to know."""

    prompt: "np.ndarray"
    response: "np.ndarray"
    payload: TopK | None = None
    wrong: bool = False
    num_tag: int = 0

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


class Examples(Protocol):
    """Examples by index: a list, or a reader that fetches them as they are needed."""

    def __getitem__(self, index: int, /) -> Example: ...


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Examples one after the other: their token ids, how many of each example's are prompt and response, what is
    known of all tokens of responses, which examples are wrong (1; None: none of them), and how many tokens of each
    response are its tag (None: nothing is known of tags)."""

    tokens: "np.ndarray"
    prompt_lengths: "np.ndarray"
    response_lengths: "np.ndarray"
    payload: TopK | None = None
    wrong: "np.ndarray | None" = None
    tag_lengths: "np.ndarray | None" = None

    @property
    def num_tag_E(self) -> "np.ndarray":
        """Tokens of each example's tag; 0 where nothing is known of tags."""
        import numpy as np

        return np.zeros(len(self.prompt_lengths), dtype=np.int32) if self.tag_lengths is None else self.tag_lengths

    @property
    def is_wrong_E(self) -> "np.ndarray":
        """1 for the examples that are wrong, 0 for others."""
        import numpy as np

        return np.zeros(len(self.prompt_lengths), dtype=np.int32) if self.wrong is None else self.wrong

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "PackedRow":
        import numpy as np

        parts = [part for example in examples for part in (example.prompt, example.response)]
        lengths = np.array([len(part) for part in parts], dtype=np.int32)
        prompts, responses = lengths[::2], lengths[1::2]
        payload = joined([example.payload for example in examples], responses)
        wrong = np.array([example.wrong for example in examples], dtype=np.int32)
        tokens = np.concatenate(parts).astype(np.int32)
        tags = np.array([example.num_tag for example in examples], dtype=np.int32)
        marks = [marked if marked.any() else None for marked in (wrong, tags)]
        return cls(tokens, prompts, responses, payload, *marks)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of prompt and response of every example: all that a plan of the steps has to know of them. Where rows of
    one prompt are to stay together, `prompt_ids` (`prompt_id`) say which they are."""

    prompt: "np.ndarray"
    response: "np.ndarray"
    prompt_ids: "np.ndarray | None" = None

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Lengths":
        import numpy as np

        return cls(
            prompt=np.array([len(example.prompt) for example in examples], dtype=np.int32),
            response=np.array([len(example.response) for example in examples], dtype=np.int32),
            prompt_ids=np.array([prompt_id(example.prompt) for example in examples], dtype=np.int64),
        )

    @property
    def total(self) -> "np.ndarray":
        return self.prompt + self.response

    def targets(self, loss_on: str) -> "np.ndarray":
        """Tokens of every example on which a loss is taken; the first token of an example never is one."""
        return self.response - (self.prompt == 0) if loss_on == "response" else self.total - 1


def prompt_id(tokens: "Sequence[int] | np.ndarray") -> int:
    """Equal for equal prompts: 63 bits of a hash of the tokens."""
    import numpy as np

    digest = blake2b(np.asarray(tokens, dtype=np.int32).tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(num_examples: int, *, seed: int, epoch: int, window: Window = OF_TOKENS) -> "np.ndarray":
    """A permutation of the examples that depends on seed and epoch alone; local to a window where they are many."""
    import numpy as np

    random = np.random.default_rng([seed, epoch])
    size = window.num_examples
    if num_examples <= size:
        return random.permutation(num_examples)
    everything = np.arange(num_examples)
    blocks = [everything[first : first + window.block] for first in range(0, num_examples, window.block)]
    by_block = np.concatenate([blocks[index] for index in random.permutation(len(blocks))])
    windows = [by_block[first : first + size] for first in range(0, num_examples, size)]
    return np.concatenate([random.permutation(examples) for examples in windows])


def pack_rows(lengths: Sequence[int], order: Sequence[int], max_seq_len: int) -> Iterator[list[int]]:
    """Rows (of example indices) of at most `max_seq_len` tokens, nearly all of them full to the last few tokens.

    Each row takes the oldest example and that subset of the next ones which fills the rest best (subset sum, exact
    within the look-ahead). No example waits longer than the look-ahead, so the order of the examples survives.
    Raises ValueError when an example is longer than a row.
    """
    waiting: list[int] = []
    tokens_waiting = position = 0
    while True:
        while position < len(order) and not is_enough(len(waiting), tokens_waiting, max_seq_len):
            index = int(order[position])
            if lengths[index] > max_seq_len:
                raise ValueError(f"example {index} has {lengths[index]} tokens and a row {max_seq_len}")
            waiting.append(index)
            tokens_waiting += int(lengths[index])
            position += 1
        if not waiting:
            return
        picked = best_fill([int(lengths[index]) for index in waiting], max_seq_len)
        row = [waiting[place] for place in picked]
        taken = set(picked)
        waiting = [index for place, index in enumerate(waiting) if place not in taken]
        tokens_waiting -= sum(int(lengths[index]) for index in row)
        yield row


def is_enough(num_waiting: int, tokens_waiting: int, max_seq_len: int) -> bool:
    """Whether as many examples wait as a row is filled out of."""
    return num_waiting >= LOOK_AHEAD_EXAMPLES and tokens_waiting >= _LOOK_AHEAD_ROWS * max_seq_len


def best_fill(lengths: Sequence[int], room: int) -> list[int]:
    """Places of the first length and of others with the largest sum within `room`; earlier ones where it is a tie.

    Bit s of `reachable[i]` says whether some of the lengths from place i on sum to s.
    """
    within = (1 << (room + 1)) - 1
    reachable = [1] * (len(lengths) + 1)
    for place in range(len(lengths) - 1, 0, -1):
        following = reachable[place + 1]
        reachable[place] = following | (following << lengths[place]) & within
    rest = room - lengths[0]
    rest = (reachable[1] & ((1 << (rest + 1)) - 1)).bit_length() - 1
    picked, place = [0], 1
    while rest:
        if lengths[place] <= rest and reachable[place + 1] >> (rest - lengths[place]) & 1:
            picked.append(place)
            rest -= lengths[place]
        place += 1
    return picked


def share_of_worker(num_rows: int, *, rank: int, num_workers: int) -> range:
    """Which of the rows of a step are this worker's; those one after the other go to one worker after the other."""
    return range(rank, num_rows, num_workers)


def in_micro_batches(rows: Sequence[Row], *, micro_batch_size: int, num_micro_steps: int) -> list[Sequence[Row]]:
    """A worker's rows of a step: always `num_micro_steps` micro batches, some of them empty in a short step."""
    return [rows[i * micro_batch_size : (i + 1) * micro_batch_size] for i in range(num_micro_steps)]
