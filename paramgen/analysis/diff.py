"""Differences between the tensors of two sources, in bounded memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paramgen.analysis.sources import TensorSource, TensorType, select_names
from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.progress import BytesCallback, as_progress
from paramgen.threads import count_threads, parallel_for

# Elements that are compared at once: all arrays of a block stay in the processor's cache, and BLAS starts no threads.
BLOCK_ELEMENTS = 2**13


@dataclass(frozen=True, slots=True)
class Change:
    """A tensor whose dtype or shape differs, each as a pair (a, b).

    Tensors of two specs may also differ in their `distribution` and their `canonical_name`, which are None if equal.
    """

    name: str
    dtype: tuple[str, str]
    shape: tuple[tuple[int, ...], tuple[int, ...]]
    distribution: tuple[str, str] | None = None
    canonical_name: tuple[str | None, str | None] | None = None


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A tensor with different values: their number, the largest differences, and the cosine of a and b as vectors.

    `max_rel` is relative to the larger magnitude of the two. It, `max_abs` and the cosine leave out values that are
    not finite; each is None if no value remains, and the cosine also if a or b is zero. Of elements narrower than a
    byte, `differing` counts bytes, and the other numbers are None.
    """

    name: str
    elements: int
    differing: int
    max_abs: float | None
    max_rel: float | None
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences of two sources, a and b. `seed` and `layout` are those of two specs, None if equal."""

    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    changed: tuple[Change, ...]
    values: tuple[ValueDifference, ...]
    common: int
    seed: tuple[int, int] | None = None
    layout: tuple[str, str] | None = None

    @property
    def equal(self) -> bool:
        """True if nothing differs."""
        tensors = self.only_in_a or self.only_in_b or self.changed or self.values
        return not (tensors or self.seed or self.layout)


class _Part(NamedTuple):
    """Elements start … stop - 1 of a tensor that is compared."""

    name: str
    a: TensorType
    b: TensorType
    start: int
    stop: int


def compare(
    a: TensorSource,
    b: TensorSource,
    *,
    ignore: Sequence[str] = (),
    tolerance: float = 0.0,
    threads: int | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
    progress: BytesCallback | None = None,
) -> Differences:
    """Compare the tensors of two sources by name.

    Names that match a glob of `ignore` are left out. Two values are equal if they differ by at most `tolerance` times
    the larger magnitude, or if both are NaN. Tensors of different dtypes are reported, and their values compared, too.
    """
    names_a, names_b = (select_names(source.tensors, ignore) for source in (a, b))
    common = [name for name in names_a if name in b.tensors]
    changed = [name for name in common if a.tensors[name] != b.tensors[name]]
    partial: dict[str, list[tuple[int, _Products]]] = {}

    lock = threading.Lock()
    parts = [*_split(a, b, common, chunk_elements)]
    compared = {part.name: part.a.nbytes + part.b.nbytes for part in parts}
    report = as_progress(progress)
    report.phase("comparing", sum(compared.values()))

    def compare_part(part: _Part) -> None:
        report.item(part.name)
        left, right = (_read(source, part) for source in (a, b))
        products = _compare_arrays(left, right, tolerance)
        with lock:
            partial.setdefault(part.name, []).append((part.start, products))
            report(left.nbytes + right.nbytes)

    parallel_for(count_threads(threads), compare_part, parts)
    for source in (a, b):
        source.raise_if_changed()
    totals = {name: _sum(partial[name]) for name in common if name in partial}
    return Differences(
        tuple(name for name in names_a if name not in b.tensors),
        tuple(name for name in names_b if name not in a.tensors),
        tuple(_describe_change(name, a.tensors[name], b.tensors[name]) for name in changed),
        tuple(_describe_values(name, a.tensors[name], total) for name, total in totals.items() if total.differing),
        len(common),
    )


def _describe_values(name: str, tensor: TensorType, total: _Products) -> ValueDifference:
    if tensor.dtype.numpy_name is None:  # bytes were compared, whose distances mean nothing
        return ValueDifference(name, tensor.size, total.differing, None, None, None)
    return ValueDifference(name, tensor.size, total.differing, total.max_abs, total.max_rel, total.cosine)


def _describe_change(name: str, a: TensorType, b: TensorType) -> Change:
    return Change(name, (a.dtype.name, b.dtype.name), (a.shape, b.shape))


def _split(a: TensorSource, b: TensorSource, names: Sequence[str], chunk: int) -> Iterator[_Part]:
    """Yield the parts of all tensors of equal shape, except of different dtypes of which one has less than a byte."""
    for name in names:
        left, right = a.tensors[name], b.tensors[name]
        if left.shape != right.shape or (
            left.dtype != right.dtype and None in (left.dtype.numpy_name, right.dtype.numpy_name)
        ):
            continue
        size = left.size if left.dtype.numpy_name is not None else left.nbytes
        for start in range(0, size, chunk):
            yield _Part(name, left, right, start, min(start + chunk, size))


def _read(source: TensorSource, part: _Part) -> NDArray[Any]:
    """Read a part as numbers; those of less than a byte as bytes."""
    dtype = source.tensors[part.name].dtype
    width = dtype.nbytes(1) if dtype.numpy_name is not None else 1
    data = np.empty((part.stop - part.start) * width, np.uint8)
    source.read_into(part.name, part.start * width, data)
    return data if dtype.numpy_name is None else data.view(dtype.numpy_dtype())


@dataclass(slots=True)
class _Products:
    """The differences of two arrays, and their inner products (a, b), (a, a) and (b, b), which add up over parts."""

    differing: int = 0
    max_abs: float | None = None
    max_rel: float | None = None
    products: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def cosine(self) -> float | None:
        dot, left, right = self.products
        norms = math.sqrt(left) * math.sqrt(right)
        return dot / norms if norms and math.isfinite(norms) else None


def _compare_arrays(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> _Products:
    blocks = (slice(start, start + BLOCK_ELEMENTS) for start in range(0, len(a), BLOCK_ELEMENTS))
    return _add_products([_compare_blocks(a[block], b[block], tolerance) for block in blocks])


def _compare_blocks(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> _Products:
    x = _widen(a)
    if a.dtype == b.dtype and _have_equal_bytes(a, b):
        square = _dot(x, x)
        if not math.isfinite(square):
            finite = x[np.isfinite(x)]
            square = _dot(finite, finite)
        return _Products(products=(square, square, square))
    y = _widen(b)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(x - y)
        magnitude = np.maximum(np.abs(x), np.abs(y))
    differs = a != b  # as they are, because float64 does not hold every 64-bit integer
    if math.isfinite(distance.max()):
        return _measure(tolerance, differs, x, y, distance, magnitude)
    is_finite = np.isfinite(distance)
    finite = (values[is_finite] for values in (differs, x, y, distance, magnitude))
    result = _measure(tolerance, *finite)
    result.differing += int(np.count_nonzero(differs & ~is_finite & ~(np.isnan(x) & np.isnan(y))))
    return result


def _measure(
    tolerance: float,
    differs: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    distance: NDArray[Any],
    magnitude: NDArray[Any],
) -> _Products:
    """Return the differences of finite values."""
    if tolerance:
        differs = differs & (distance > tolerance * magnitude)
    products = _dot(x, y), _dot(x, x), _dot(y, y)
    differing = int(np.count_nonzero(differs))
    if not differing:
        return _Products(products=products)
    if tolerance:
        distance, magnitude = distance[differs], magnitude[differs]
    with np.errstate(invalid="ignore"):  # two zeros
        ratio = np.fmax.reduce(distance / magnitude)
    return _Products(differing, float(distance.max()), float(ratio), products)


def _widen(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _have_equal_bytes(a: NDArray[Any], b: NDArray[Any]) -> bool:
    words = np.uint64 if a.nbytes % 8 == 0 else np.uint8
    return np.array_equal(a.view(words), b.view(words))


def _dot(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the real part of the inner product."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.vdot(x, y).real)


def _add(numbers: list[float]) -> float:
    """Return a sum that is correctly rounded, or infinite if the numbers are too large."""
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # too large a sum; infinities of both signs
        return math.inf


def _sum(parts: list[tuple[int, _Products]]) -> _Products:
    """Add the parts of a tensor, in their order, so that the result is the same for any number of threads."""
    return _add_products([products for _, products in sorted(parts, key=itemgetter(0))])


def _add_products(parts: list[_Products]) -> _Products:
    dot, left, right = (_add([part.products[number] for part in parts]) for number in range(3))
    return _Products(
        sum(part.differing for part in parts),
        max((part.max_abs for part in parts if part.max_abs is not None), default=None),
        max((part.max_rel for part in parts if part.max_rel is not None), default=None),
        (dot, left, right),
    )
