"""Packing of rows that share a prompt: they stay together where they can, so that their prompt is computed once.

Lengths are counted as if every row had its prompt to itself. So a packed row holds as many examples, and an epoch has
as many steps, as without groups; what changes is which examples come together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from siked_ray.training.compute.packing import LOOK_AHEAD_EXAMPLES, Lengths, Window, best_fill, is_enough

if TYPE_CHECKING:
    import numpy as np

Group = list[int]


def groups_of(lengths: Lengths, chosen: "np.ndarray") -> list[Group]:
    """The chosen examples by prompt, in the order in which prompts first come; very many of one prompt are several
    groups. An empty prompt is not shared."""
    assert lengths.prompt_ids is not None, "whoever wants groups says which prompts are equal"
    groups: list[Group] = []
    latest: dict[int, Group] = {}
    num_prompt_tokens, ids = lengths.prompt.tolist(), lengths.prompt_ids.tolist()
    for index in chosen.tolist():
        group = latest.get(ids[index])
        if group is None or len(group) == LOOK_AHEAD_EXAMPLES:
            group = []
            groups.append(group)
            if num_prompt_tokens[index]:
                latest[ids[index]] = group
        group.append(index)
    return groups


def window_of_groups(window: Window, num_groups: int, num_examples: int) -> Window:
    """A window that counts groups in place of examples, and holds about as many examples."""
    examples_per_group = -(-num_examples // max(num_groups, 1))
    return replace(window, blocks=max(window.blocks // max(examples_per_group, 1), 1))


def pack_groups(lengths: Sequence[int], groups: Iterable[Group], max_seq_len: int) -> Iterator[list[int]]:
    """Rows (of example indices) of at most `max_seq_len` tokens: of the oldest group and of those which fill the rest
    best, then of some examples of another group, whose others begin the next row. So does the rest of a group that is
    longer than a row.

    No example may be longer than a row.
    """
    waiting: list[Group] = []
    coming = iter(groups)
    while True:
        _fetch(waiting, coming, lengths, max_seq_len)
        if not waiting:
            return
        if _size(waiting[0], lengths) > max_seq_len:
            row, waiting[:1] = _part(waiting[:1], lengths, max_seq_len)
        else:
            whole = best_fill([_size(group, lengths) for group in waiting], max_seq_len)
            row = [index for place in whole for index in waiting[place]]
            others = [group for place, group in enumerate(waiting) if place not in set(whole)]
            part, waiting = _part(others, lengths, max_seq_len - _size(row, lengths))
            row += part
        yield row


def _fetch(waiting: list[Group], coming: Iterator[Group], lengths: Sequence[int], max_seq_len: int) -> None:
    """Let groups wait until a row can be filled out of them, or all have come."""
    num_waiting = sum(map(len, waiting))
    tokens_waiting = sum(_size(group, lengths) for group in waiting)
    while not is_enough(num_waiting, tokens_waiting, max_seq_len) and (group := next(coming, None)):
        waiting.append(group)
        num_waiting += len(group)
        tokens_waiting += _size(group, lengths)


def _part(waiting: list[Group], lengths: Sequence[int], room: int) -> tuple[list[int], list[Group]]:
    """The examples of one group that fill the room best, and what then waits: the rest of that group first."""
    fills = [_within(group, lengths, room) for group in waiting]
    sizes = [_size(fill, lengths) for fill in fills]
    if not any(sizes):
        return [], waiting
    best = sizes.index(max(sizes))
    part = set(fills[best])
    rest = [index for index in waiting[best] if index not in part]
    return fills[best], [rest, *waiting[:best], *waiting[best + 1 :]]


def _within(group: Group, lengths: Sequence[int], room: int) -> list[int]:
    """The examples of a group that fill the room best."""
    nothing_and_all = [0, *(lengths[index] for index in group)]
    return [group[place - 1] for place in best_fill(nothing_and_all, room)[1:]]


def _size(group: Sequence[int], lengths: Sequence[int]) -> int:
    return sum(lengths[index] for index in group)
