"""The tree of tensors' names, with runs of equal subtrees folded."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from paramgen.dtypes import DType

# Deeper names, which only a hostile file has, are not split further.
MAX_DEPTH = 50
MAX_DIGITS = 18
# Runs of numbers in a label.
MAX_RUNS = 4


class Leaf(NamedTuple):
    """A tensor of the tree."""

    dtype: DType
    shape: tuple[int, ...]


@dataclass(slots=True)
class Node:
    """A name between dots: of a tensor, of a group of names, or of both.

    `names` are those of all equal siblings that the node stands for; `tensors`, `parameters` and `nbytes` count all
    of them.
    """

    names: list[str]
    leaf: Leaf | None
    children: list[Node]

    @property
    def label(self) -> str:
        """The name, or the numbers of equal siblings: '0-11, 13'; of many runs the first."""
        if len(self.names) == 1:
            return self.names[0]
        runs = [*_runs(sorted(map(int, self.names)))]
        label = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:MAX_RUNS])
        others = sum(map(len, runs[MAX_RUNS:]))
        return f"{label} and {others:,} more" if others else label

    @property
    def tensors(self) -> int:
        return len(self.names) * ((self.leaf is not None) + sum(child.tensors for child in self.children))

    @property
    def parameters(self) -> int:
        size = prod(self.leaf.shape) if self.leaf else 0
        return len(self.names) * (size + sum(child.parameters for child in self.children))

    @property
    def nbytes(self) -> int:
        size = self.leaf.dtype.nbytes(prod(self.leaf.shape)) if self.leaf else 0
        return len(self.names) * (size + sum(child.nbytes for child in self.children))


@dataclass(slots=True)
class _Branch:
    leaf: Leaf | None = None
    branches: dict[str, _Branch] = field(default_factory=dict)


def fold(tensors: Iterable[tuple[str, DType, tuple[int, ...]]]) -> list[Node]:
    """Return the tree of tensors in their order; numbered siblings with equal names, dtypes and shapes are one node."""
    root = _Branch()
    for name, dtype, shape in tensors:
        branch = root
        for part in name.split(".", MAX_DEPTH):
            branch = branch.branches.setdefault(part, _Branch())
        branch.leaf = Leaf(dtype, shape)
    return _fold(root)[0]


def _fold(branch: _Branch) -> tuple[list[Node], Hashable]:
    """Return the nodes below a branch, and a key that equal branches share."""
    nodes: list[Node] = []
    alike: dict[Hashable, Node] = {}
    keys: list[Hashable] = []
    for name, child in branch.branches.items():
        children, key = _fold(child)
        keys.append((name, key))
        if is_number(name) and key in alike:
            alike[key].names.append(name)
            continue
        nodes.append(Node([name], child.leaf, children))
        if is_number(name):
            alike[key] = nodes[-1]
    return nodes, (branch.leaf, tuple(keys))


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts names by their parts, and numbers by value."""
    return [(False, int(part), "") if is_number(part) else (True, 0, part) for part in name.split(".", MAX_DEPTH)]


def is_number(name: str) -> bool:
    """Return True if a name is a number as Python writes it."""
    return name.isascii() and name.isdecimal() and len(name) <= MAX_DIGITS and str(int(name)) == name


def _runs(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield runs of successive numbers."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
            yield numbers[start:end]
            start = end
