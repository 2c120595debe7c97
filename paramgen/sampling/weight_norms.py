"""Norms of slices of an array that is drawn block by block: sums of squares in double, in the elements' order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.distributions import Norm
from paramgen.planning.tensors import Parameter
from paramgen.sampling.backend import Matrix
from paramgen.sampling.regions import iter_boxes


def direction_parameter(parameter: Parameter, distribution: Norm) -> Parameter:
    """Return the parameter whose slices a parameter holds the norms of; it has the same stream."""
    direction = distribution.direction
    resolved = replace(
        parameter.resolved, shape=direction.shape, dtype=direction.dtype, distribution=direction.distribution
    )
    return replace(parameter, resolved=resolved)


def compute_norms(
    draw: Callable[[int, int], NDArray[Any]], grid: tuple[int, int, int], block_elements: int = CHUNK_ELEMENTS
) -> Matrix:
    """Return the norms over the outer and inner axes of a grid (outer, kept, inner), as a row.

    `draw(start, stop)` returns a range of the grid's elements.
    """
    total = prod(grid)
    sums = np.zeros(grid[1])
    for start in range(0, total, block_elements):
        stop = min(start + block_elements, total)
        squares = np.square(draw(start, stop).astype(np.float64))
        for low, high in iter_boxes(grid, start, stop):
            sizes = [end - begin for begin, end in zip(low, high, strict=True)]
            box, squares = squares[: prod(sizes)], squares[prod(sizes) :]
            entries = slice(low[1], high[1])
            rows = box.reshape(sizes).transpose(1, 0, 2).reshape(sizes[1], -1)
            rows[:, 0] += sums[entries]
            sums[entries] = np.add.accumulate(rows, axis=1)[:, -1]  # unlike sum, one summand after another
    return np.sqrt(sums)[None]
