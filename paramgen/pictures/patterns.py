"""Tensors of repeated layers: patterns of names, and std by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt
from typing import NamedTuple

from paramgen.analysis.file_report import Statistics
from paramgen.name_tree import is_number

# Colors of the strip that a reader can distinguish.
LEVELS = 12
# A smaller ratio of the extreme stds gets the colors of this one, so that noise looks like noise.
LEAST_RATIO = 2.0


def find_pattern(name: str) -> str:
    """Return a tensor's name with `*` for each number, such as those of layers and experts."""
    return ".".join("*" if is_number(part) else part for part in name.split("."))


def find_layer(name: str) -> int | None:
    """Return the first number in a tensor's name."""
    return next((int(part) for part in name.split(".") if is_number(part)), None)


class StripRow(NamedTuple):
    """The std of a pattern's tensors by layer; None if a layer has none."""

    pattern: str
    stds: tuple[float | None, ...]


class Strip(NamedTuple):
    """The std of repeated layers: a row for each pattern, a column for each layer.

    `omitted_rows` and `omitted_layers` count what is beyond the limits.
    """

    layers: tuple[int, ...]
    rows: tuple[StripRow, ...]
    omitted_rows: int
    omitted_layers: int

    @property
    def limits(self) -> tuple[float, float]:
        """The stds of the first and the last color."""
        stds = [std for row in self.rows for std in row.stds if std]
        low, high = min(stds), max(stds)
        if high / low < LEAST_RATIO:
            middle = sqrt(low * high)
            return middle / sqrt(LEAST_RATIO), middle * sqrt(LEAST_RATIO)
        return low, high

    def level(self, std: float) -> int:
        """Return the color of a std, by its logarithm."""
        low, high = self.limits
        return min(LEVELS - 1, int(LEVELS * log(std / low) / log(high / low)))


def make_strip(statistics: Mapping[str, Statistics | None], *, max_rows: int, max_layers: int) -> Strip | None:
    """Return std by layer of the tensors whose patterns appear in several layers; None if there are none.

    Several tensors of a pattern in a layer, such as experts, have their root mean square. Patterns without any spread,
    such as biases of zeros, are left out.
    """
    squares: dict[str, dict[int, list[float]]] = {}
    for name, found in statistics.items():
        layer = find_layer(name)
        if layer is not None and found is not None and found["std"] is not None:
            squares.setdefault(find_pattern(name), {}).setdefault(layer, []).append(found["std"])
    patterns = [name for name, by_layer in squares.items() if len(by_layer) > 1 and any(map(any, by_layer.values()))]
    if not patterns:
        return None
    layers = sorted({layer for pattern in patterns for layer in squares[pattern]})
    shown = layers[:max_layers]
    rows = [StripRow(pattern, tuple(_root_mean_square(squares[pattern].get(n)) for n in shown)) for pattern in patterns]
    rows = [row for row in rows if any(row.stds)]
    return Strip(tuple(shown), tuple(rows[:max_rows]), max(0, len(rows) - max_rows), len(layers) - len(shown))


def _root_mean_square(stds: Sequence[float] | None) -> float | None:
    if not stds:
        return None
    largest = max(stds)
    return largest * sqrt(sum((std / largest) ** 2 for std in stds) / len(stds)) if largest else 0.0


def shorten_patterns(patterns: Iterable[str]) -> list[str]:
    """Return patterns without what precedes the layer's number, if that is the same in all: `*.mlp.up.weight`."""
    patterns = list(patterns)
    if len({pattern.partition("*")[0] for pattern in patterns}) == 1:
        return ["*" + pattern.partition("*")[2] for pattern in patterns]
    return patterns
