"""Norms of slices of an array that is drawn in blocks: sums of squares in double, in the order of the elements."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.sampling.matrix import Matrix
from paramgen.sampling.regions import iter_boxes

BLOCK_ELEMENTS = 2**18


def compute_norms(
    draw: Callable[[int, int], NDArray[Any]], grid: tuple[int, int, int], block_elements: int = BLOCK_ELEMENTS
) -> Matrix:
    """Return a row with the norm of each entry of a grid's middle axis; `draw` returns a range of the elements."""
    total = prod(grid)
    sums = np.zeros(grid[1])
    for start in range(0, total, block_elements):
        stop = min(start + block_elements, total)
        squares = np.square(draw(start, stop).astype(np.float64))
        for low, high in iter_boxes(grid, start, stop):
            sizes = [b - a for a, b in zip(low, high, strict=True)]
            here, squares = squares[: prod(sizes)], squares[prod(sizes) :]
            entries = slice(low[1], high[1])
            rows = here.reshape(sizes).transpose(1, 0, 2).reshape(sizes[1], -1)
            rows[:, 0] += sums[entries]
            sums[entries] = np.add.accumulate(rows, axis=1)[:, -1]  # unlike sum, one summand after another
    return np.sqrt(sums)[None]
