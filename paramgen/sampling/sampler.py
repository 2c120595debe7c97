"""Parameters drawn piece by piece, from any thread: what a backend fills, and matrices that are one unit of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from paramgen.buffers import BLOCK_BYTES
from paramgen.catalog.axes import StridedRegion, regions
from paramgen.catalog.distributions import (
    Constant,
    DeltaOrthogonal,
    Elementwise,
    Matrices,
    Matrix,
    Orthogonal,
    PeriodicConstant,
)
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.matrix import Matrix as Array
from paramgen.sampling.orthogonal import DOUBLE, SINGLE, Orthonormalizer, tiles
from paramgen.threads import Team

if TYPE_CHECKING:
    from paramgen.planning.plan import Tensor
    from paramgen.planning.resolve import Parameter

Progress = Callable[[int], None]

# CPU seconds from which a matrix is worth several threads: starting them takes about a millisecond altogether.
PARALLEL = 0.02


@dataclass(slots=True)
class _CachedMatrix:
    """A matrix that has been drawn, until the last of its elements is handed out."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: Bytes | None = None
    error: BaseException | None = None


class Sampler:
    """Draws slices of tensors; several threads may, at the same time, each on a backend of its own or on a shared one.

    Large matrices are drawn one at a time, by `team` where threads can share their backend. `progress` is told the
    bytes that have been drawn, by one thread at a time.
    """

    def __init__(self, seed: int, team: Team, progress: Progress = lambda count: None):
        self.seed = seed
        self.team = team
        self._progress = progress
        self._stopped = False
        self._matrices_drawn: dict[str, _CachedMatrix] = {}
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

    def draw(self, backend: Backend, tensor: Tensor, start: int, stop: int, out: Bytes) -> None:
        """Elements start … stop - 1 (C order) of a tensor, into their bytes. Each element may be drawn once."""
        for region in regions(tensor.rearrangement, start, stop):
            self._draw_region(backend, tensor.sources[region.source], region, out)

    def _draw_region(self, backend: Backend, parameter: Parameter, region: StridedRegion, out: Bytes) -> None:
        kind, distribution = parameter.spec, parameter.spec.distribution
        nbytes = kind.dtype.nbytes
        if isinstance(distribution, Orthogonal | DeltaOrthogonal):
            whole = self._whole(backend, parameter, distribution, region.size)
            if region.is_run:
                here = out[nbytes(region.to) : nbytes(region.to + region.size)]
                backend.copy(here, whole[nbytes(region.first) : nbytes(region.first + region.size)])
            else:
                backend.take_region(whole, kind.dtype, region, out)
            return
        if isinstance(distribution, PeriodicConstant):
            self._fill_region(backend, parameter, Constant(0.0), region, out)
            for run in _runs(distribution, region):
                self._fill_region(backend, parameter, Constant(distribution.value), run, out)
        else:
            self._fill_region(backend, parameter, distribution, region, out)
        self.progress(nbytes(region.size))

    def _fill_region(
        self, backend: Backend, parameter: Parameter, distribution: Elementwise, region: StridedRegion, out: Bytes
    ) -> None:
        dtype = parameter.spec.dtype
        if dtype.is_integer:  # kernels draw floats only
            assert isinstance(distribution, Constant)
            element = backend.upload(np.array([int(distribution.value)], dtype.numpy())).view(np.uint8)
            backend.take_region(element, dtype, region._replace(first=0, strides=(0,) * len(region.sizes)), out)
            return
        if region.is_run:
            here = out[dtype.nbytes(region.to) : dtype.nbytes(region.to + region.size)]
            backend.fill(distribution, dtype, self.seed, parameter.stream, region.first, here)
        else:
            backend.fill_region(distribution, dtype, self.seed, parameter.stream, region, out)

    def _whole(self, backend: Backend, parameter: Parameter, distribution: Matrices, taken: int) -> Bytes:
        with self._lock:
            whole = self._matrices_drawn.setdefault(parameter.name, _CachedMatrix(parameter.spec.size))
            whole.left -= taken
            if not whole.left:
                del self._matrices_drawn[parameter.name]
        with whole.lock:
            if whole.error:  # in another thread; to draw it again would end the same way
                raise whole.error
            if whole.data is None:
                large = parameter.spec.nbytes > BLOCK_BYTES or cpu_seconds(parameter) > PARALLEL
                team = self.team if large and backend.shared else Team()
                try:
                    with self._large if large else nullcontext():
                        self.progress(0)
                        whole.data = self._matrices(backend, parameter, distribution, team)
                        backend.finish()
                except BaseException as error:
                    whole.error = error
                    raise
            return whole.data

    def _matrices(self, backend: Backend, parameter: Parameter, distribution: Matrices, team: Team) -> Bytes:
        """All bytes of a parameter that consists of orthogonal matrices; MemoryError where it does not fit."""
        dtype, shape = parameter.spec.dtype, parameter.spec.shape
        try:
            result = backend.empty(parameter.spec.nbytes)
        except MemoryError as error:
            raise MemoryError(f"{parameter.name} of {error}") from None
        places = distribution.submatrices(shape)
        drawn = sum(dtype.nbytes(place.size) for place in places)
        if drawn < parameter.spec.nbytes:
            backend.fill(Constant(0.0), dtype, self.seed, parameter.stream, 0, result)
            self.progress(parameter.spec.nbytes - drawn)
        for place in places:
            out = result[dtype.nbytes(place.first) :][: dtype.nbytes(place.size)]
            self._orthogonal(backend, parameter, distribution.gain, place, team, out)
        return result

    def _orthogonal(
        self, backend: Backend, parameter: Parameter, gain: float, place: Matrix, team: Team, out: Bytes
    ) -> None:
        """One matrix of a parameter; a wide one is made from its transpose."""
        rows, columns, dtype = place.rows, place.columns, parameter.spec.dtype
        double = dtype.name == "float64"
        told = 0.0
        passes = 2 if double else 1

        def progress(share: float) -> None:
            nonlocal told
            with self._lock:
                before, told = told, min(told + share / passes, 1.0)
                count = int(told * out.nbytes) - int(before * out.nbytes)
            self.progress(count)

        wide = rows < columns

        def draw(on: Backend) -> Array:
            z = on.zeros(columns, rows) if wide else on.zeros(rows, columns)

            def normal(band: slice) -> None:
                first = place.first + band.start * columns
                on.normal(self.seed, parameter.stream, first, double, (z.T if wide else z)[band])
                progress(0)

            team(normal, _bands(rows, columns))
            return z

        q = Orthonormalizer(backend, team, progress)(draw, DOUBLE if double else SINGLE)

        def put(band: slice) -> None:
            here = out[dtype.nbytes(band.start * columns) : dtype.nbytes(band.stop * columns)]
            backend.round((q.T if wide else q)[band], gain, dtype, here)
            progress(0)

        team(put, _bands(rows, columns))
        progress(1)


def cpu_seconds(parameter: Parameter) -> float:
    """About how long a thread of a CPU takes to draw a parameter."""
    distribution = parameter.spec.distribution
    if not isinstance(distribution, Orthogonal | DeltaOrthogonal):
        return 2e-9 * parameter.spec.size
    places = distribution.submatrices(parameter.spec.shape)
    return 7e-11 * sum(place.size * min(place.rows, place.columns) for place in places)


def _runs(distribution: PeriodicConstant, region: StridedRegion) -> Iterator[StridedRegion]:
    """What a region has of the runs that are not zero."""
    if region.is_run:
        begin = (
            max(0, (region.first - distribution.first - distribution.length) // distribution.step)
            if distribution.count > 1
            else 0
        )
        for number in range(begin, distribution.count):
            start = distribution.first + number * distribution.step
            first, last = max(start, region.first), min(start + distribution.length, region.first + region.size)
            if start >= region.first + region.size:
                return
            if first < last:
                yield StridedRegion(region.source, first, region.to + first - region.first, (last - first,), (1,), (1,))
        return
    elements = (
        np.add.outer(
            distribution.first + distribution.step * np.arange(distribution.count), np.arange(distribution.length)
        ).reshape(-1)
        - region.first
    )
    place = np.full(elements.shape, region.to)
    rest = elements
    # The strides are those of an array in C order, one axis after another: the largest first.
    for size, stride, step in sorted(
        zip(region.sizes, region.strides, region.places, strict=True), key=lambda axis: -axis[1]
    ):
        index = np.clip(rest // stride, 0, size - 1)
        rest = rest - index * stride
        place = place + index * step
    for element, to in zip(elements[rest == 0], place[rest == 0], strict=True):
        yield StridedRegion(region.source, region.first + int(element), int(to), (), (), ())


def _bands(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a matrix, so many at a time as are worked on at once."""
    return tiles(0, rows, max(1, BLOCK_BYTES // (8 * columns)))
