"""Random orthogonal matrices, in double precision, from tiles whose sums run in an order that is written there.

Q of Z = QR comes from the Cholesky factor of ZᵀZ (R, its diagonal positive) as Z·R⁻¹. The pass loses orthogonality with
the square of Z's condition; how much is measured by a few probes, and where it is too much for the result's type a
second pass over Q restores it. Where Z is nearly or wholly rank-deficient, so that the first pass fails, Householder
reflections take over, which always give an orthogonal matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from paramgen.sampling.backend import Backend
from paramgen.sampling.host import HostBackend
from paramgen.sampling.matrix import Matrix
from paramgen.threads import Team

# The loss above which there is a second pass, for parameters that are float64 and for those rounded to float32.
DOUBLE, SINGLE = 1e-13, 2.0**-22
# The loss above which two passes might not do.
FAILED = 0.01
# A squared sine of a column to those before it that says nothing but rounding.
DEPENDENT = 1e-14
PROBES = 8
# The CPU's kernels work on 6 × 8 or 6 × 4 numbers at once.
MULTIPLE = 24

Progress = Callable[[float], None]


def tiles(start: int, stop: int, size: int) -> Iterator[slice]:
    """Yield the fewest ranges of at most `size` indices that cover start … stop - 1, of similar lengths."""
    length = stop - start
    count = max(1, -(-length // size))
    step = min(size, MULTIPLE * max(1, -(-length // (MULTIPLE * count))))
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


@dataclass(frozen=True, slots=True)
class Orthonormalizer:
    """The tiles of a backend, shared out among threads. `progress` is told the share of the work that each was.

    What takes part in each sum, and in which order, does not depend on the sizes of tiles, bands and depths.
    """

    backend: Backend
    team: Team
    progress: Progress = lambda share: None

    def __call__(self, draw: Callable[[Backend], Matrix], tolerance: float) -> Matrix:
        """Q of z = QR with R's diagonal positive, for the z of shape (m, n), m >= n, that `draw` makes.

        There is a second pass where the first loses more than the tolerance. `draw` is called once more in the rare
        case that z is rank-deficient, for the host, which then does the work. Memory is that of one z and one R; where
        z is, of three more of z's size.
        """
        z = draw(self.backend)
        if self.divide(z):
            loss = self.loss(z)
            if loss <= tolerance or (loss <= FAILED and self.divide(z)):
                return z
        del z
        host = self.backend.host
        return self.backend.upload(householder(host, self.team, draw(host), self.progress))

    def divide(self, z: Matrix) -> bool:
        """z becomes z·R⁻¹, R the Cholesky factor of zᵀz; False where there is none to rounding, z as it was."""
        r = self.gram(z)
        if not self.cholesky(r):
            return False
        self.solve(z, r)
        return True

    def loss(self, q: Matrix) -> float:
        """‖QᵀQ - I‖, the Frobenius norm, as the root mean square of ‖QᵀQx - x‖ over a few standard normal x."""
        m, n = q.shape
        host = self.backend.host
        probes = host.zeros(n, PROBES)
        host.normal(0, 0, 0, False, probes)
        x, back = self.backend.upload(probes), self.backend.upload(-probes)
        for band in tiles(0, m, self.backend.depth):
            rows = q[band]
            image = self.backend.zeros(len(rows), PROBES)
            self.team(partial(self._image, image, rows, x), self._bands(0, len(rows)))
            self.team(partial(self._back, back, rows, image), self._bands(0, n))
        return float(np.sqrt(square(self.backend, back.reshape(-1)) / PROBES))

    def _bands(self, start: int, stop: int) -> Iterator[slice]:
        return tiles(start, stop, self.backend.band)

    def _image(self, image: Matrix, q: Matrix, probes: Matrix, i: slice) -> None:
        self.backend.accumulate(image[i], q[i].T, probes, 1)

    def _back(self, back: Matrix, q: Matrix, image: Matrix, i: slice) -> None:
        self.backend.accumulate(back[i], q[:, i], image, 1)

    def gram(self, z: Matrix) -> Matrix:
        """zᵀz, but for the tiles below the diagonal; the sums run over the rows of z."""
        m, n = z.shape
        g = self.backend.zeros(n, n)
        bands = list(self._bands(0, n))
        pairs = [(i, j) for number, i in enumerate(bands) for j in bands[number:]]

        def tile(pair: tuple[slice, slice]) -> None:
            i, j = pair
            for k in tiles(0, m, self.backend.depth):
                self.backend.accumulate(g[i, j], z[k, i], z[k, j], 1, upper=i == j)
                self.progress(0.4 / len(pairs) * (k.stop - k.start) / m)

        self.team(tile, pairs)
        return g

    def cholesky(self, g: Matrix) -> bool:
        """g becomes R, upper triangular, its diagonal positive, with RᵀR = g; False where there is none to rounding."""
        n = len(g)
        diagonal = self.backend.diagonal(g)
        for i in tiles(0, n, self.backend.tile):
            self.backend.accumulate(g[i, i], g[: i.start, i], g[: i.start, i], -1, upper=True)
            if not self.backend.factor(g[i, i], diagonal[i], DEPENDENT):
                return False

            def tile(j: slice, i: slice = i) -> None:
                self.backend.accumulate(g[i, j], g[: i.start, i], g[: i.start, j], -1)
                self.backend.solve(g[i, i], g[i, j])
                self.progress(0)

            self.team(tile, self._bands(i.stop, n))
            self.progress(0.1 * (i.stop - i.start) / n)
        return True

    def solve(self, z: Matrix, r: Matrix) -> None:
        """z becomes z·r⁻¹, for upper triangular r; a column's sum runs over the columns before it."""
        m, n = z.shape

        def block(rows: slice) -> None:
            for j in tiles(0, n, self.backend.tile):
                self.backend.accumulate(z[rows, j], z[rows, : j.start].T, r[: j.start, j], -1)
                self.backend.solve(r[j, j], z[rows, j].T)
                self.progress(0.5 * (rows.stop - rows.start) / m * (j.stop - j.start) / n)

        self.team(block, self._bands(0, m))


def householder(host: HostBackend, team: Team, z: Matrix, progress: Progress = lambda share: None) -> Matrix:
    """Q of z = QR by Householder reflections, each column of Q times the sign of R's diagonal (of zero: plus).

    z is used up.
    """
    m, n = z.shape
    q = np.eye(m, n)
    reflectors: list[tuple[Matrix, float]] = []
    signs = np.ones(n)

    def reflect(a: Matrix, v: Matrix, factor: float) -> None:
        team(lambda j: host.reflect(a[:, j], v, factor), tiles(0, a.shape[1], host.band))

    for k in range(n):
        v = z[k:, k].copy()
        norm = float(np.sqrt(square(host, v)))
        positive = bool(v[0] >= 0)
        v[0] = v[0] + norm if positive else v[0] - norm
        # The reflection takes the column to -norm (+norm) on the diagonal, which is R's entry.
        signs[k] = -1.0 if positive and norm > 0 else 1.0
        length = square(host, v)
        reflectors.append((v, 2 / length if length > 0 else 0.0))
        reflect(z[k:, k:], *reflectors[k])
        progress(0)
    for k in reversed(range(n)):
        reflect(q[k:, k:], *reflectors[k])
        progress(0)
    return q * signs


def square(backend: Backend, v: Matrix) -> float:
    """vᵀv, summed in order."""
    total = backend.zeros(1, 1)
    backend.accumulate(total, v[:, None], v[:, None], 1)
    return float(backend.download(total)[0, 0])
