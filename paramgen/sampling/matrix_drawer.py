"""The drawing of parameters that consist of orthogonal matrices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext

from paramgen.buffers import BLOCK_BYTES
from paramgen.catalog.distributions import Constant, MatrixDistribution, MatrixRegion
from paramgen.planning.tensors import Parameter
from paramgen.progress import BytesCallback
from paramgen.sampling.backend import Backend, Bytes, ElementSource, Matrix, MatrixKernels
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.orthogonal import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    Orthonormalizer,
    ShareCallback,
    iter_tiles,
)
from paramgen.threads import parallel_for

# Starting several threads takes about a millisecond, so a matrix of fewer CPU seconds is drawn by one.
PARALLEL_SECONDS = 0.02


class MatrixDrawer:
    """Draws the matrices of one seed: large ones one at a time, by `threads` threads if they can share a backend."""

    def __init__(self, seed: int, threads: int, report_progress: BytesCallback, large_matrix_lock: threading.Lock):
        self._seed = seed
        self._threads = threads
        self._report_progress = report_progress
        self._large_matrix_lock = large_matrix_lock

    def draw(self, backend: Backend, parameter: Parameter, distribution: MatrixDistribution) -> Bytes:
        """Return all bytes of a parameter of orthogonal matrices."""
        large = parameter.resolved.nbytes > BLOCK_BYTES or cpu_seconds(parameter) > PARALLEL_SECONDS
        with self._large_matrix_lock if large else nullcontext():
            self._report_progress(0)
            threads = self._threads if large and backend.is_thread_safe else 1
            result = self._draw_submatrices(backend, parameter, distribution, threads)
            backend.synchronize()  # before the next large one takes memory
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
        matrix_bytes = sum(dtype.nbytes(matrix.size) for matrix in matrices)
        if matrix_bytes < parameter.resolved.nbytes:
            backend.fill(ElementSource(Constant(0.0), dtype, self._seed, parameter.stream), 0, result)
            self._report_progress(parameter.resolved.nbytes - matrix_bytes)
        for matrix in matrices:
            out = result[dtype.nbytes(matrix.first) :][: dtype.nbytes(matrix.size)]
            self._draw_orthogonal(backend, parameter, distribution.gain, matrix, threads, out)
        return result

    def _draw_orthogonal(
        self, backend: Backend, parameter: Parameter, gain: float, matrix: MatrixRegion, threads: int, out: Bytes
    ) -> None:
        """Draw one matrix of a parameter; a wide one is the transpose of a tall one."""
        rows, columns, dtype = matrix.rows, matrix.columns, parameter.resolved.dtype
        is_double = dtype.name == "float64"
        is_wide = rows < columns
        on_progress = _convert_shares(out.nbytes, 2 if is_double else 1, self._report_progress)

        def draw(kernels: MatrixKernels) -> Matrix:
            z = kernels.zeros(columns, rows) if is_wide else kernels.zeros(rows, columns)

            def draw_band(band: slice) -> None:
                offset = matrix.first + band.start * columns
                kernels.fill_normal(self._seed, parameter.stream, offset, is_double, (z.T if is_wide else z)[band])
                on_progress(0)

            parallel_for(threads, draw_band, _row_bands(rows, columns))
            return z

        tolerance = FLOAT64_TOLERANCE if is_double else FLOAT32_TOLERANCE
        q = Orthonormalizer(backend, threads, on_progress)(draw, tolerance)

        def store_band(band: slice) -> None:
            out_band = out[dtype.nbytes(band.start * columns) : dtype.nbytes(band.stop * columns)]
            backend.store_scaled((q.T if is_wide else q)[band], gain, dtype, out_band)
            on_progress(0)

        parallel_for(threads, store_band, _row_bands(rows, columns))
        on_progress(1)


def _convert_shares(nbytes: int, passes: int, report_progress: BytesCallback) -> ShareCallback:
    """Return a callback for shares of the work of one pass, which reports them as bytes: `nbytes` in total."""
    lock = threading.Lock()
    reported = 0.0

    def on_progress(share: float) -> None:
        nonlocal reported
        with lock:
            before, reported = reported, min(reported + share / passes, 1.0)
            count = int(reported * nbytes) - int(before * nbytes)
        report_progress(count)

    return on_progress


def _row_bands(rows: int, columns: int) -> Iterator[slice]:
    """Yield ranges of a matrix's rows, each of about BLOCK_BYTES."""
    return iter_tiles(0, rows, max(1, BLOCK_BYTES // (8 * columns)))
