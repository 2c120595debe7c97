"""The notation for a file's tensors: slices and permutations of the axes of canonical parameters.

A canonical array has named axes, as in "*k i o g":

- `*k` stands for all sizes of a filter;
- `(g h)` is one axis made of two, the last of them fastest;
- `1` is an axis of size one.

Names without a size are left out. A term lists the axes of a parameter in the file's order, as in "weights (g o) i *k":

- `-*k` reverses axes;
- `g[1,0,2]` takes an axis's entries in that order;
- `g[1]` takes one entry and drops the axis.

A name that is not a parameter's is a constant, with the axes of its term.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

AxisSize = int | tuple[int, ...]
AxisSizes = Mapping[str, AxisSize]

_TOKEN = re.compile(r"\([^)]*\)|\S+")
_NAME = re.compile(r"(-?)(\*?)(\w+)(?:\[([\d,]+)\])?")


@lru_cache
def _parse_axes(pattern: str) -> list[tuple[bool, tuple[str, ...]]]:
    """Return the axes of a canonical array: True for all sizes of a filter, and the names that make up the axis."""
    return [(token[0] == "*", tuple(re.findall(r"\w+", token))) for token in _TOKEN.findall(pattern)]


class Axes:
    """The named axes of a canonical array, each with its size or sizes."""

    def __init__(self, pattern: str, sizes: AxisSizes):
        self.pattern = pattern
        self.sizes: dict[str, AxisSize] = {}
        shape: list[int] = []
        for is_many, names in _parse_axes(pattern):
            present = [name for name in names if name in sizes]
            for name in present:
                self.sizes[name] = sizes[name]
            if is_many:
                shape += self._all(names[0])
            elif present or names == ("1",):
                shape.append(prod(sizes[name] for name in present))  # type: ignore[misc]  # no tuples here
        self.shape = tuple(shape)

    def _all(self, name: str) -> Sequence[int]:
        size = self.sizes[name]
        return tuple(size) if isinstance(size, Iterable) else (size,)

    @cached_property
    def strides(self) -> dict[str, list[tuple[int, int]]]:
        """Return each name's axes as sizes and strides, in elements of the array in C order."""
        found: dict[str, list[tuple[int, int]]] = {}
        stride = 1
        for name in reversed(self.sizes):
            for size in reversed(self._all(name)):
                found.setdefault(name, []).insert(0, (size, stride))
                stride *= size
        return found


def c_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides, in elements, of an array in C order."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


class SourceSlice(NamedTuple):
    """A part of a tensor's grid, and its elements in a source.

    The element at low + g in the grid is element offset + Σ g·strides of source number `source`.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    source: int
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Rearrangement:
    """A tensor of a file: its name below its operation's, its shape, and the grid that its slices fill.

    The grid has the tensor's elements in the same order, with finer axes. `sources` are names of parameters or
    constants.
    """

    name: str
    shape: tuple[int, ...]
    grid: tuple[int, ...]
    slices: tuple[SourceSlice, ...]
    sources: tuple[str, ...]
    collection: str = ""
    dtype: str | None = None

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def is_plain(self) -> bool:
        """Return whether the tensor's elements are those of one source, in the same order."""
        only, *others = self.slices
        axes = zip(self.grid, only.strides, c_strides(self.grid), strict=True)
        return not others and only.offset == 0 and all(size == 1 or stride == own for size, stride, own in axes)

    @cached_property
    def row(self) -> int:
        """Return the largest distance between elements that are adjacent in a source."""
        rows = [
            prod(self.grid[axis + 1 :])
            for piece in self.slices
            for axis, stride in enumerate(piece.strides)
            if abs(stride) == 1 and self.grid[axis] > 1
        ]
        return max(rows, default=1)


def plain(name: str, shape: tuple[int, ...], source: str) -> Rearrangement:
    """Return the rearrangement that keeps a parameter as it is."""
    size = prod(shape)
    return Rearrangement(name, shape, (size,), (SourceSlice((0,), (size,), 0, 0, (1,)),), (source,))


class LayoutRow(NamedTuple):
    """A row of a layout: a tensor's name and collection, and its sources with the tokens of their axes.

    `dtype` is set by a constant with a dtype of its own.
    """

    name: str
    collection: str
    terms: tuple[tuple[str, tuple[str, ...]], ...]
    dtype: str | None

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the names of its parameters and constants."""
        return tuple(source for source, _ in self.terms)


@lru_cache(10_000)
def parse_row(row: str) -> LayoutRow:
    """Return the row of a string: "name = term", with several terms joined along their first axis by +.

    "zeros:int64" is a constant with a dtype, "batch_stats:mean" is a name in a collection.
    """
    name, _, right = row.partition(" = ")
    collection, colon, name = name.rpartition(":")
    terms: list[tuple[str, tuple[str, ...]]] = []
    dtype = None
    for term in right.split(" + "):
        source, *tokens = _TOKEN.findall(term)
        source, _, of_constant = source.partition(":")
        dtype = of_constant or dtype
        terms.append((source, tuple(tokens)))
    return LayoutRow(name, f"{collection}." if colon else "", tuple(terms), dtype)


def rearrange(rows: Iterable[str], parameters: Mapping[str, Axes]) -> list[Rearrangement]:
    """Return the rearrangements of a layout's rows; axes of constants have the same sizes as in the parameters."""
    sizes = {name: size for axes in parameters.values() for name, size in axes.sizes.items()}
    return [_rearrange_row(parse_row(row), parameters, sizes) for row in rows]


def _rearrange_row(row: LayoutRow, parameters: Mapping[str, Axes], sizes: AxisSizes) -> Rearrangement:
    slices: list[SourceSlice] = []
    joined = 0
    shape: tuple[int, ...] = ()
    grid: tuple[int, ...] = ()
    for number, (source, tokens) in enumerate(row.terms):
        axes = parameters[source] if source in parameters else Axes(" ".join(tokens), sizes)
        own_shape, own_grid, own_pieces = _place_term(tokens, axes)
        for low, high, offset, strides in own_pieces:
            begin = (low[0] + joined, *low[1:]) if low else low
            end = (high[0] + joined, *high[1:]) if high else high
            slices.append(SourceSlice(begin, end, number, offset, strides))
        if joined:
            assert grid[1:] == own_grid[1:] and shape[1:] == own_shape[1:], row
            shape = (shape[0] + own_shape[0], *shape[1:])
            grid = (grid[0] + own_grid[0], *grid[1:])
        else:
            shape, grid = own_shape, own_grid
        joined = grid[0] if grid else 0
    return Rearrangement(row.name, shape, grid, tuple(slices), row.sources, row.collection, row.dtype)


_GridSlice = tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]


def _place_term(tokens: Sequence[str], axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...], list[_GridSlice]]:
    """Return the shape and grid of a term, and the low, high, offset and strides of each of its slices."""
    shape: list[int] = []
    grid: list[int] = []
    strides: list[int] = []
    choices: list[list[int] | None] = []
    offset = 0
    for token in tokens:
        if token == "1":
            shape.append(1)
            continue
        merged: int | None = None
        for sign, _, name, taken in _NAME.findall(token):
            for size, stride in axes.strides.get(name, ()):
                entries = [int(entry) for entry in taken.split(",")] if taken else None
                if entries and len(entries) == 1:
                    offset += entries[0] * stride
                    continue
                if sign:
                    offset += (size - 1) * stride
                    stride = -stride  # noqa: PLW2901
                assert entries is None or sorted(entries) == list(range(size)), token
                grid.append(size)
                strides.append(stride)
                choices.append(entries)
                if token.startswith("("):
                    merged = (merged or 1) * size
                else:
                    shape.append(size)
        if merged is not None:
            shape.append(merged)
    parts = []
    for picked in product(*(range(len(entries)) if entries else (None,) for entries in choices)):
        low = tuple(0 if at is None else at for at in picked)
        high = tuple(size if at is None else at + 1 for at, size in zip(picked, grid, strict=True))
        shift = sum(
            entries[at] * stride
            for at, entries, stride in zip(picked, choices, strides, strict=True)
            if entries and at is not None
        )
        parts.append((low, high, offset + shift, tuple(strides)))
    return tuple(shape), tuple(grid), parts


def collapse_axes(axes: str, kept: str, sizes: Container[str] | None = None) -> str:
    """Replace all axes but `kept` by ones; with `sizes`, omit axes without a size.

    collapse_axes("(g o) i *k", "o g") is "(g o) 1 *one".
    """
    tokens = []
    for token in _TOKEN.findall(axes):
        names = re.findall(r"\w+", token)
        if any(name in kept.split() for name in names):
            tokens.append(token)
        elif sizes is None or any(name in sizes for name in names):
            tokens.append("*one" if token.startswith("*") else "1")
    return " ".join(tokens)
