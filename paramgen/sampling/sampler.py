"""Tensors drawn piece by piece, from any thread: what a backend fills, and matrices that are one unit of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paramgen.chunks import BLOCK_BYTES
from paramgen.distributions import Constant, Normal, Orthogonal, UnitForgetGate
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import Backend, Bytes, Elementwise
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.orthogonal import DOUBLE, SINGLE, Orthonormalizer, tiles
from paramgen.team import Team

if TYPE_CHECKING:
    from paramgen.plan import Tensor

Progress = Callable[[int], None]


@dataclass(slots=True)
class _Whole:
    """A matrix that has been drawn, until the last of its elements is handed out."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: Bytes | None = None
    error: BaseException | None = None


class Sampler:
    """Draws pieces of tensors; several threads may, at the same time.

    `team` works together on each large matrix, of which there is one at a time. `progress` is told the bytes that have
    been drawn, by one thread at a time.
    """

    def __init__(self, backend: Backend, seed: int, team: Team, progress: Progress = lambda count: None):
        self.backend = backend
        self.seed = seed
        self.team = team
        self._progress = progress
        self._stopped = False
        self._wholes: dict[str, _Whole] = {}
        self._lock = threading.Lock()
        self._told = threading.Lock()
        self._large = threading.Lock()

    def stop(self) -> None:
        """Make whatever is being drawn end soon, by an error in its thread."""
        self._stopped = True

    def progress(self, count: int) -> None:
        with self._told:
            if self._stopped:
                raise InterruptedError("stopped")
            self._progress(count)

    def draw(self, tensor: Tensor, start: int, stop: int, out: Bytes) -> None:
        """Elements start … stop - 1 (C order) of a tensor, into their bytes. Each element may be drawn once."""
        law, nbytes = tensor.distribution, tensor.dtype.nbytes
        if isinstance(law, Orthogonal):
            out[...] = self._whole(tensor, law, stop - start)[nbytes(start) : nbytes(stop)]
            return
        for part, first, last in _elementwise(law, start, stop):
            here = out[nbytes(first - start) : nbytes(last - start)]
            self.backend.fill(part, tensor.dtype, self.seed, tensor.stream, first, here)
        self.progress(out.nbytes)

    def _whole(self, tensor: Tensor, law: Orthogonal, taken: int) -> Bytes:
        with self._lock:
            whole = self._wholes.setdefault(tensor.name, _Whole(tensor.size))
            whole.left -= taken
            if not whole.left:
                del self._wholes[tensor.name]
        with whole.lock:
            if whole.error:  # in another thread; to draw it again would end the same way
                raise whole.error
            if whole.data is None:
                large = tensor.nbytes > BLOCK_BYTES
                try:
                    with self._large if large else nullcontext():
                        self.progress(0)
                        whole.data = self._orthogonal(tensor, law.gain, self.team if large else Team())
                except BaseException as error:
                    whole.error = error
                    raise
            return whole.data

    def _orthogonal(self, tensor: Tensor, gain: float, team: Team) -> Bytes:
        """All bytes of an orthogonal matrix; a wide one is made from its transpose.

        MemoryError where it does not fit.
        """
        rows, columns = prod(tensor.shape[:-1]), tensor.shape[-1]
        double = tensor.dtype.name == "float64"
        told = 0.0
        passes = 2 if double else 1

        def progress(share: float) -> None:
            nonlocal told
            with self._lock:
                before, told = told, min(told + share / passes, 1.0)
                count = int(told * tensor.nbytes) - int(before * tensor.nbytes)
            self.progress(count)

        wide = rows < columns

        def draw() -> Matrix:
            z: Matrix = _allocated((columns, rows) if wide else (rows, columns), np.dtype(np.float64))
            team(lambda band: self._normal(tensor, band, z.T if wide else z), _bands(rows, columns))
            return z

        q = Orthonormalizer(self.backend, team, progress)(draw, DOUBLE if double else SINGLE)
        result = _allocated((rows, columns), tensor.dtype.numpy())

        def put(band: slice) -> None:
            values = gain * (q.T if wide else q)[band]
            result[band] = values if double else values.astype(np.float32)
            progress(0)

        team(put, _bands(rows, columns))
        progress(1)
        data: Bytes = result.reshape(-1).view(np.uint8)
        return data

    def _normal(self, tensor: Tensor, band: slice, z: Matrix) -> None:
        """Standard normal values in some rows of z, in the precision of the tensor."""
        dtype = DTYPES["float64" if tensor.dtype.name == "float64" else "float32"]
        rows = np.empty(z[band].shape, dtype.numpy())
        out = rows.reshape(-1).view(np.uint8)
        self.backend.fill(Normal(0.0, 1.0), dtype, self.seed, tensor.stream, band.start * z.shape[1], out)
        z[band] = rows
        self.progress(0)


def _allocated(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """MemoryError, with the size of the matrix, where it does not fit."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):  # ValueError: beyond what NumPy can address
        raise MemoryError(f"a matrix of {shape[0]} × {shape[1]}") from None


def _bands(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a matrix, so many at a time as are worked on at once."""
    return tiles(0, rows, max(1, BLOCK_BYTES // (8 * columns)))


def _elementwise(law: Elementwise | UnitForgetGate, start: int, stop: int) -> Iterator[tuple[Elementwise, int, int]]:
    """The range as ranges of distributions that backends know."""
    if not isinstance(law, UnitForgetGate):
        yield law, start, stop
        return
    begin, end = (min(max(edge, start), stop) for edge in (law.num_hidden_units, 2 * law.num_hidden_units))
    for value, first, last in ((0.0, start, begin), (1.0, begin, end), (0.0, end, stop)):
        if first < last:
            yield Constant(value), first, last
