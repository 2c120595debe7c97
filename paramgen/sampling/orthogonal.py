"""Random orthogonal matrices, in double precision, every sum in an order that is written here.

Q of Z = QR comes from the Cholesky factor of ZᵀZ (R, its diagonal positive) as Z·R⁻¹, all by rank-one updates: each
element's sum runs over k in order, a multiply then an add, whatever library or machine does the row operations. The
pass loses about the inverse of the least squared sine between a column and the columns before it, times the rounding
unit; where that is too much for the result's type a second pass over Q restores it, and where Z is nearly or wholly
rank-deficient Householder reflections take over, which always give an orthogonal matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

TILE = 128
EPSILON = 2.0**-52
# The loss of orthogonality that a result may have: well below what float32 and float64 hold.
TOLERANCE = {"float32": 1e-8, "float64": 1e-13}
# Below this squared sine a column counts as dependent on those before it.
DEPENDENT = 1e-9


def orthogonal(normal: NDArray[Any], gain: float) -> NDArray[Any]:
    """gain times the orthogonal factor of a standard normal matrix, in its own dtype (float32 or float64).

    Of shape (m, n): for m >= n its columns are orthonormal and each is multiplied by the sign of R's diagonal entry;
    a wide matrix is built from its transpose, so that its rows are.
    """
    wide = normal.shape[0] < normal.shape[1]
    z = np.array(normal.T if wide else normal, np.float64, order="C")
    q = orthonormalize(z, TOLERANCE[normal.dtype.name])
    q *= gain
    return np.ascontiguousarray(q.T if wide else q).astype(normal.dtype)


def orthonormalize(z: Matrix, tolerance: float) -> Matrix:
    """Q of z = QR with R's diagonal positive, for z of shape (m, n), m >= n; |QᵀQ - I| within about the tolerance."""
    r, sine = cholesky(gram(z))
    if not sine > DEPENDENT:
        return householder(z)
    q = solve(z.copy(), r)
    if z.shape[1] * EPSILON > tolerance * sine:
        q = solve(q, cholesky(gram(q))[0])
    return q


def gram(z: Matrix) -> Matrix:
    """The upper triangle (by tiles) of zᵀz; the sums run over the rows of z."""
    n = z.shape[1]
    g = np.zeros((n, n))
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            tile = g[i : i + TILE, j : j + TILE]
            left, right = z[:, i : i + TILE, None], z[:, None, j : j + TILE]
            product = np.empty_like(tile)
            for k in range(len(z)):
                np.multiply(left[k], right[k], out=product)
                np.add(tile, product, out=tile)
    return g


def cholesky(g: Matrix) -> tuple[Matrix, float]:
    """(R, s): upper triangular R with RᵀR = g, its diagonal positive, and the least squared sine s of a column.

    s = min R[k, k]²/g[k, k]; it is zero, and R unusable, where g is not positive definite. Works in g.
    """
    diagonal = g.diagonal().copy()
    sine = np.float64(1)
    for k in range(len(g)):
        pivot = g[k, k]
        if not pivot > DEPENDENT * diagonal[k]:
            return g, 0.0
        sine = np.minimum(sine, pivot / diagonal[k])
        g[k, k:] /= np.sqrt(pivot)
        g[k + 1 :, k + 1 :] -= g[k, k + 1 :, None] * g[k, None, k + 1 :]
    return g, float(sine)


def solve(z: Matrix, r: Matrix) -> Matrix:
    """z·r⁻¹ for upper triangular r, in z itself, by blocks of rows."""
    for i in range(0, len(z), TILE):
        rows = z[i : i + TILE]
        for k in range(z.shape[1]):
            rows[:, k] /= r[k, k]
            rows[:, k + 1 :] -= rows[:, k, None] * r[k, None, k + 1 :]
    return z


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
