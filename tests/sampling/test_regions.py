"""Tests of regions of a stream or an array, on every backend of the CPU."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, KERNELS, draw, tensor_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_compiled import COMBINATIONS

from paramgen.catalog.axes import Axes, rearrange
from paramgen.catalog.computed import Table
from paramgen.catalog.distributions import (
    DeltaOrthogonal,
    Distribution,
    ElementwiseDistribution,
    MatrixRegion,
    Orthogonal,
    PeriodicConstant,
    Uniform,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES as TABLE
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference import NumpyBackend
from paramgen.sampling.regions import StridedRegion
from paramgen.sampling.sampler import Sampler

REFERENCE = NumpyBackend()


@st.composite
def any_region(draw: Any, most: int = 9) -> StridedRegion:
    """Draw a part of an array in C order, its axes permuted, some reversed."""
    shape = draw(st.lists(st.integers(1, most), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, size)) for size in shape]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    order = draw(st.permutations(range(len(shape))))
    out_strides, step = [0] * len(shape), 1
    for axis in order:
        out_strides[axis] = step * (-1 if draw(st.booleans()) else 1)
        step *= sizes[axis]
    out_offset = sum(-stride * (size - 1) for stride, size in zip(out_strides, sizes, strict=True) if stride < 0)
    kept = [axis for axis, size in enumerate(sizes) if size > 1]
    offset = draw(st.integers(0, 2**40))
    axes = (tuple(values[axis] for axis in kept) for values in (sizes, strides, out_strides))
    return StridedRegion(0, offset, out_offset, *axes)


def elements(region: StridedRegion) -> NDArray[np.int64]:
    """Return the source's elements in the order of the buffer."""
    out = np.full(region.size, -1)
    for index in np.ndindex(*region.sizes):
        out[region.out_offset + int(np.dot(index, region.out_strides))] = region.offset + int(
            np.dot(index, region.strides)
        )
    return out


def filled(backend: Backend, distribution: ElementwiseDistribution, dtype: str, region: StridedRegion) -> bytes:
    with backend.current():
        out = backend.empty(TABLE[dtype].nbytes(region.size))
        backend.fill_region(distribution, TABLE[dtype], 42, 777, region, out)
        return backend.download(out).tobytes()  # type: ignore[arg-type]


@given(region=any_region(5), combination=st.sampled_from(COMBINATIONS))
@settings(max_examples=100, deadline=None)
def test_the_reference_draws_each_element_as_by_itself(region: StridedRegion, combination: Any) -> None:
    distribution, dtype = combination
    alone = []
    for element in elements(region):
        out = np.empty(TABLE[dtype].nbytes(1), np.uint8)
        REFERENCE.fill(distribution, TABLE[dtype], 42, 777, int(element), out)
        alone.append(out.tobytes())
    assert filled(REFERENCE, distribution, dtype, region) == b"".join(alone)


@pytest.mark.parametrize("backend", KERNELS, ids=lambda backend: backend.name)
@given(region=any_region(), combination=st.sampled_from(COMBINATIONS))
@settings(max_examples=150, deadline=None)
def test_kernels_draw_what_the_reference_draws(backend: Backend, region: StridedRegion, combination: Any) -> None:
    assert filled(backend, *combination, region) == filled(REFERENCE, *combination, region)


# Runs of all lengths, adjacent and apart; more of them, and longer ones, than a batch holds.
LARGE = [
    StridedRegion(0, 3, 0, (300, 700), (1, 1000), (700, 1)),
    StridedRegion(0, 2, 0, (3, 5000), (10_000, 1), (5000, 1)),
    StridedRegion(0, 1, 0, (900, 3), (7, 1), (3, 1)),
    StridedRegion(0, 0, 0, (700, 2, 2), (1, 5000, 2500), (4, 2, 1)),
    StridedRegion(0, 5, 2999, (3000,), (11,), (-1,)),
    StridedRegion(0, 1, 0, (2, 3, 5, 65), (9000, 3000, 600, 1), (975, 5, 1, 15)),
]


@pytest.mark.parametrize("dtype", TABLE)
@pytest.mark.parametrize("region", LARGE, ids=str)
def test_large_regions(dtype: str, region: StridedRegion) -> None:
    for distribution in (one for one, held in COMBINATIONS if held == dtype):
        expected = filled(REFERENCE, distribution, dtype, region)
        for backend in KERNELS:
            assert filled(backend, distribution, dtype, region) == expected, backend.name


@pytest.mark.parametrize("dtype", DTYPES)
@given(region=any_region())
@settings(max_examples=30, deadline=None)
def test_taken_from_an_array(dtype: str, region: StridedRegion) -> None:
    region = StridedRegion(0, region.offset % 50, region.out_offset, region.sizes, region.strides, region.out_strides)
    found = elements(region)
    source = np.random.default_rng(0).integers(0, 256, TABLE[dtype].nbytes(int(found.max()) + 3), np.uint8)
    out = np.empty(TABLE[dtype].nbytes(region.size), np.uint8)
    REFERENCE.take_region(source, TABLE[dtype], region, out)
    width = TABLE[dtype].bits // 8
    assert out.tobytes() == source[: len(source) // width * width].reshape(-1, width)[found].tobytes()


CONV = Axes("*k i o g", {"k": (3, 3), "i": 4, "o": 5, "g": 2})
GATES = Axes("(g h) r", {"g": 4, "h": 6, "r": 6})
PLAIN = Axes("o i", {"o": 7, "i": 5})


def _permute_gates(w: NDArray[Any]) -> NDArray[Any]:
    return w.reshape(4, 6, 6)[[3, 1, 0, 2]].reshape(24, 6).T


# Cases of a distribution, a row of a layout, the parameter's axes, and the same rearrangement in NumPy.
STRUCTURED: list[tuple[Distribution, str, Axes, Any]] = [
    (Orthogonal(1.5), "w = w i o", PLAIN, lambda w: w.T),
    (Orthogonal(1.0, 4), "w = w r (g[3,1,0,2] h)", GATES, _permute_gates),
    (DeltaOrthogonal(2.0, MatrixRegion(4 * 40, 4, 5)), "w = w (g o) i *k", CONV, lambda w: w.transpose(4, 3, 2, 0, 1)),
    (PeriodicConstant("identity", -1.0, 0, 1, 6, 5), "w = w i o", PLAIN, lambda w: w.T),
    (PeriodicConstant("dirac", 1.0, 4 * 40, 2, 12, 4), "w = w (g o) i *k", CONV, lambda w: w.transpose(4, 3, 2, 0, 1)),
    (
        PeriodicConstant("dirac", 1.0, 4 * 40, 2, 12, 4),
        "w = w -*k (g o) i",
        CONV,
        lambda w: w[::-1, ::-1].transpose(0, 1, 4, 3, 2),
    ),
    (
        unit_forget_gate(6),
        "w = b (g[2,1,3,0] h)",
        Axes("(g h) 1", {"g": 4, "h": 6}),
        lambda w: w.reshape(4, 6)[[2, 1, 3, 0]],
    ),
    (Table.of([k / 3 for k in range(7)], 5), "w = w i o", PLAIN, lambda w: w.T),
    (Table.of([k / 3 for k in range(6)]), "w = w r (g[3,1,0,2] h)", GATES, _permute_gates),
    (Table.of([0.1, 0.2, 0.3, 0.4], 10), "w = w -*k (g o) i", CONV, lambda w: w[::-1, ::-1].transpose(0, 1, 4, 3, 2)),
]


@pytest.mark.parametrize(
    ("distribution", "row", "axes", "expected"),
    STRUCTURED,
    ids=[f"{distribution.type}: {row}" for distribution, row, *_ in STRUCTURED],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("slices", [1, 3, 7])
def test_distributions_that_are_not_elementwise(
    distribution: Distribution, row: str, axes: Axes, expected: Any, dtype: str, slices: int
) -> None:
    plain = tensor_of(distribution, dtype, axes.shape)
    (rearrangement,) = rearrange([row], {row.split()[2]: axes})
    tensor = Tensor("x", rearrangement, plain.sources)
    array = expected(draw(plain, 5, 0, plain.size).reshape(axes.shape)).reshape(-1)
    sampler, found = Sampler(5, 1), []
    for part in np.array_split(np.arange(plain.size), slices):
        out = np.empty(TABLE[dtype].nbytes(len(part)), np.uint8)
        sampler.draw(REFERENCE, tensor, int(part[0]), int(part[-1]) + 1, out)
        found.append(out.tobytes())
    assert b"".join(found) == np.ascontiguousarray(array).tobytes()
    assert not sampler._wholes


def padded(tensor: Tensor, index: int) -> Tensor:
    """Return the tensor with zeros at an index of its parameter's last axis."""
    (source,) = tensor.sources
    return tensor._replace(sources=(source._replace(spec=replace(source.spec, padding_index=index)),))


def ranges_of(tensor: Tensor) -> list[tuple[int, int]]:
    """Return all ranges of a tensor's elements; matrices are drawn whole."""
    if isinstance(tensor.specs[0].distribution, Orthogonal):
        return [(0, tensor.size)]
    return list(itertools.combinations(range(tensor.size + 1), 2))


# Cases of a distribution, a row of a layout, and the parameter's shape, of axes d and v.
PADDED: list[tuple[Distribution, str, tuple[int, int]]] = [
    (Uniform(1.0), "w = w d v", (6, 5)),
    (Uniform(1.0), "w = w v d", (6, 5)),
    (Uniform(1.0), "w = w v d", (6, 1)),
    (Uniform(1.0), "w = w v d", (1, 5)),
    (Uniform(1.0), "w = w -v d", (6, 5)),
    (Orthogonal(1.0), "w = w v d", (6, 5)),
    (PeriodicConstant("identity", 1.0, 0, 1, 6, 5), "w = w d v", (6, 5)),
    (Table.of(range(1, 31)), "w = w v d", (6, 5)),
]


def embedded(distribution: Distribution, dtype: str, row: str, shape: tuple[int, int]) -> Tensor:
    """Return a tensor of a parameter of axes d and v, rearranged by a row of a layout."""
    axes = Axes("d v", dict(zip("dv", shape, strict=True)))
    return Tensor("x", *rearrange([row], {"w": axes}), tensor_of(distribution, dtype, shape).sources)


@pytest.mark.parametrize(("distribution", "row", "shape"), PADDED, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float8_e4m3fn"])
def test_padding_zeroes_one_index_and_changes_nothing_else(
    distribution: Distribution, row: str, shape: tuple[int, int], dtype: str
) -> None:
    tensor = embedded(distribution, dtype, row, shape)
    numbers = np.arange(tensor.size).reshape(shape)
    order = numbers if row.endswith("d v") else numbers.T[::-1] if "-" in row else numbers.T
    without = draw(tensor, 5, 0, tensor.size)
    for index in range(shape[-1]):
        expected = np.where(order.reshape(-1) % shape[-1] == index, without.dtype.type(0), without)
        for backend in (REFERENCE, *KERNELS):
            for start, stop in ranges_of(tensor):
                found = draw(padded(tensor, index), 5, start, stop, backend)
                assert found.tobytes() == expected[start:stop].tobytes(), (index, backend.name, start, stop)


@pytest.mark.parametrize("run", [1, 3, 50])
@given(start=st.integers(0, 2**40), count=st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_a_table_in_any_range(run: int, start: int, count: int) -> None:
    tensor = tensor_of(Table.of(range(7), run), "float32", (2**41,))
    expected = [element // run % 7 for element in range(start, start + count)]
    assert draw(tensor, 0, start, start + count).tolist() == expected


def test_a_long_range_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paramgen.sampling.host.CHUNK_ELEMENTS", 100)
    tensor = tensor_of(Table.of(range(7), 35), "float32", (1000,))
    assert draw(tensor, 0, 3, 1000).tolist() == [element // 35 % 7 for element in range(3, 1000)]


def test_a_periodic_constant_in_any_range() -> None:
    distribution = PeriodicConstant("identity", 3.0, 5, 2, 7, 4)
    expected = np.zeros(40, np.float32)
    for start in (5, 12, 19, 26):
        expected[start : start + 2] = 3
    tensor = tensor_of(distribution, "float32", (40,))
    for start in range(40):
        for stop in range(start + 1, 41):
            assert draw(tensor, 0, start, stop).tobytes() == expected[start:stop].tobytes(), (start, stop)


def test_a_region_writes_nowhere_else() -> None:
    for backend in (REFERENCE, *KERNELS):
        out = np.full(TABLE["float32"].nbytes(100), 0xAA, np.uint8)
        backend.fill_region(Uniform(1.0), TABLE["float32"], 1, 2, StridedRegion(0, 0, 10, (4, 5), (1, 9), (10, 2)), out)
        written = np.zeros(100, bool)
        written[(10 + 10 * np.arange(4)[:, None] + 2 * np.arange(5)).reshape(-1)] = True
        assert (out.view(np.uint32)[~written] == 0xAAAAAAAA).all()
        assert (np.abs(out.view(np.float32)[written]) < 1).all()
