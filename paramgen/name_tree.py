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

    @property
    def size(self) -> int:
        return prod(self.shape)


class TreeTensor(NamedTuple):
    """A tensor as the tree takes it: `notes` are texts about it, `file` is the number of its file among several."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    file: int | None = None


class Totals(NamedTuple):
    """The counts of a node, or of one of the equal siblings that it stands for."""

    tensors: int
    parameters: int
    nbytes: int


@dataclass(slots=True)
class Node:
    """A name between dots: of a tensor, of a group of names, or of both.

    `names` are those of all equal siblings that the node stands for, and `each` counts one of them. `notes` has the
    different notes of the tensors of this name, and `files` the numbers of the files of all tensors here and below.
    """

    names: list[str]
    leaf: Leaf | None
    children: list[Node]
    each: Totals
    notes: set[tuple[str, ...]]
    files: set[int]

    @property
    def label(self) -> str:
        """The name, or the numbers of equal siblings: '0-11, 13'; of many runs the first."""
        return self.names[0] if len(self.names) == 1 else show_runs(map(int, self.names))

    @property
    def totals(self) -> Totals:
        """The counts of all equal siblings."""
        count, (tensors, parameters, nbytes) = len(self.names), self.each
        return Totals(count * tensors, count * parameters, count * nbytes)


def show_runs(numbers: Iterable[int]) -> str:
    """Return different numbers as runs: '0-11, 13'; of many runs the first."""
    runs = [*_runs(sorted(numbers))]
    label = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:MAX_RUNS])
    others = sum(map(len, runs[MAX_RUNS:]))
    return f"{label} and {others:,} more" if others else label


@dataclass(slots=True)
class _Branch:
    """A name with what is below it. Branches of one `kind` have the same names, dtypes and shapes below."""

    tensor: TreeTensor | None = None
    branches: dict[str, _Branch] = field(default_factory=dict)
    kind: int = 0


def fold(tensors: Iterable[TreeTensor]) -> list[Node]:
    """Return the tree of tensors in their order; numbered siblings with equal names, dtypes and shapes are one node."""
    root = _Branch()
    for tensor in tensors:
        branch = root
        for part in tensor.name.split(".", MAX_DEPTH):
            inner = branch.branches.get(part)
            if inner is None:
                inner = branch.branches[part] = _Branch()
            branch = inner
        branch.tensor = tensor
    _set_kinds(root, {})
    return _make_nodes([root])


def _set_kinds(branch: _Branch, kinds: dict[Hashable, int]) -> int:
    """Set the kinds of a branch and of all below it; return that of the branch."""
    tensor = branch.tensor
    leaf = tensor and (tensor.dtype.name, tensor.shape)
    below = tuple([(name, _set_kinds(child, kinds)) for name, child in branch.branches.items()])
    branch.kind = kinds.setdefault((leaf, below), len(kinds))
    return branch.kind


def _make_nodes(branches: list[_Branch]) -> list[Node]:
    """Return the nodes below some branches of one kind."""
    names_of_nodes: list[list[str]] = []
    alike: dict[int, list[str]] = {}
    for name, child in branches[0].branches.items():
        if is_number(name) and child.kind in alike:
            alike[child.kind].append(name)
            continue
        names_of_nodes.append([name])
        if is_number(name):
            alike[child.kind] = names_of_nodes[-1]
    return [
        _make_node(names, [branch.branches[name] for branch in branches for name in names]) for names in names_of_nodes
    ]


def _make_node(names: list[str], branches: list[_Branch]) -> Node:
    """Return the node of some names, with their branches here and in all equal places."""
    tensors = [branch.tensor for branch in branches if branch.tensor]
    children = _make_nodes(branches) if branches[0].branches else []
    leaf = Leaf(tensors[0].dtype, tensors[0].shape) if tensors else None
    counts = [child.totals for child in children]
    if leaf:
        counts.append(Totals(1, leaf.size, leaf.dtype.nbytes(leaf.size)))
    each = counts[0] if len(counts) == 1 else Totals(*map(sum, zip(*counts, strict=True)))
    files = {tensor.file for tensor in tensors if tensor.file is not None}
    return Node(
        names,
        leaf,
        children,
        each,
        {tensor.notes for tensor in tensors},
        files.union(*(child.files for child in children)),
    )


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
