"""The sampler, which draws any slice of a tensor from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import (
    Constant,
    ElementwiseDistribution,
    MatrixDistribution,
    Norm,
    PeriodicConstant,
    Table,
    WholeDistribution,
)
from paramgen.dtypes import DType
from paramgen.planning.tensors import Parameter, Tensor
from paramgen.progress import BytesCallback, as_progress
from paramgen.sampling.backend import Backend, Bytes, ElementSource
from paramgen.sampling.matrix_drawer import MatrixDrawer
from paramgen.sampling.regions import StridedRegion, iter_regions
from paramgen.sampling.shared_cache import SharedCache
from paramgen.sampling.weight_norms import compute_norms, direction_parameter


class Sampler:
    """Slices of tensors for one seed, drawn by several threads at the same time, on shared or separate backends.

    Large matrices are drawn one at a time, by `threads` threads if they can share their backend; samplers that share a
    `large_matrix_lock` take turns. `progress` is called with numbers of drawn bytes, by one thread at a time.
    """

    def __init__(
        self,
        seed: int,
        threads: int = 1,
        progress: BytesCallback | None = None,
        large_matrix_lock: threading.Lock | None = None,
    ):
        self.seed = seed
        self.threads = threads
        self._progress = as_progress(progress)
        self._stopped = False
        self._cache = SharedCache()
        self._report_lock = threading.Lock()
        self._large_matrix_lock = large_matrix_lock or threading.Lock()
        self._matrices = MatrixDrawer(seed, threads, self.report_progress, self._large_matrix_lock)

    def stop(self) -> None:
        """Make every thread that draws end soon, with InterruptedError."""
        self._stopped = True

    def report_progress(self, count: int) -> None:
        """Report `count` more bytes as drawn; raise InterruptedError after stop()."""
        with self._report_lock:
            if self._stopped:
                raise InterruptedError("stopped")
            self._progress(count)

    def draw(self, backend: Backend, tensor: Tensor, start: int, stop: int, out: Bytes) -> None:
        """Draw elements start … stop - 1 (C order) of a tensor into `out`.

        Draw each element only once: indivisible parameters are freed after the last.
        """
        self._progress.item(tensor.name)
        for region in iter_regions(tensor.rearrangement, start, stop):
            parameter = tensor.sources[region.source]
            self._draw_region(backend, parameter, region, out)
            index = parameter.resolved.padding_index
            if index is not None and (padding := region.select_last_axis(index, parameter.resolved.shape[-1])):
                self._fill_region(backend, parameter, Constant(0.0), padding, out)

    def _draw_region(self, backend: Backend, parameter: Parameter, region: StridedRegion, out: Bytes) -> None:
        dtype, distribution = parameter.resolved.dtype, parameter.resolved.distribution
        if isinstance(distribution, WholeDistribution):
            self._copy_indivisible(backend, parameter, distribution, region, out)
            return
        if isinstance(distribution, Table):
            table = backend.upload(_encode_table(distribution, dtype)).view(np.uint8)
            backend.fill_region_from_table(table, dtype, distribution.run, region, out)
        elif isinstance(distribution, PeriodicConstant):
            self._fill_region(backend, parameter, Constant(0.0), region, out)
            for part in _nonzero_parts(distribution, region):
                self._fill_region(backend, parameter, Constant(distribution.value), part, out)
        else:
            assert isinstance(distribution, ElementwiseDistribution)
            self._fill_region(backend, parameter, distribution, region, out)
        self.report_progress(dtype.nbytes(region.size))

    def _fill_region(
        self,
        backend: Backend,
        parameter: Parameter,
        distribution: ElementwiseDistribution,
        region: StridedRegion,
        out: Bytes,
    ) -> None:
        source = ElementSource(distribution, parameter.resolved.dtype, self.seed, parameter.stream)
        if source.dtype.is_integer and isinstance(distribution, Constant):  # kernels round constants to floats
            element = backend.upload(np.array([int(distribution.value)], source.dtype.numpy_dtype())).view(np.uint8)
            repeated = region._replace(offset=0, strides=(0,) * len(region.sizes))
            backend.copy_region(element, source.dtype, repeated, out)
        elif region.is_contiguous:
            backend.fill(source, region.offset, region.slice_output(out, source.dtype))
        else:
            backend.fill_region(source, region, out)

    def _copy_indivisible(
        self,
        backend: Backend,
        parameter: Parameter,
        distribution: WholeDistribution,
        region: StridedRegion,
        out: Bytes,
    ) -> None:
        """Copy a region of matrices or norms, which are drawn as a whole by the first thread that needs them."""

        def draw() -> Bytes:
            if isinstance(distribution, Norm):
                return self._draw_norms(backend, parameter, distribution)
            assert isinstance(distribution, MatrixDistribution)
            return self._matrices.draw(backend, parameter, distribution)

        dtype = parameter.resolved.dtype
        data = self._cache.take(parameter.name, parameter.resolved.size, region.size, draw)
        if region.is_contiguous:
            target = region.slice_output(out, dtype)
            backend.copy(target, data[dtype.nbytes(region.offset) :][: target.nbytes])
        else:
            backend.copy_region(data, dtype, region, out)

    def _draw_norms(self, backend: Backend, parameter: Parameter, distribution: Norm) -> Bytes:
        """Return all bytes of a parameter of norms; the direction is drawn in blocks."""
        direction = direction_parameter(parameter, distribution)
        dtype = direction.resolved.dtype
        # A separate sampler, so that these reads do not use up the cache of the file's own reads.
        sampler = Sampler(self.seed, self.threads, lambda count: self.report_progress(0), self._large_matrix_lock)

        def draw(start: int, stop: int) -> NDArray[Any]:
            out = backend.empty(dtype.nbytes(stop - start))
            sampler._draw_region(backend, direction, StridedRegion.contiguous(start, stop - start), out)
            drawn: NDArray[Any] = backend.download(out)
            return drawn.view(dtype.numpy_dtype())

        norms = backend.upload(compute_norms(draw, distribution.grid))
        result = backend.empty(parameter.resolved.nbytes)
        backend.store_scaled(norms, 1.0, parameter.resolved.dtype, result)
        backend.synchronize()
        self.report_progress(parameter.resolved.nbytes)
        return result


@lru_cache(maxsize=16)
def _encode_table(table: Table, dtype: DType) -> NDArray[Any]:
    """Return the bytes of a table's numbers in a dtype; rounded to float32 first, if it is a narrower float."""
    numbers: NDArray[Any] = np.frombuffer(table.data)
    if not dtype.is_integer and dtype.bits < 64:
        numbers = numbers.astype(np.float32)
    return numbers.astype(dtype.numpy_dtype()).view(np.uint8)


def _nonzero_parts(distribution: PeriodicConstant, region: StridedRegion) -> Iterator[StridedRegion]:
    """Yield the parts of a region whose elements are not zero."""
    if region.is_contiguous:
        yield from _nonzero_ranges(distribution, region)
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
    for element, out_element in zip(offset[rest == 0], out_offset[rest == 0], strict=True):
        yield StridedRegion(region.source, int(element), int(out_element), (), (), ())


def _nonzero_ranges(distribution: PeriodicConstant, region: StridedRegion) -> Iterator[StridedRegion]:
    """Yield the ranges of a contiguous region whose elements are not zero."""
    end = region.offset + region.size
    number = max(0, (region.offset - distribution.first - distribution.length) // distribution.step)
    begin = distribution.first + number * distribution.step
    for start in range(begin, min(distribution.first + distribution.count * distribution.step, end), distribution.step):
        low, high = max(start, region.offset), min(start + distribution.length, end)
        if low < high:
            yield StridedRegion.contiguous(low, high - low, region.out_offset + low - region.offset)
