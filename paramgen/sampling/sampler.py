"""Parameters drawn piece by piece, from any thread: what a backend fills, and matrices that are one unit of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from paramgen.chunks import BLOCK_BYTES
from paramgen.distributions import Constant, Orthogonal, UnitForgetGate
from paramgen.sampling.backend import Backend, Bytes, Elementwise
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.orthogonal import DOUBLE, SINGLE, Orthonormalizer, tiles
from paramgen.team import Team

if TYPE_CHECKING:
    from paramgen.spec.expand import Parameter

Progress = Callable[[int], None]


@dataclass(slots=True)
class _Whole:
    """A matrix that has been drawn, until the last of its elements is handed out."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: Bytes | None = None
    error: BaseException | None = None


class Sampler:
    """Draws pieces of tensors; several threads may, at the same time, each on a backend of its own or on a shared one.

    Large matrices are drawn one at a time, by `team` where threads can share their backend. `progress` is told the
    bytes that have been drawn, by one thread at a time.
    """

    def __init__(self, seed: int, team: Team, progress: Progress = lambda count: None):
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

    def draw(self, backend: Backend, tensor: Parameter, start: int, stop: int, out: Bytes) -> None:
        """Elements start … stop - 1 (C order) of a tensor, into their bytes. Each element may be drawn once."""
        law, nbytes = tensor.distribution, tensor.dtype.nbytes
        if isinstance(law, Orthogonal):
            backend.copy(out, self._whole(backend, tensor, law, stop - start)[nbytes(start) : nbytes(stop)])
            return
        for part, first, last in _elementwise(law, start, stop):
            here = out[nbytes(first - start) : nbytes(last - start)]
            backend.fill(part, tensor.dtype, self.seed, tensor.stream, first, here)
        self.progress(out.nbytes)

    def _whole(self, backend: Backend, tensor: Parameter, law: Orthogonal, taken: int) -> Bytes:
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
                team = self.team if large and backend.shared else Team()
                try:
                    with self._large if large else nullcontext():
                        self.progress(0)
                        whole.data = self._orthogonal(backend, tensor, law.gain, team)
                        backend.finish()
                except BaseException as error:
                    whole.error = error
                    raise
            return whole.data

    def _orthogonal(self, backend: Backend, tensor: Parameter, gain: float, team: Team) -> Bytes:
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

        def draw(on: Backend) -> Matrix:
            z = on.zeros(columns, rows) if wide else on.zeros(rows, columns)

            def normal(band: slice) -> None:
                on.normal(self.seed, tensor.stream, band.start * columns, double, (z.T if wide else z)[band])
                progress(0)

            team(normal, _bands(rows, columns))
            return z

        q = Orthonormalizer(backend, team, progress)(draw, DOUBLE if double else SINGLE)
        result = backend.empty(tensor.nbytes)

        def put(band: slice) -> None:
            out = result[tensor.dtype.nbytes(band.start * columns) : tensor.dtype.nbytes(band.stop * columns)]
            backend.round((q.T if wide else q)[band], gain, tensor.dtype, out)
            progress(0)

        team(put, _bands(rows, columns))
        progress(1)
        return result


def cpu_seconds(tensor: Parameter) -> float:
    """About how long a thread of a CPU takes to draw a tensor."""
    if not isinstance(tensor.distribution, Orthogonal):
        return 2e-9 * tensor.size
    columns = min(tensor.shape[-1], tensor.size // tensor.shape[-1])
    return 7e-11 * tensor.size * columns


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
