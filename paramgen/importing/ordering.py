"""The order of tensors whose source is sorted by name, in which layers count 0, 1, 10, 11, 2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from paramgen.dtypes import DTYPES_BY_NAME, RANK_IN_FILE
from paramgen.importing.model import ImportedTensor

NOTE = "The source is sorted by name; here, indices count 0, 1, 2, …, and tensors of a group come before its groups."
# Shorter stretches in the order of names are chance.
MIN_SORTED = 16

_NUMBER = re.compile(r"[0-9]+")


def restore_order(tensors: Sequence[ImportedTensor]) -> tuple[ImportedTensor, ...]:
    """Return tensors in the order of a model, if theirs is that of names.

    Files are sorted by dtype, then by name. A source of joined files may be sorted in stretches.
    """
    ranks = [(RANK_IN_FILE[DTYPES_BY_NAME[tensor.dtype].code], tensor.name) for tensor in tensors]
    if ranks == sorted(ranks) or all(before.name < after.name for before, after in pairwise(tensors)):
        return tuple(sorted(tensors, key=_natural_key))
    ordered: list[ImportedTensor] = []
    is_by_name = False
    for stretch in _find_sorted(tensors):
        if len(stretch) >= MIN_SORTED and any(_jumps(a.name, b.name) for a, b in pairwise(stretch)):
            ordered += sorted(stretch, key=_natural_key)
            is_by_name = True
        else:
            ordered += stretch
    return tuple(sorted(ordered, key=lambda tensor: "." in tensor.name)) if is_by_name else tuple(tensors)


def _find_sorted(tensors: Sequence[ImportedTensor]) -> Iterator[Sequence[ImportedTensor]]:
    """Yield the longest stretches in the order of names."""
    start = 0
    for position in range(1, len(tensors) + 1):
        if position == len(tensors) or tensors[position].name < tensors[position - 1].name:
            yield tensors[start:position]
            start = position


def _jumps(before: str, after: str) -> bool:
    """Return True if an index is followed by one that only the order of names puts there, such as 1 by 10."""
    pairs = zip(before.split("."), after.split("."), strict=False)
    first, second = next(((a, b) for a, b in pairs if a != b), ("", ""))
    numbers = _NUMBER.findall(first), _NUMBER.findall(second)
    if not numbers[0] or _NUMBER.sub("*", first) != _NUMBER.sub("*", second):
        return False
    return any(int(b) == 10 * int(a) > 0 for a, b in zip(*numbers, strict=True))


def _natural_key(tensor: ImportedTensor) -> list[tuple[bool, str, list[int]]]:
    """Return a key by segments: a group's own tensors before its groups, numbers by value.

    Segments that differ in numbers only are neighbours, so that they can be folded.
    """
    *groups, last = tensor.name.split(".")
    return [*((True, *_split_numbers(segment)) for segment in groups), (False, *_split_numbers(last))]


def _split_numbers(segment: str) -> tuple[str, list[int]]:
    """Return a segment without its numbers, and these, the last first: the first counts layers."""
    return _NUMBER.sub("*", segment), [*map(int, reversed(_NUMBER.findall(segment)))]
