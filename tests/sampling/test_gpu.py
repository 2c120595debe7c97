"""Tests that the GPU's kernels give the bits of the NumPy reference, on a simulated GPU and on real ones, if any."""

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import COMBINATIONS, LARGE, PADDED, any_region, elements, embed, fill_region, pad, ranges_of
from frozen_cases import RECORDED, cases, digest
from helpers import FIRST_DTYPES, draw, make_tensor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.catalog.distributions import Constant, Distribution, ElementwiseDistribution, Orthogonal, Uniform
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import Backend, ElementSource
from paramgen.sampling.orthogonal import Orthonormalizer
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.regions import StridedRegion

REFERENCE = NumpyBackend()
RANDOM = np.random.default_rng(0)


@pytest.fixture(params=["in order", "reversed"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run simulated threads from the first to the last, or from the last to the first."""
    monkeypatch.setenv("SIMULATED_ORDER", request.param)


@pytest.fixture
def backend(gpu: ModuleType) -> Iterator[Backend]:
    (backend, *_) = gpu.open_backends([0], 2, 2**20)
    with backend.activate():
        yield backend


def bits(
    backend: Backend,
    distribution: ElementwiseDistribution,
    dtype: str,
    seed: int,
    stream: int,
    start: int,
    count: int,
    at: int = 0,
) -> bytes:
    """Draw elements into an allocation, `at` elements after its beginning."""
    nbytes = DTYPES[dtype].nbytes
    with backend.activate():
        out = backend.empty(nbytes(at + count + 3))
        backend.fill(
            ElementSource(distribution, DTYPES[dtype], seed, stream), start, out[nbytes(at) : nbytes(at + count)]
        )
        after = backend.download(out)
    return after[nbytes(at) : nbytes(at + count)].tobytes()


@pytest.mark.parametrize(("distribution", "dtype"), COMBINATIONS, ids=str)
def test_any_range_equals_the_references(backend: Backend, distribution: ElementwiseDistribution, dtype: str) -> None:
    for start, count, at in [
        (0, 1, 0),
        (0, 700, 0),
        (3, 501, 3),
        (1, 6, 0),
        (2, 2, 1),
        (2**32 - 5, 40, 2),
        (2**63, 9, 0),
    ]:
        expected = bits(REFERENCE, distribution, dtype, 42, 777, start, count)
        assert bits(backend, distribution, dtype, 42, 777, start, count, at) == expected, (start, count, at)


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_thread_draws_several_groups_of_elements(gpu: ModuleType, order: None, blocks: int, dtype: str) -> None:
    backend = gpu.GpuBackend(0, 2**20, blocks)
    assert bits(backend, Uniform(0.5), dtype, 1, 2, 3, 9999) == bits(REFERENCE, Uniform(0.5), dtype, 1, 2, 3, 9999)


@given(
    combination=st.sampled_from(COMBINATIONS),
    seed=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63),
    count=st.integers(1, 300),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_stream_equals_the_references(backend: Backend, combination: Any, **drawn: Any) -> None:
    assert bits(backend, *combination, **drawn) == bits(REFERENCE, *combination, **drawn)


@given(region=any_region(), combination=st.sampled_from(COMBINATIONS))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_region_equals_the_references(backend: Backend, region: StridedRegion, combination: Any) -> None:
    assert fill_region(backend, *combination, region) == fill_region(REFERENCE, *combination, region)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("region", LARGE, ids=str)
def test_large_regions_equal_the_references(gpu: ModuleType, order: None, region: StridedRegion, blocks: int) -> None:
    backend = gpu.GpuBackend(0, 2**20, blocks)
    for dtype in ("float32", "float64"):
        assert fill_region(backend, Uniform(0.5), dtype, region) == fill_region(REFERENCE, Uniform(0.5), dtype, region)


@pytest.mark.parametrize(("distribution", "row", "shape"), PADDED, ids=str)
def test_padded_tensors_equal_the_references(
    backend: Backend, order: None, distribution: Distribution, row: str, shape: tuple[int, int]
) -> None:
    tensor = pad(embed(distribution, "float32", row, shape), shape[-1] - 1)
    for bounds in ranges_of(tensor)[::7]:
        assert draw(tensor, 5, *bounds, backend).tobytes() == draw(tensor, 5, *bounds).tobytes()


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_regions_taken_from_an_array(backend: Backend, order: None, dtype: str) -> None:
    for region in LARGE:
        source = RANDOM.integers(0, 256, DTYPES[dtype].nbytes(int(elements(region).max()) + 1), np.uint8)
        mine = np.empty(DTYPES[dtype].nbytes(region.size), np.uint8)
        REFERENCE.copy_region(source, DTYPES[dtype], region, mine)
        out = backend.empty(mine.nbytes)
        backend.copy_region(backend.upload(source), DTYPES[dtype], region, out)  # type: ignore[arg-type]
        assert backend.download(out).tobytes() == mine.tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
@pytest.mark.parametrize("run", [1, 6])
def test_repeated_from_a_table(backend: Backend, order: None, dtype: str, run: int) -> None:
    table = RANDOM.integers(0, 256, DTYPES[dtype].nbytes(50), np.uint8)
    for region in [*LARGE, StridedRegion(0, 2**40 + 3, 0, (5000,), (1,), (1,))]:
        mine = np.empty(DTYPES[dtype].nbytes(region.size), np.uint8)
        REFERENCE.fill_region_from_table(table, DTYPES[dtype], run, region, mine)
        out = backend.empty(mine.nbytes)
        backend.fill_region_from_table(backend.upload(table), DTYPES[dtype], run, region, out)  # type: ignore[arg-type]
        assert backend.download(out).tobytes() == mine.tobytes()  # type: ignore[arg-type]


def test_nothing_is_written_beyond_the_range(backend: Backend) -> None:
    out = backend.empty(64)
    backend.fill(ElementSource(Constant(0.0), DTYPES["float32"], 0, 0), 0, out)
    backend.fill(ElementSource(Constant(1.0), DTYPES["float32"], 0, 0), 1, out[4:28])
    backend.fill(ElementSource(Constant(1.0), DTYPES["float64"], 0, 0), 1, out[40:48])
    expected = np.zeros(64, np.uint8)
    expected[4:28].view(np.float32)[:] = 1
    expected[40:48].view(np.float64)[:] = 1
    assert backend.download(out).tobytes() == expected.tobytes()


def test_every_frozen_digest(backend: Backend) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["sha256"]
    assert {name: digest(*case, backend) for name, *case in cases()} == recorded


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(1, 1, 5), (64, 64, 16), (70, 70, 33), (3, 130, 17), (200, 200, 1)]
)
def test_products_equal_the_references(
    backend: Backend, order: None, rows: int, columns: int, depth: int, sign: int, upper: bool
) -> None:
    if upper and rows != columns:
        return
    c, left, right = (RANDOM.normal(size=size) for size in ((rows, columns + 2), (rows, depth + 1), (depth, columns)))
    c[0, 0] = left[0, 0] = -0.0
    for turned in (False, True):
        there, mine = backend.upload(c), c.copy()
        factor = left[:, :depth].T.copy() if turned else left
        sent = backend.upload(factor)
        backend.add_product(
            there[:, :columns], sent if turned else sent[:, :depth].T, backend.upload(right), sign, upper
        )
        REFERENCE.add_product(mine[:, :columns], left[:, :depth].T, right, sign)
        found = backend.download(there)
        chosen = np.triu(np.ones((rows, columns), bool)) if upper else np.ones((rows, columns), bool)
        assert found[:, :columns][chosen].tobytes() == mine[:, :columns][chosen].tobytes()
        assert found[:, columns:].tobytes() == c[:, columns:].tobytes()


@pytest.mark.parametrize("n", [1, 2, 31, 64])
def test_cholesky_of_a_tile(backend: Backend, order: None, n: int) -> None:
    z = RANDOM.normal(size=(n + 5, n))
    padded = np.zeros((n, n + 7))
    padded[:, :n] = z.T @ z
    there, mine = backend.upload(padded), padded[:, :n].copy()
    diagonal = backend.diagonal(there[:, :n])
    assert backend.download(diagonal).tobytes() == mine.diagonal().tobytes()
    assert backend.cholesky_tile(there[:, :n], diagonal, 1e-14)
    assert REFERENCE.cholesky_tile(mine, mine.diagonal().copy(), 1e-14)
    assert np.triu(backend.download(there)[:, :n]).tobytes() == np.triu(mine).tobytes()
    if n > 1:
        mine[...] = 1.0
        assert not backend.cholesky_tile(backend.upload(mine), backend.upload(np.ones(n)), 1e-14)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (64, 40), (17, 100), (30, 15)])
def test_triangular_solutions_equal_the_references(backend: Backend, order: None, n: int, count: int) -> None:
    r, x = RANDOM.normal(size=(n, n + 1)), RANDOM.normal(size=(n, count + 3))
    r[:, :n] += 3 * np.eye(n)
    for turned in (False, True):
        mine = x.copy()
        there = backend.upload(x.T.copy() if turned else x)
        view = there.T if turned else there
        backend.solve_triangular(backend.upload(r)[:, :n], view[:, :count])
        REFERENCE.solve_triangular(r[:, :n], mine[:, :count])
        found = backend.download(there)
        assert (found.T if turned else found).tobytes() == mine.tobytes()


@pytest.mark.parametrize("is_double", [False, True])
@pytest.mark.parametrize("start", [0, 5])
def test_normal_matrices(backend: Backend, order: None, start: int, is_double: bool) -> None:
    for turned in (False, True):
        there, mine = backend.zeros(20, 31), np.zeros((20, 31))
        backend.fill_normal(3, 4, start, is_double, there.T[2:] if turned else there[2:])
        REFERENCE.fill_normal(3, 4, start, is_double, mine.T[2:] if turned else mine[2:])
        assert backend.download(there).tobytes() == mine.tobytes()


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_rounding_equals_the_references(backend: Backend, dtype: str) -> None:
    q = RANDOM.normal(size=(50, 21)) * np.exp2(RANDOM.integers(-160, 4, (50, 21)))
    for turned in (False, True):
        there, view = backend.upload(q), q.T if turned else q
        out, mine = backend.empty(DTYPES[dtype].nbytes(q.size)), np.empty(DTYPES[dtype].nbytes(q.size), np.uint8)
        backend.store_scaled(there.T if turned else there, -1.7, DTYPES[dtype], out)
        REFERENCE.store_scaled(view, -1.7, DTYPES[dtype], mine)
        assert backend.download(out).tobytes() == mine.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(7, 3), (3, 70), (150, 131), (40, 200), (5, 9, 2, 31), (1100, 2)])
def test_orthogonal_matrices_equal_the_references(backend: Backend, dtype: str, shape: tuple[int, ...]) -> None:
    tensor = make_tensor(Orthogonal(1.25), dtype, shape, stream=99)
    assert draw(tensor, 3, 0, tensor.size, backend).tobytes() == draw(tensor, 3, 0, tensor.size).tobytes()


def test_the_host_takes_over_if_columns_are_dependent(backend: Backend) -> None:
    z: NDArray[np.float64] = np.outer(np.arange(6.0), np.ones(4))
    drawn_on: list[str] = []

    def matrix(on: Backend) -> NDArray[np.float64]:
        drawn_on.append(on.device)
        return on.upload(z.copy())

    q = backend.download(Orthonormalizer(backend, 1)(matrix, 1e-13))
    assert drawn_on == [backend.device, "cpu"]
    assert q.tobytes() == Orthonormalizer(REFERENCE, 1)(lambda on: z.copy(), 1e-13).tobytes()
