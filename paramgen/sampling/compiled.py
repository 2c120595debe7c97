"""The compiled kernels as backends, one for each instruction set that this CPU has. ImportError where none were built.

Calls release the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from paramgen.dtypes import DTYPES, DType
from paramgen.sampling._cpu import ffi, lib
from paramgen.sampling.backend import axes_of, distribution_numbers, padded
from paramgen.sampling.host import HostBackend
from paramgen.sampling.matrix import TILE, Matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paramgen.catalog.distributions import Elementwise
    from paramgen.sampling.backend import Bytes
    from paramgen.sampling.regions import StridedRegion

_DTYPES = {name: getattr(lib, f"PG_{name.upper()}") for name in DTYPES}


def _at(array: NDArray[Any], kind: str = "double *") -> Any:
    return ffi.cast(kind, array.__array_interface__["data"][0])


def _steps(matrix: Matrix) -> tuple[int, int]:
    rows, columns = matrix.strides
    return rows // 8, columns // 8


class Compiled(HostBackend):
    """The kernels of one instruction set."""

    def __init__(self, kernels: Any):
        self.name = ffi.string(kernels.name).decode()
        self._fill, self._fill_region, self._accumulate = kernels.fill, kernels.fill_region, kernels.accumulate
        self._factor, self._solve, self._reflect = kernels.factor, kernels.solve, kernels.reflect
        self._rooms: list[Bytes] = []

    @contextmanager
    def _room(self) -> Iterator[Any]:
        """Lend scratch memory to one call.

        It is reused, so that its pages exist, and aligned: vectors across cache lines cost a tenth of the speed.
        """
        try:
            room = self._rooms.pop()
        except IndexError:
            room = self.buffer(8 * lib.PG_ROOM)
        yield _at(room)
        self._rooms.append(room)

    def fill(self, distribution: Elementwise, dtype: DType, seed: int, stream: int, start: int, out: Bytes) -> None:
        self.fill_numbers(*distribution_numbers(distribution), dtype, seed, stream, start, out)

    def fill_numbers(
        self, name: str, numbers: Sequence[float], dtype: DType, seed: int, stream: int, start: int, out: Bytes
    ) -> None:
        """Fill from a distribution by its name and numbers in kernel.h."""
        count = out.nbytes * 8 // dtype.bits
        self._fill(getattr(lib, name), numbers, _DTYPES[dtype.name], seed, stream, start, count, _at(out, "void *"))

    def fill_region(
        self, distribution: Elementwise, dtype: DType, seed: int, stream: int, region: StridedRegion, out: Bytes
    ) -> None:
        name, numbers = distribution_numbers(distribution)
        # As pg_box wants them: elements that follow one another along the last axis, near places along the one before.
        axes = axes_of(region)
        runs = [axis for axis in axes if axis[1] == 1] or [(1, 1, 0)]
        ordered = padded([*(axis for axis in axes if axis[1] != 1), *runs])
        at = _at(out[dtype.nbytes(region.out_offset) :], "void *")
        self._fill_region(getattr(lib, name), numbers, _DTYPES[dtype.name], seed, stream, region.offset, *ordered, at)

    def accumulate(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        assert max(c.shape) <= TILE
        depth_step, step = _steps(left)
        matrices = _at(c), _steps(c)[0], _at(left), step, depth_step, _at(right), _steps(right)[0]
        with self._room() as room:
            self._accumulate(*matrices, *c.shape, len(left), sign, upper, room)

    def factor(self, g: Matrix, diagonal: Matrix, dependent: float) -> bool:
        with self._room() as room:
            return bool(self._factor(_at(g), _steps(g)[0], _at(diagonal), len(g), dependent, room))

    def solve(self, r: Matrix, x: Matrix) -> None:
        with self._room() as room:
            self._solve(_at(r), _steps(r)[0], _at(x), *_steps(x), *x.shape, room)

    def reflect(self, a: Matrix, v: Matrix, factor: float) -> None:
        dot = ffi.new("double[]", a.shape[1])
        self._reflect(_at(a), _steps(a)[0], _at(v), factor, *a.shape, dot)


if lib.PG_TILE != TILE:
    raise ImportError("the compiled kernels are of another version")

KERNELS = tuple(Compiled(lib.pg_kernel_sets[i]) for i in range(lib.PG_SETS) if lib.pg_kernel_sets[i].available())
