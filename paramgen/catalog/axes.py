"""The axis notation of layouts, which maps the tensors of a file to canonical parameters.

A canonical array has named axes, as in "*k i o g":

- `*k` stands for all sizes of a filter;
- `(g h)` is one axis made of two, the last of them fastest;
- `1` is an axis of size one.

Axes without a size are omitted. A term lists the axes of a parameter in the file's order, as in "weights (g o) i *k":

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
_NAME = re.compile(r"(-?)\*?(\w+)(?:\[([\d,]+)\])?")


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
            present = {name: sizes[name] for name in names if name in sizes}
            self.sizes |= present
            if is_many:
                shape += self._sizes_of(names[0])
            elif present or names == ("1",):
                shape.append(prod(present.values()))  # type: ignore[arg-type]  # no tuples here
        self.shape = tuple(shape)

    def _sizes_of(self, name: str) -> Sequence[int]:
        size = self.sizes[name]
        return tuple(size) if isinstance(size, Iterable) else (size,)

    @cached_property
    def sizes_and_strides(self) -> dict[str, list[tuple[int, int]]]:
        """The size and the stride of each name's axes, in elements of the array in C order."""
        sizes_and_strides: dict[str, list[tuple[int, int]]] = {}
        stride = 1
        for name in reversed(self.sizes):
            for size in reversed(self._sizes_of(name)):
                sizes_and_strides.setdefault(name, []).insert(0, (size, stride))
                stride *= size
        return sizes_and_strides


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


@dataclass  # not frozen: a frozen dataclass takes four times as long to make
class Rearrangement:
    """A tensor of a file as slices of parameters. `name` is relative to its operation's.

    `grid` is its shape with composite axes split. `sources` are names of parameters or constants.
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
    def is_identity(self) -> bool:
        """True if the tensor has the elements of one source, in the same order."""
        only, *others = self.slices
        axes = zip(self.grid, only.strides, c_strides(self.grid), strict=True)
        return (
            not others and only.offset == 0 and all(size == 1 or stride == c_stride for size, stride, c_stride in axes)
        )

    @cached_property
    def max_source_step(self) -> int:
        """The largest distance, in the tensor, between elements that are adjacent in a source."""
        steps = [
            prod(self.grid[axis + 1 :])
            for piece in self.slices
            for axis, stride in enumerate(piece.strides)
            if abs(stride) == 1 and self.grid[axis] > 1
        ]
        return max(steps, default=1)


def identity_rearrangement(name: str, shape: tuple[int, ...], source: str) -> Rearrangement:
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
        """The names of its parameters and constants."""
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
        source, _, constant_dtype = source.partition(":")
        dtype = constant_dtype or dtype
        terms.append((source, tuple(tokens)))
    return LayoutRow(name, f"{collection}." if colon else "", tuple(terms), dtype)


def rearrange(rows: Iterable[str], parameters: Mapping[str, Axes]) -> list[Rearrangement]:
    """Return the rearrangements of a layout's rows; axes of constants have the same sizes as in the parameters."""
    sizes = {name: size for axes in parameters.values() for name, size in axes.sizes.items()}
    return [_rearrange_row(parse_row(row), parameters, sizes) for row in rows]


def _rearrange_row(row: LayoutRow, parameters: Mapping[str, Axes], sizes: AxisSizes) -> Rearrangement:
    terms = [
        _place_term(tokens, parameters[source] if source in parameters else Axes(" ".join(tokens), sizes), number)
        for number, (source, tokens) in enumerate(row.terms)
    ]
    slices: list[SourceSlice] = []
    joined_size = 0
    for term in terms:
        assert (term.grid[1:], term.shape[1:]) == (terms[0].grid[1:], terms[0].shape[1:]), row
        slices += (_shift(piece, joined_size) for piece in term.slices)
        joined_size += term.grid[0] if term.grid else 0
    shape, grid = _join([term.shape for term in terms]), _join([term.grid for term in terms])
    return Rearrangement(row.name, shape, grid, tuple(slices), row.sources, row.collection, row.dtype)


def _shift(piece: SourceSlice, distance: int) -> SourceSlice:
    """Return a slice that is moved along the first axis of the grid, if there is one."""
    if not distance:
        return piece
    low, high = ((first + distance, *others) for first, *others in (piece.low, piece.high))
    return piece._replace(low=low, high=high)


def _join(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of arrays that are joined along their first axis."""
    return (sum(shape[0] for shape in shapes), *shapes[0][1:]) if shapes[0] else ()


class _Term(NamedTuple):
    """A term in a tensor: its shape, its grid, and the slices that fill the grid."""

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    slices: list[SourceSlice]


class _GridAxis(NamedTuple):
    """An axis of a grid, and its stride in the source. `entries` is the order of its entries, None if unchanged."""

    size: int
    stride: int
    entries: list[int] | None

    def intervals(self) -> list[tuple[int, int, int]]:
        """Return the parts with a constant stride: begin, end, and the entry of the source at the begin."""
        if self.entries is None:
            return [(0, self.size, 0)]
        return [(index, index + 1, entry) for index, entry in enumerate(self.entries)]


def _place_term(tokens: Sequence[str], axes: Axes, source: int) -> _Term:
    shape: list[int] = []
    grid_axes: list[_GridAxis] = []
    offset = 0
    for token in tokens:
        token_axes, token_offset = _parse_token(token, axes)
        grid_axes += token_axes
        offset += token_offset
        token_sizes = [axis.size for axis in token_axes]
        if token == "1":
            shape.append(1)
        elif token.startswith("(") and token_sizes:
            shape.append(prod(token_sizes))
        else:
            shape += token_sizes
    strides = tuple(axis.stride for axis in grid_axes)
    slices = []
    for intervals in product(*(axis.intervals() for axis in grid_axes)):
        low = tuple(begin for begin, _, _ in intervals)
        high = tuple(end for _, end, _ in intervals)
        moved = sum(entry * stride for (_, _, entry), stride in zip(intervals, strides, strict=True))
        slices.append(SourceSlice(low, high, source, offset + moved, strides))
    return _Term(tuple(shape), tuple(axis.size for axis in grid_axes), slices)


def _parse_token(token: str, axes: Axes) -> tuple[list[_GridAxis], int]:
    """Return the axes of a token, and the offset in the source of its first element."""
    grid_axes = []
    offset = 0
    for sign, name, chosen in _NAME.findall(token):
        entries = [int(entry) for entry in chosen.split(",")] if chosen else None
        for size, stride in axes.sizes_and_strides.get(name, ()):
            if entries and len(entries) == 1:
                offset += entries[0] * stride
                continue
            assert entries is None or sorted(entries) == list(range(size)), token
            if sign:
                offset += (size - 1) * stride
            grid_axes.append(_GridAxis(size, -stride if sign else stride, entries))
    return grid_axes, offset


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
