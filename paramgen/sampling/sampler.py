"""The sampler, which draws any slice of a tensor from any thread, and matrices as one unit of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import BLOCK_BYTES
from paramgen.catalog.distributions import (
    Constant,
    ElementwiseDistribution,
    MatrixDistribution,
    MatrixRegion,
    Norm,
    PeriodicConstant,
    Table,
    WholeDistribution,
)
from paramgen.dtypes import DType
from paramgen.planning.tensors import Parameter, Tensor
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.norm import norms
from paramgen.sampling.orthogonal import FLOAT32_TOLERANCE, FLOAT64_TOLERANCE, Orthonormalizer, tiles
from paramgen.sampling.regions import StridedRegion, regions
from paramgen.threads import parallel_for

OnBytes = Callable[[int], None]

# Starting several threads takes about a millisecond, so a matrix of fewer CPU seconds is drawn by one.
PARALLEL_SECONDS = 0.02


@dataclass(slots=True)
class _CachedWhole:
    """The bytes of a parameter that is drawn as a whole, kept until the last of its elements is taken."""

    remaining: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: Bytes | None = None
    error: BaseException | None = None


class Sampler:
    """Slices of tensors for one seed, drawn by several threads at the same time, on shared or separate backends.

    Large matrices are drawn one at a time, by `threads` threads if they can share their backend. `on_bytes` is called
    with numbers of drawn bytes, by one thread at a time.
    """

    def __init__(self, seed: int, threads: int = 1, on_bytes: OnBytes = lambda count: None):
        self.seed = seed
        self.threads = threads
        self._on_bytes = on_bytes
        self._stopped = False
        self._wholes: dict[str, _CachedWhole] = {}
        self._lock = threading.Lock()
        self._report_lock = threading.Lock()
        self._large_matrix_lock = threading.Lock()

    def stop(self) -> None:
        """Make every thread that draws end soon, with InterruptedError."""
        self._stopped = True

    def report(self, count: int) -> None:
        """Report `count` more bytes as drawn; raise InterruptedError after stop()."""
        with self._report_lock:
            if self._stopped:
                raise InterruptedError("stopped")
            self._on_bytes(count)

    def draw(self, backend: Backend, tensor: Tensor, start: int, stop: int, out: Bytes) -> None:
        """Draw elements start … stop - 1 (C order) of a tensor into `out`. Each element may be drawn once."""
        for region in regions(tensor.rearrangement, start, stop):
            source = tensor.sources[region.source]
            self._draw_region(backend, source, region, out)
            padding_index = source.resolved.padding_index
            if padding_index is not None and (padding := region.at_index(padding_index, source.resolved.shape[-1])):
                self._fill_region(backend, source, Constant(0.0), padding, out)

    def _draw_region(self, backend: Backend, parameter: Parameter, region: StridedRegion, out: Bytes) -> None:
        dtype, distribution = parameter.resolved.dtype, parameter.resolved.distribution
        if isinstance(distribution, WholeDistribution):
            whole = self._take_whole(backend, parameter, distribution, region.size)
            if region.is_contiguous:
                here = out[dtype.nbytes(region.out_offset) : dtype.nbytes(region.out_offset + region.size)]
                backend.copy(here, whole[dtype.nbytes(region.offset) : dtype.nbytes(region.offset + region.size)])
            else:
                backend.take_region(whole, dtype, region, out)
            return
        if isinstance(distribution, Table):
            table = backend.upload(_round(distribution, dtype)).view(np.uint8)
            backend.repeat_region(table, dtype, distribution.run, region, out)
        elif isinstance(distribution, PeriodicConstant):
            self._fill_region(backend, parameter, Constant(0.0), region, out)
            for part in _periodic_parts(distribution, region):
                self._fill_region(backend, parameter, Constant(distribution.value), part, out)
        else:
            assert isinstance(distribution, ElementwiseDistribution)
            self._fill_region(backend, parameter, distribution, region, out)
        self.report(dtype.nbytes(region.size))

    def _fill_region(
        self,
        backend: Backend,
        parameter: Parameter,
        distribution: ElementwiseDistribution,
        region: StridedRegion,
        out: Bytes,
    ) -> None:
        dtype = parameter.resolved.dtype
        if dtype.is_integer and isinstance(distribution, Constant):  # kernels round constants to floats
            element = backend.upload(np.array([int(distribution.value)], dtype.numpy_dtype())).view(np.uint8)
            backend.take_region(element, dtype, region._replace(offset=0, strides=(0,) * len(region.sizes)), out)
            return
        if region.is_contiguous:
            here = out[dtype.nbytes(region.out_offset) : dtype.nbytes(region.out_offset + region.size)]
            backend.fill(distribution, dtype, self.seed, parameter.stream, region.offset, here)
        else:
            backend.fill_region(distribution, dtype, self.seed, parameter.stream, region, out)

    def _take_whole(self, backend: Backend, parameter: Parameter, distribution: WholeDistribution, taken: int) -> Bytes:
        """Return all bytes of a parameter of matrices or norms, drawn at the first call; forget them at the last."""
        with self._lock:
            cached = self._wholes.setdefault(parameter.name, _CachedWhole(parameter.resolved.size))
            cached.remaining -= taken
            if not cached.remaining:
                del self._wholes[parameter.name]
        with cached.lock:
            if cached.error:  # in another thread; drawing it again would end the same way
                raise cached.error
            if cached.data is None:
                try:
                    if isinstance(distribution, Norm):
                        cached.data = self._draw_norms(backend, parameter, distribution)
                    else:
                        assert isinstance(distribution, MatrixDistribution)
                        cached.data = self._draw_matrices(backend, parameter, distribution)
                except BaseException as error:
                    cached.error = error
                    raise
            return cached.data

    def _draw_norms(self, backend: Backend, parameter: Parameter, distribution: Norm) -> Bytes:
        """Return all bytes of a parameter of norms; the direction is drawn in blocks."""
        of = distribution.direction
        spec = replace(parameter.resolved, shape=of.shape, dtype=of.dtype, distribution=of.distribution)
        direction = parameter._replace(resolved=spec)
        # A sampler of its own: a direction of matrices is taken as often again as the file takes it.
        sampler = Sampler(self.seed, self.threads, lambda count: self.report(0))
        sampler._large_matrix_lock = self._large_matrix_lock

        def draw(start: int, stop: int) -> NDArray[Any]:
            out = backend.empty(of.dtype.nbytes(stop - start))
            sampler._draw_region(backend, direction, StridedRegion(0, start, 0, (stop - start,), (1,), (1,)), out)
            drawn: NDArray[Any] = backend.download(out)
            return drawn.view(of.dtype.numpy_dtype())

        found = backend.upload(norms(draw, distribution.grid))
        result = backend.empty(parameter.resolved.nbytes)
        backend.round(found, 1.0, parameter.resolved.dtype, result)
        backend.finish()
        self.report(parameter.resolved.nbytes)
        return result

    def _draw_matrices(self, backend: Backend, parameter: Parameter, distribution: MatrixDistribution) -> Bytes:
        """Return all bytes of a parameter of orthogonal matrices, large ones one at a time."""
        large = parameter.resolved.nbytes > BLOCK_BYTES or cpu_seconds(parameter) > PARALLEL_SECONDS
        with self._large_matrix_lock if large else nullcontext():
            self.report(0)
            threads = self.threads if large and backend.shared else 1
            result = self._draw_submatrices(backend, parameter, distribution, threads)
            backend.finish()  # before the next large one takes memory
        return result

    def _draw_submatrices(
        self, backend: Backend, parameter: Parameter, distribution: MatrixDistribution, threads: int
    ) -> Bytes:
        """Return all bytes of a parameter of orthogonal matrices. Raises MemoryError if they do not fit."""
        dtype = parameter.resolved.dtype
        try:
            result = backend.empty(parameter.resolved.nbytes)
        except MemoryError as error:
            raise MemoryError(f"{parameter.name} needs {error}") from None
        matrices = distribution.submatrices(parameter.resolved.shape)
        drawn = sum(dtype.nbytes(matrix.size) for matrix in matrices)
        if drawn < parameter.resolved.nbytes:
            backend.fill(Constant(0.0), dtype, self.seed, parameter.stream, 0, result)
            self.report(parameter.resolved.nbytes - drawn)
        for matrix in matrices:
            out = result[dtype.nbytes(matrix.first) :][: dtype.nbytes(matrix.size)]
            self._draw_orthogonal(backend, parameter, distribution.gain, matrix, threads, out)
        return result

    def _draw_orthogonal(
        self, backend: Backend, parameter: Parameter, gain: float, matrix: MatrixRegion, threads: int, out: Bytes
    ) -> None:
        """Draw one matrix of a parameter; a wide one is the transpose of a tall one."""
        rows, columns, dtype = matrix.rows, matrix.columns, parameter.resolved.dtype
        double = dtype.name == "float64"
        is_wide = rows < columns
        reported = 0.0
        passes = 2 if double else 1

        def on_progress(share: float) -> None:
            nonlocal reported
            with self._lock:
                before, reported = reported, min(reported + share / passes, 1.0)
                count = int(reported * out.nbytes) - int(before * out.nbytes)
            self.report(count)

        def draw(on: Backend) -> Matrix:
            z = on.zeros(columns, rows) if is_wide else on.zeros(rows, columns)

            def draw_band(band: slice) -> None:
                first = matrix.first + band.start * columns
                on.normal(self.seed, parameter.stream, first, double, (z.T if is_wide else z)[band])
                on_progress(0)

            parallel_for(threads, draw_band, _bands(rows, columns))
            return z

        tolerance = FLOAT64_TOLERANCE if double else FLOAT32_TOLERANCE
        q = Orthonormalizer(backend, threads, on_progress)(draw, tolerance)

        def round_band(band: slice) -> None:
            here = out[dtype.nbytes(band.start * columns) : dtype.nbytes(band.stop * columns)]
            backend.round((q.T if is_wide else q)[band], gain, dtype, here)
            on_progress(0)

        parallel_for(threads, round_band, _bands(rows, columns))
        on_progress(1)


def cpu_seconds(parameter: Parameter) -> float:
    """Estimate the seconds that one CPU thread takes to draw a parameter."""
    distribution = parameter.resolved.distribution
    if isinstance(distribution, Norm):
        of = distribution.direction
        direction = replace(parameter.resolved, shape=of.shape, dtype=of.dtype, distribution=of.distribution)
        return 1e-8 * direction.size + cpu_seconds(parameter._replace(resolved=direction))
    if not isinstance(distribution, MatrixDistribution):
        return 2e-9 * parameter.resolved.size
    matrices = distribution.submatrices(parameter.resolved.shape)
    return 7e-11 * sum(matrix.size * min(matrix.rows, matrix.columns) for matrix in matrices)


@lru_cache(maxsize=16)
def _round(table: Table, dtype: DType) -> NDArray[Any]:
    """Return the bytes of a table's numbers in a dtype; rounded to float32 first, if it is a narrower float."""
    numbers: NDArray[Any] = np.frombuffer(table.data)
    if not dtype.is_integer and dtype.bits < 64:
        numbers = numbers.astype(np.float32)
    return numbers.astype(dtype.numpy_dtype()).view(np.uint8)


def _periodic_parts(distribution: PeriodicConstant, region: StridedRegion) -> Iterator[StridedRegion]:
    """Yield the parts of a region whose elements are not zero."""
    if region.is_contiguous:
        yield from _periodic_ranges(distribution, region)
        return
    starts = distribution.first + distribution.step * np.arange(distribution.count)
    rest = np.add.outer(starts, np.arange(distribution.length)).reshape(-1) - region.offset
    offset, out_offset = region.offset + rest, np.full(rest.shape, region.out_offset)
    # The strides are those of an array in C order, possibly permuted: dividing by the largest first gives the indices.
    axes = zip(region.sizes, region.strides, region.out_strides, strict=True)
    for size, stride, out_stride in sorted(axes, key=lambda axis: -axis[1]):
        index = np.clip(rest // stride, 0, size - 1)
        rest = rest - index * stride
        out_offset = out_offset + index * out_stride
    for element, place in zip(offset[rest == 0], out_offset[rest == 0], strict=True):
        yield StridedRegion(region.source, int(element), int(place), (), (), ())


def _periodic_ranges(distribution: PeriodicConstant, region: StridedRegion) -> Iterator[StridedRegion]:
    """Yield the ranges of a contiguous region whose elements are not zero."""
    end = region.offset + region.size
    number = max(0, (region.offset - distribution.first - distribution.length) // distribution.step)
    begin = distribution.first + number * distribution.step
    for start in range(begin, min(distribution.first + distribution.count * distribution.step, end), distribution.step):
        first, last = max(start, region.offset), min(start + distribution.length, end)
        if first < last:
            out_offset = region.out_offset + first - region.offset
            yield StridedRegion(region.source, first, out_offset, (last - first,), (1,), (1,))


def _bands(rows: int, columns: int) -> Iterator[slice]:
    """Yield ranges of a matrix's rows, each of about BLOCK_BYTES."""
    return tiles(0, rows, max(1, BLOCK_BYTES // (8 * columns)))
