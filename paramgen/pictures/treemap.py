"""A treemap: rectangles with the areas of tensors' sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from paramgen.pictures.patterns import find_pattern
from paramgen.storage.header import TensorEntry

MAX_TILES = 48
# Groups with a color of their own; the others share the last one.
MAX_GROUPS = 8


class Rectangle(NamedTuple):
    """A rectangle from its upper left corner on."""

    x: float
    y: float
    width: float
    height: float


class Tile(NamedTuple):
    """The tensors of a pattern; `pattern` is None for those of all patterns that are too small to be drawn."""

    pattern: str | None
    tensors: int
    nbytes: int


class Group(NamedTuple):
    """Tiles of a module; `pattern` is None for those of several modules."""

    pattern: str | None
    tiles: tuple[Tile, ...]

    @property
    def nbytes(self) -> int:
        return sum(tile.nbytes for tile in self.tiles)


def group_tiles(entries: Iterable[TensorEntry]) -> list[Group]:
    """Return the tiles of tensors by module, the largest first."""
    counts: dict[str, list[int]] = {}
    for entry in entries:
        count = counts.setdefault(find_pattern(entry.name), [0, 0])
        count[0] += 1
        count[1] += entry.nbytes
    tiles = sorted((Tile(pattern, *count) for pattern, count in counts.items() if count[1]), key=lambda t: -t.nbytes)
    small = tiles[MAX_TILES - 1 :] if len(tiles) > MAX_TILES else []
    by_module: dict[str | None, list[Tile]] = {}
    for tile in tiles[: len(tiles) - len(small)]:
        by_module.setdefault(_module(tile.pattern or ""), []).append(tile)
    groups = sorted(
        (Group(pattern, tuple(members)) for pattern, members in by_module.items()), key=lambda group: -group.nbytes
    )
    others = [tile for group in groups[MAX_GROUPS - 1 :] for tile in group.tiles]
    if small:
        others.append(Tile(None, sum(tile.tensors for tile in small), sum(tile.nbytes for tile in small)))
    if len(groups) == MAX_GROUPS and not small:
        return groups
    return [*groups[: MAX_GROUPS - 1], *([Group(None, tuple(others))] if others else [])]


def _module(pattern: str) -> str:
    """Return the module that a tensor belongs to: its name without the last two parts, if there are as many."""
    parts = pattern.split(".")
    return ".".join(parts[:-2] or parts[:1])


def place_tiles(groups: Sequence[Group], width: float, height: float) -> Iterator[tuple[int, Tile, Rectangle]]:
    """Yield each tile with the number of its group and its rectangle."""
    whole = Rectangle(0.0, 0.0, width, height)
    for number, (group, area) in enumerate(zip(groups, squarify([g.nbytes for g in groups], whole), strict=True)):
        for tile, rectangle in zip(group.tiles, squarify([t.nbytes for t in group.tiles], area), strict=True):
            yield number, tile, rectangle


def squarify(sizes: Sequence[int], area: Rectangle) -> Iterator[Rectangle]:
    """Yield a rectangle for each size, about as wide as high; together they fill the area.

    M. Bruls, K. Huizing, J. van Wijk: "Squarified treemaps" (2000). Sizes are best in decreasing order.
    """
    remaining, start = sum(sizes), 0
    while start < len(sizes):
        side = min(area.width, area.height)
        scale = area.width * area.height / remaining if remaining else 0.0
        stop = start + 1
        while stop < len(sizes) and _worst(sizes[start : stop + 1], side, scale) <= _worst(
            sizes[start:stop], side, scale
        ):
            stop += 1
        row = sizes[start:stop]
        share = sum(row) / remaining if remaining else 0.0
        is_column = area.width >= area.height
        thickness = share * (area.width if is_column else area.height)
        position = 0.0
        for size in row:
            length = side * size / sum(row) if sum(row) else 0.0
            yield (
                Rectangle(area.x, area.y + position, thickness, length)
                if is_column
                else Rectangle(area.x + position, area.y, length, thickness)
            )
            position += length
        if is_column:
            area = Rectangle(area.x + thickness, area.y, area.width - thickness, area.height)
        else:
            area = Rectangle(area.x, area.y + thickness, area.width, area.height - thickness)
        remaining -= sum(row)
        start = stop


def _worst(row: Sequence[int], side: float, scale: float) -> float:
    """Return the largest ratio of a row's sides."""
    total = sum(row) * scale
    thickness = total / side if side else 0.0
    if not thickness:
        return 0.0
    lengths = [size * scale / thickness for size in (max(row), min(row))]
    return max(max(thickness / length, length / thickness) if length else float("inf") for length in lengths)
