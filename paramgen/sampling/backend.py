"""What draws: the compiled kernels, or NumPy where they could not be built. Both make the same bits."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paramgen.distributions import Constant, Normal, TruncatedNormal, Uniform
from paramgen.dtypes import DType
from paramgen.sampling.matrix import Matrix

Bytes = NDArray[np.uint8]
Elementwise = Constant | Uniform | Normal | TruncatedNormal


class Backend(Protocol):
    """Elementwise distributions, and the tiles of matrices that orthogonal.py puts together.

    Matrices are float64 views whose elements may lie at any steps, but for `right` and `c` of accumulate, `r` and the
    `a` of reflect, whose rows are contiguous.
    """

    name: str

    def fill(self, law: Elementwise, dtype: DType, seed: int, stream: int, start: int, out: Bytes) -> None:
        """Elements start … of a stream, as many as `out` holds the bytes of."""

    def accumulate(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        """Add (sign 1) to c, or subtract (-1), left[k, i]·right[k, j], one k after another; c is at most a tile.

        With `upper`, what lies below c's diagonal is of no account.
        """

    def factor(self, g: Matrix, diagonal: Matrix, dependent: float) -> bool:
        """The Cholesky factor of a tile, in its upper part; False if an r[k, k]² is not above dependent·diagonal[k]."""

    def solve(self, r: Matrix, x: Matrix) -> None:
        """x becomes r⁻ᵀ·x, for a tile r, upper triangular: a column's sums run over k in order."""

    def reflect(self, a: Matrix, v: Matrix, factor: float) -> None:
        """a -= v·(factor·vᵀa), the sums over a's rows in order."""


@cache
def cpu() -> Backend:
    """The fastest kernels that this CPU can run; NumPy, with a warning, where none were built."""
    try:
        from paramgen.sampling.compiled import SETS
    except ImportError:
        from paramgen.sampling.reference import Reference

        warnings.warn(
            "the compiled kernels are missing, so NumPy draws: the same bytes, slower (they are built when paramgen is "
            "installed where a C compiler and Python's headers are)",
            stacklevel=2,
        )
        return Reference()
    return SETS[-1]
