"""Random orthogonal matrices, in double precision, computed by tiles.

The first pass takes the Cholesky factor R of ZᵀZ (its diagonal positive) and computes Q = Z·R⁻¹, the Q of Z = QR. It
loses orthogonality with the square of Z's condition number. A few probes measure the loss; if it is too large for the
dtype, a second pass over Q restores orthogonality. If Z is nearly rank-deficient, the first pass fails, and Householder
reflections, which always give an orthogonal matrix, take over.

Each element's sum has a fixed order, which the sizes of tiles, tasks and calls do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from paramgen.sampling.backend import Matrix, MatrixKernels
from paramgen.sampling.host import HostBackend
from paramgen.threads import parallel_for

# A loss above this starts a second pass: for float64 parameters, and for those rounded to float32.
FLOAT64_TOLERANCE, FLOAT32_TOLERANCE = 1e-13, 2.0**-22
# Above this loss a second pass might not restore orthogonality.
MAX_LOSS = 0.01
# Below this squared sine of a column to the columns before it, rounding hides whether they are independent.
MIN_SQUARED_SINE = 1e-14
PROBES = 8
# Micro-tiles of the CPU's kernels are 6 × 8 or 6 × 4: a common multiple.
MULTIPLE = 24

ShareCallback = Callable[[float], None]


def iter_tiles(start: int, stop: int, size: int) -> Iterator[slice]:
    """Yield the fewest ranges of at most `size` indices that cover start … stop - 1, of similar lengths."""
    length = stop - start
    count = max(1, -(-length // size))
    step = min(size, MULTIPLE * max(1, -(-length // (MULTIPLE * count))))
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


@dataclass(frozen=True, slots=True)
class Orthonormalizer:
    """The computation of Q on a backend, by several threads; `on_progress` gets finished shares of the work."""

    backend: MatrixKernels
    threads: int = 1
    on_progress: ShareCallback = lambda share: None

    def __call__(self, draw: Callable[[MatrixKernels], Matrix], tolerance: float) -> Matrix:
        """Return Q of z = QR, R's diagonal positive, for the matrix z of shape (m, n), m >= n, that `draw` returns.

        There is a second pass if the first loses more than the tolerance. In the rare case that z is rank-deficient,
        `draw` is called again, for the host, which then does the work. Memory is that of one z and one R; if z is
        rank-deficient, of three more z.
        """
        z = draw(self.backend)
        if self.divide_by_cholesky(z):
            loss = self.estimate_loss(z)
            if loss <= tolerance or (loss <= MAX_LOSS and self.divide_by_cholesky(z)):
                return z
        del z
        host = self.backend.host_backend
        return self.backend.upload(householder(host, self.threads, draw(host), self.on_progress))

    def divide_by_cholesky(self, z: Matrix) -> bool:
        """Replace z by z·R⁻¹, R the Cholesky factor of zᵀz; return False, and keep z, if R is numerically singular."""
        r = self.gram(z)
        if not self.cholesky(r):
            return False
        self.solve(z, r)
        return True

    def estimate_loss(self, q: Matrix) -> float:
        """Estimate ‖QᵀQ - I‖ (Frobenius) as the root mean square of ‖QᵀQx - x‖ over a few standard normal x."""
        m, n = q.shape
        host = self.backend.host_backend
        probes = host.zeros(n, PROBES)
        host.fill_normal(0, 0, 0, False, probes)
        x, residual = self.backend.upload(probes), self.backend.upload(-probes)
        for band in iter_tiles(0, m, self.backend.max_sum_terms):
            rows = q[band]
            image = self.backend.zeros(len(rows), PROBES)
            parallel_for(self.threads, partial(self._add_image, image, rows, x), self._bands(0, len(rows)))
            parallel_for(self.threads, partial(self._add_residual, residual, rows, image), self._bands(0, n))
        return float(np.sqrt(squared_norm(self.backend, residual.reshape(-1)) / PROBES))

    def _add_image(self, image: Matrix, q: Matrix, probes: Matrix, i: slice) -> None:
        self.backend.add_product(image[i], q[i].T, probes, 1)

    def _add_residual(self, residual: Matrix, q: Matrix, image: Matrix, i: slice) -> None:
        self.backend.add_product(residual[i], q[:, i], image, 1)

    def gram(self, z: Matrix) -> Matrix:
        """Return zᵀz except the tiles below the diagonal; the sums run over the rows of z."""
        m, n = z.shape
        g = self.backend.zeros(n, n)
        bands = list(self._bands(0, n))
        pairs = [(i, j) for number, i in enumerate(bands) for j in bands[number:]]

        def multiply(pair: tuple[slice, slice]) -> None:
            i, j = pair
            for k in iter_tiles(0, m, self.backend.max_sum_terms):
                self.backend.add_product(g[i, j], z[k, i], z[k, j], 1, upper=i == j)
                self.on_progress(0.4 / len(pairs) * (k.stop - k.start) / m)

        parallel_for(self.threads, multiply, pairs)
        return g

    def cholesky(self, g: Matrix) -> bool:
        """Replace g by R, upper triangular, its diagonal positive, RᵀR = g.

        Return False if R is numerically singular.
        """
        n = len(g)
        diagonal = self.backend.diagonal(g)
        for i in iter_tiles(0, n, self.backend.max_tile_rows):
            self.backend.add_product(g[i, i], g[: i.start, i], g[: i.start, i], -1, upper=True)
            if not self.backend.cholesky_tile(g[i, i], diagonal[i], MIN_SQUARED_SINE):
                return False

            def eliminate(j: slice, i: slice = i) -> None:
                self.backend.add_product(g[i, j], g[: i.start, i], g[: i.start, j], -1)
                self.backend.solve_triangular(g[i, i], g[i, j])
                self.on_progress(0)

            parallel_for(self.threads, eliminate, self._bands(i.stop, n))
            self.on_progress(0.1 * (i.stop - i.start) / n)
        return True

    def solve(self, z: Matrix, r: Matrix) -> None:
        """Replace z by z·r⁻¹, r upper triangular; a column's sum runs over the columns before it."""
        m, n = z.shape

        def solve_rows(rows: slice) -> None:
            for j in iter_tiles(0, n, self.backend.max_tile_rows):
                self.backend.add_product(z[rows, j], z[rows, : j.start].T, r[: j.start, j], -1)
                self.backend.solve_triangular(r[j, j], z[rows, j].T)
                self.on_progress(0.5 * (rows.stop - rows.start) / m * (j.stop - j.start) / n)

        parallel_for(self.threads, solve_rows, self._bands(0, m))

    def _bands(self, start: int, stop: int) -> Iterator[slice]:
        return iter_tiles(start, stop, self.backend.max_task_size)


def householder(host: HostBackend, threads: int, z: Matrix, on_progress: ShareCallback = lambda share: None) -> Matrix:
    """Return Q of z = QR by Householder reflections, R's diagonal not negative; overwrite z."""
    m, n = z.shape
    q = np.eye(m, n)
    reflectors: list[tuple[Matrix, float]] = []
    signs = np.ones(n)

    def reflect(a: Matrix, v: Matrix, scale: float) -> None:
        parallel_for(
            threads, lambda j: host.apply_reflector(a[:, j], v, scale), iter_tiles(0, a.shape[1], host.max_task_size)
        )

    for k in range(n):
        v = z[k:, k].copy()
        norm = float(np.sqrt(squared_norm(host, v)))
        positive = bool(v[0] >= 0)
        v[0] = v[0] + norm if positive else v[0] - norm
        # The reflection takes the column to -norm (+norm) on the diagonal, which is R's entry.
        signs[k] = -1.0 if positive and norm > 0 else 1.0
        length = squared_norm(host, v)
        reflectors.append((v, 2 / length if length > 0 else 0.0))
        reflect(z[k:, k:], *reflectors[k])
        on_progress(0)
    for k in reversed(range(n)):
        reflect(q[k:, k:], *reflectors[k])
        on_progress(0)
    return q * signs


def squared_norm(backend: MatrixKernels, v: Matrix) -> float:
    """Return vᵀv, summed in order."""
    total = backend.zeros(1, 1)
    backend.add_product(total, v[:, None], v[:, None], 1)
    return float(backend.download(total)[0, 0])
