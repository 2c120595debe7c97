"""Tests of regions of a stream or an array, on every backend of the CPU."""

from typing import Any

import numpy as np
import pytest
from cases import COMBINATIONS, LARGE, PADDED, any_region, elements, embed, fill_region, pad, ranges_of
from helpers import COMPILED_BACKENDS, FIRST_DTYPES, draw, make_tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.catalog.axes import Axes, rearrange
from paramgen.catalog.distributions import (
    DeltaOrthogonal,
    Distribution,
    MatrixRegion,
    Orthogonal,
    PeriodicConstant,
    Table,
    Uniform,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend, ElementSource
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.regions import StridedRegion
from paramgen.sampling.sampler import Sampler

REFERENCE = NumpyBackend()


@given(region=any_region(5), combination=st.sampled_from(COMBINATIONS))
@settings(max_examples=100, deadline=None)
def test_regions_equal_the_references_single_elements(region: StridedRegion, combination: Any) -> None:
    distribution, dtype = combination
    alone = []
    for element in elements(region):
        out = np.empty(DTYPES[dtype].nbytes(1), np.uint8)
        REFERENCE.fill(ElementSource(distribution, DTYPES[dtype], 42, 777), int(element), out)
        alone.append(out.tobytes())
    assert fill_region(REFERENCE, distribution, dtype, region) == b"".join(alone)


@pytest.mark.parametrize("backend", COMPILED_BACKENDS, ids=lambda backend: backend.name)
@given(region=any_region(), combination=st.sampled_from(COMBINATIONS))
@settings(max_examples=150, deadline=None)
def test_regions_of_kernels_equal_the_references(backend: Backend, region: StridedRegion, combination: Any) -> None:
    assert fill_region(backend, *combination, region) == fill_region(REFERENCE, *combination, region)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("region", LARGE, ids=str)
def test_kernels_draw_large_regions_as_the_reference_does(dtype: str, region: StridedRegion) -> None:
    for distribution in (one for one, held in COMBINATIONS if held == dtype):
        expected = fill_region(REFERENCE, distribution, dtype, region)
        for backend in COMPILED_BACKENDS:
            assert fill_region(backend, distribution, dtype, region) == expected, backend.name


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
@given(region=any_region())
@settings(max_examples=30, deadline=None)
def test_regions_taken_from_an_array(dtype: str, region: StridedRegion) -> None:
    region = StridedRegion(0, region.offset % 50, region.out_offset, region.sizes, region.strides, region.out_strides)
    found = elements(region)
    source = np.random.default_rng(0).integers(0, 256, DTYPES[dtype].nbytes(int(found.max()) + 3), np.uint8)
    out = np.empty(DTYPES[dtype].nbytes(region.size), np.uint8)
    REFERENCE.copy_region(source, DTYPES[dtype], region, out)
    width = DTYPES[dtype].bits // 8
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
    plain = make_tensor(distribution, dtype, axes.shape)
    (rearrangement,) = rearrange([row], {row.split()[2]: axes})
    tensor = Tensor("x", rearrangement, plain.sources)
    array = expected(draw(plain, 5, 0, plain.size).reshape(axes.shape)).reshape(-1)
    sampler, found = Sampler(5, 1), []
    for part in np.array_split(np.arange(plain.size), slices):
        out = np.empty(DTYPES[dtype].nbytes(len(part)), np.uint8)
        sampler.draw(REFERENCE, tensor, int(part[0]), int(part[-1]) + 1, out)
        found.append(out.tobytes())
    assert b"".join(found) == np.ascontiguousarray(array).tobytes()
    assert not sampler._cache._entries


@pytest.mark.parametrize(("distribution", "row", "shape"), PADDED, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float8_e4m3fn"])
def test_padding_zeroes_one_index_and_changes_nothing_else(
    distribution: Distribution, row: str, shape: tuple[int, int], dtype: str
) -> None:
    tensor = embed(distribution, dtype, row, shape)
    numbers = np.arange(tensor.size).reshape(shape)
    order = numbers if row.endswith("d v") else numbers.T[::-1] if "-" in row else numbers.T
    without = draw(tensor, 5, 0, tensor.size)
    for index in range(shape[-1]):
        expected = np.where(order.reshape(-1) % shape[-1] == index, without.dtype.type(0), without)
        for backend in (REFERENCE, *COMPILED_BACKENDS):
            for start, stop in ranges_of(tensor):
                found = draw(pad(tensor, index), 5, start, stop, backend)
                assert found.tobytes() == expected[start:stop].tobytes(), (index, backend.name, start, stop)


@pytest.mark.parametrize("run", [1, 3, 50])
@given(start=st.integers(0, 2**40), count=st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_a_table_in_any_range(run: int, start: int, count: int) -> None:
    tensor = make_tensor(Table.of(range(7), run), "float32", (2**41,))
    expected = [element // run % 7 for element in range(start, start + count)]
    assert draw(tensor, 0, start, start + count).tolist() == expected


def test_a_long_range_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paramgen.sampling.host.CHUNK_ELEMENTS", 100)
    tensor = make_tensor(Table.of(range(7), 35), "float32", (1000,))
    assert draw(tensor, 0, 3, 1000).tolist() == [element // 35 % 7 for element in range(3, 1000)]


def test_a_periodic_constant_in_any_range() -> None:
    distribution = PeriodicConstant("identity", 3.0, 5, 2, 7, 4)
    expected = np.zeros(40, np.float32)
    for start in (5, 12, 19, 26):
        expected[start : start + 2] = 3
    tensor = make_tensor(distribution, "float32", (40,))
    for start in range(40):
        for stop in range(start + 1, 41):
            assert draw(tensor, 0, start, stop).tobytes() == expected[start:stop].tobytes(), (start, stop)


def test_a_region_writes_only_its_own_elements() -> None:
    for backend in (REFERENCE, *COMPILED_BACKENDS):
        out = np.full(DTYPES["float32"].nbytes(100), 0xAA, np.uint8)
        backend.fill_region(
            ElementSource(Uniform(1.0), DTYPES["float32"], 1, 2), StridedRegion(0, 0, 10, (4, 5), (1, 9), (10, 2)), out
        )
        written = np.zeros(100, bool)
        written[(10 + 10 * np.arange(4)[:, None] + 2 * np.arange(5)).reshape(-1)] = True
        assert (out.view(np.uint32)[~written] == 0xAAAAAAAA).all()
        assert (np.abs(out.view(np.float32)[written]) < 1).all()
