"""Random orthogonal matrices, in double precision, every sum in an order that is written here.

Q of Z = QR comes from the Cholesky factor of ZᵀZ (R, its diagonal positive) as Z·R⁻¹, all by rank-one updates: each
element's sum runs over k in order, a multiply then an add, whatever library or machine does the row operations. The
pass can lose a hundred times the rounding unit over the least squared sine between a column and the columns before it;
where that is too much for the result's type (always, for float64) a second pass over Q restores it, and where Z is
nearly or wholly rank-deficient Householder reflections take over, which always give an orthogonal matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

TILE = 128
EPSILON = 2.0**-52
# The estimated loss above which there is a second pass, a thousandth of what the type holds; for float64, always.
SINGLE, DOUBLE = 1e-10, 0.0
# Below this squared sine a column counts as dependent on those before it.
DEPENDENT = 1e-9


def orthogonal(normal: Matrix, gain: float, tolerance: float) -> Matrix:
    """gain times the orthogonal factor of a standard normal matrix, which is used up.

    Of shape (m, n): for m >= n its columns are orthonormal and each is multiplied by the sign of R's diagonal entry;
    a wide matrix is built from its transpose, so that its rows are. A second pass is made where the estimated loss of
    the first exceeds the tolerance.
    """
    wide = normal.shape[0] < normal.shape[1]
    q = orthonormalize(np.ascontiguousarray(normal.T) if wide else normal, tolerance)
    q *= gain
    return np.ascontiguousarray(q.T) if wide else q


def orthonormalize(z: Matrix, tolerance: float) -> Matrix:
    """Q of z = QR with R's diagonal positive, for z of shape (m, n), m >= n; in z itself where that can be."""
    r, sine = cholesky(gram(z))
    if not sine > DEPENDENT:
        return householder(z)
    solve(z, r)
    if z.shape[1] * EPSILON > tolerance * sine:
        solve(z, cholesky(gram(z))[0])
    return z


def accumulate(tile: Matrix, left: Matrix, right: Matrix, combine: np.ufunc) -> None:
    """Add to (or subtract from) a tile the products left[k, i]·right[k, j], one k after another."""
    total = tile.copy()
    product = np.empty_like(total)
    for column, row in zip(left, right, strict=True):
        np.multiply(column[:, None], row, out=product)
        combine(total, product, out=total)
    tile[...] = total


def tiles(start: int, stop: int) -> Iterator[slice]:
    """Ranges of at most TILE indices that cover start … stop - 1."""
    return (slice(first, min(first + TILE, stop)) for first in range(start, stop, TILE))


def gram(z: Matrix) -> Matrix:
    """zᵀz, but for the tiles below the diagonal; the sums run over the rows of z."""
    n = z.shape[1]
    g = np.zeros((n, n))
    for i in tiles(0, n):
        for j in tiles(i.start, n):
            accumulate(g[i, j], z[:, i], z[:, j], np.add)
    return g


def cholesky(g: Matrix) -> tuple[Matrix, float]:
    """(R, s): upper triangular R with RᵀR = g, its diagonal positive, and the least squared sine s of a column.

    s = min R[k, k]²/g[k, k]; it is zero, and R unusable, where g is not clearly positive definite. Works in g.
    """
    n = len(g)
    diagonal = g.diagonal().copy()
    sine = 1.0
    for i in tiles(0, n):
        for j in tiles(i.start, n):
            accumulate(g[i, j], g[: i.start, i], g[: i.start, j], np.subtract)
        for k in range(i.start, i.stop):
            if not g[k, k] > DEPENDENT * diagonal[k]:
                return g, 0.0
            sine = min(sine, float(g[k, k] / diagonal[k]))
            g[k, k:] /= np.sqrt(g[k, k])
            g[k + 1 : i.stop, k + 1 :] -= g[k, k + 1 : i.stop, None] * g[k, None, k + 1 :]
    return g, sine


def solve(z: Matrix, r: Matrix) -> None:
    """z becomes z·r⁻¹, for upper triangular r; a column's sum runs over the columns before it."""
    for rows in tiles(0, len(z)):
        block = z[rows]
        for j in tiles(0, z.shape[1]):
            accumulate(block[:, j], block[:, : j.start].T, r[: j.start, j], np.subtract)
            for k in range(j.start, j.stop):
                block[:, k] /= r[k, k]
                block[:, k + 1 : j.stop] -= block[:, k, None] * r[k, None, k + 1 : j.stop]


def householder(z: Matrix) -> Matrix:
    """Q of z = QR by Householder reflections, each column of Q times the sign of R's diagonal (of zero: plus)."""
    m, n = z.shape
    a, q = z.copy(), np.eye(m, n)
    reflectors: list[tuple[Matrix, np.float64]] = []
    signs = np.ones(n)
    for k in range(n):
        v = a[k:, k].copy()
        norm = np.sqrt(_dot(v, v[:, None])[0])
        positive = v[0] >= 0
        v[0] = v[0] + norm if positive else v[0] - norm
        # The reflection takes the column to -norm (+norm) on the diagonal, which is R's entry.
        signs[k] = -1.0 if positive and norm > 0 else 1.0
        square = _dot(v, v[:, None])[0]
        factor = np.float64(2) / square if square > 0 else np.float64(0)
        reflectors.append((v, factor))
        _reflect(a[k:, k:], v, factor)
    for k in reversed(range(n)):
        _reflect(q[k:, k:], *reflectors[k])
    return q * signs


def _dot(v: Matrix, a: Matrix) -> Matrix:
    """vᵀa, summed over the rows in order."""
    total = np.zeros(a.shape[1])
    for k in range(len(v)):
        total += v[k] * a[k]
    return total


def _reflect(a: Matrix, v: Matrix, factor: np.float64) -> None:
    a -= v[:, None] * (factor * _dot(v, a))
