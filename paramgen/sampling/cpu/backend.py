"""The compiled kernels as backends, one per instruction set of this CPU. Raises ImportError if none were built.

Calls release the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from paramgen.dtypes import DType
from paramgen.sampling.backend import DTYPE_NUMBERS, Matrix, axes_by_out_stride, kernel_arguments, pad_to_region_axes
from paramgen.sampling.cpu._kernels import ffi, lib
from paramgen.sampling.host import TILE, HostBackend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paramgen.sampling.backend import Bytes, ElementSource
    from paramgen.sampling.regions import StridedRegion


def _pointer(array: NDArray[Any], ctype: str = "double *") -> Any:
    return ffi.cast(ctype, array.__array_interface__["data"][0])


def _strides(matrix: Matrix) -> tuple[int, int]:
    rows, columns = matrix.strides
    return rows // 8, columns // 8


class CompiledBackend(HostBackend):
    """The kernels of one instruction set."""

    def __init__(self, kernels: Any):
        self.name = ffi.string(kernels.name).decode()
        self._fill, self._fill_region = kernels.fill, kernels.fill_region
        self._add_product, self._apply_reflector = kernels.add_product, kernels.apply_reflector
        self._cholesky_tile, self._solve_triangular = kernels.cholesky_tile, kernels.solve_triangular
        self._scratch: list[Bytes] = []

    @contextmanager
    def _scratch_buffer(self) -> Iterator[Any]:
        """Lend scratch memory to one call.

        Reusing it avoids page faults. Aligning it saves 10% of the time: no load crosses a cache line.
        """
        try:
            scratch = self._scratch.pop()
        except IndexError:
            scratch = self.buffer(8 * lib.PG_SCRATCH)
        yield _pointer(scratch)
        self._scratch.append(scratch)

    def fill(self, source: ElementSource, offset: int, out: Bytes) -> None:
        name, numbers = kernel_arguments(source.distribution)
        self.fill_raw(name, numbers, source.dtype, source.seed, source.stream, offset, out)

    def fill_raw(
        self, name: str, numbers: Sequence[float], dtype: DType, seed: int, stream: int, offset: int, out: Bytes
    ) -> None:
        """Fill from a distribution given by its name and numbers in kernel.h."""
        count = out.nbytes * 8 // dtype.bits
        distribution, dtype_number = getattr(lib, name), DTYPE_NUMBERS[dtype.name]
        self._fill(distribution, numbers, dtype_number, seed, stream, offset, count, _pointer(out, "void *"))

    def fill_region(self, source: ElementSource, region: StridedRegion, out: Bytes) -> None:
        name, numbers = kernel_arguments(source.distribution)
        # pg_draw_region needs consecutive elements along the last axis, and is fastest if the buffer's are close along
        # the axis before it.
        axes = axes_by_out_stride(region)
        runs = [axis for axis in axes if axis[1] == 1] or [(1, 1, 0)]
        ordered = pad_to_region_axes([*(axis for axis in axes if axis[1] != 1), *runs])
        target = _pointer(region.output_from_offset(out, source.dtype), "void *")
        words = source.seed, source.stream, region.offset
        self._fill_region(getattr(lib, name), numbers, DTYPE_NUMBERS[source.dtype.name], *words, *ordered, target)

    def add_product(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        assert max(c.shape) <= TILE
        depth_step, step = _strides(left)
        matrices = _pointer(c), _strides(c)[0], _pointer(left), step, depth_step, _pointer(right), _strides(right)[0]
        with self._scratch_buffer() as scratch:
            self._add_product(*matrices, *c.shape, len(left), sign, upper, scratch)

    def cholesky_tile(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
        with self._scratch_buffer() as scratch:
            return bool(
                self._cholesky_tile(_pointer(g), _strides(g)[0], _pointer(diagonal), len(g), min_ratio, scratch)
            )

    def solve_triangular(self, r: Matrix, x: Matrix) -> None:
        with self._scratch_buffer() as scratch:
            self._solve_triangular(_pointer(r), _strides(r)[0], _pointer(x), *_strides(x), *x.shape, scratch)

    def apply_reflector(self, a: Matrix, v: Matrix, scale: float) -> None:
        dot = ffi.new("double[]", a.shape[1])
        self._apply_reflector(_pointer(a), _strides(a)[0], _pointer(v), scale, *a.shape, dot)


if lib.PG_TILE != TILE:
    raise ImportError("the compiled kernels are of another version")

COMPILED_BACKENDS = tuple(
    CompiledBackend(lib.pg_kernel_sets[i]) for i in range(lib.PG_KERNEL_SETS) if lib.pg_kernel_sets[i].available()
)
