"""The matrix kernels in NumPy, in double precision: the oracle of matrix.h.

MatrixKernels describes them, and HostBackend apply_reflector. Each element's sum runs over k in order, a multiply then
an add.
"""

from __future__ import annotations

import numpy as np

from paramgen.sampling.backend import Matrix


def add_product(c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
    combine = np.add if sign > 0 else np.subtract
    total = c.copy()
    product = np.empty_like(total)
    for column, row in zip(left, right, strict=True):
        np.multiply(column[:, None], row, out=product)
        combine(total, product, out=total)
    c[...] = total


def cholesky_tile(g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
    for k in range(len(g)):
        if not g[k, k] > min_ratio * diagonal[k]:
            return False
        g[k, k] = np.sqrt(g[k, k])
        g[k, k + 1 :] /= g[k, k]
        g[k + 1 :, k + 1 :] -= g[k, k + 1 :, None] * g[k, k + 1 :]
    return True


def solve_triangular(r: Matrix, x: Matrix) -> None:
    for k in range(len(r)):
        x[k] /= r[k, k]
        x[k + 1 :] -= r[k, k + 1 :, None] * x[k]


def apply_reflector(a: Matrix, v: Matrix, scale: float) -> None:
    dot = np.zeros(a.shape[1])
    for number, row in zip(v, a, strict=True):
        dot += number * row
    a -= v[:, None] * (scale * dot)
