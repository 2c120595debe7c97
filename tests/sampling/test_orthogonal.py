"""Tests of orthogonal matrices against numpy.linalg.qr, and of those for which the fast algorithm fails."""

import numpy as np
import pytest
from helpers import draw, make_tensor
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.catalog.distributions import Orthogonal
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.cpu.devices import cpu_backend
from paramgen.sampling.host import TILE, HostBackend
from paramgen.sampling.orthogonal import (
    FLOAT64_TOLERANCE,
    MAX_LOSS,
    Orthonormalizer,
    ShareCallback,
    householder,
    iter_tiles,
)
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.reference.distributions import standard_normal
from paramgen.sampling.reference.philox import draw_words, draw_words64

SHAPES = [(1, 1), (2, 2), (7, 3), (3, 7), (1, 5), (5, 1), (400, 100), (100, 400), (TILE + 2, TILE + 1), (300, 300)]
BACKENDS: list[HostBackend] = [NumpyBackend(), cpu_backend()]
REFERENCE = Orthonormalizer(NumpyBackend(), 1)


def tensor(shape: tuple[int, ...], dtype: str, gain: float = 1.0) -> Tensor:
    return make_tensor(Orthogonal(gain), dtype, shape, stream=77)


def orthogonal(
    shape: tuple[int, ...], dtype: str, seed: int = 4, gain: float = 1.0, backend: Backend | None = None
) -> NDArray[np.float64]:
    matrix = tensor(shape, dtype, gain)
    return draw(matrix, seed, 0, matrix.size, backend).reshape(shape).astype(np.float64)  # type: ignore[no-any-return]


def orthonormalize(z: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    return REFERENCE(lambda on: z.copy(), tolerance)


def qr(z: NDArray[np.float64]) -> NDArray[np.float64]:
    q, r = np.linalg.qr(z)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)  # type: ignore[no-any-return]


def loss(q: NDArray[np.float64]) -> float:
    return float(np.abs(q.T @ q - np.eye(q.shape[1])).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_are_q_of_the_normal_matrix(shape: tuple[int, int], dtype: str) -> None:
    double = dtype == "float64"
    gaussian = (
        standard_normal((draw_words64 if double else draw_words)(4, 77, 0, shape[0] * shape[1]))
        .reshape(shape)
        .astype(np.float64)
    )
    drawn = orthogonal(shape, dtype)
    q, z = (drawn.T, gaussian.T) if shape[0] < shape[1] else (drawn, gaussian)
    assert loss(q) <= (1e-12 if double else 1e-6)
    assert np.abs(q - qr(z)).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_square_matrices(n: int, dtype: str) -> None:
    """Test square matrices, which are the worst conditioned."""
    losses = [loss(orthogonal((n, n), dtype, seed, backend=cpu_backend())) for seed in range(2000)]
    assert max(losses) < (1e-12 if dtype == "float64" else 6e-7)


def test_gain_multiplies() -> None:
    once = orthogonal((4, 3), "float64")
    np.testing.assert_array_equal(orthogonal((4, 3), "float64", gain=-2.5), -2.5 * once)


@pytest.mark.parametrize(
    "z",
    [np.zeros((4, 3)), np.ones((5, 5)), np.outer(np.arange(6.0), np.ones(4)), np.eye(6, 4)[:, [0, 1, 1, 2]]],
    ids=["zero", "ones", "rank one", "repeated column"],
)
def test_rank_deficient_matrices_still_give_an_orthogonal_one(z: NDArray[np.float64]) -> None:
    for backend in BACKENDS:
        assert loss(Orthonormalizer(backend, 2)(lambda on: z.copy(), 1e-13)) < 1e-14


@pytest.mark.parametrize("closeness", [1e-3, 1e-4, 1e-6, 1e-9, 1e-14])
def test_nearly_dependent_columns(closeness: float) -> None:
    z = np.random.default_rng(0).normal(size=(60, 20))
    z[:, 13] = z[:, :5].sum(axis=1) + closeness * z[:, 13]
    q = orthonormalize(z, 1e-13)
    assert loss(q) < 1e-13
    assert np.abs(q - qr(z))[:, :13].max() < 1e-12


def test_the_second_pass_restores_orthogonality(monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.random.default_rng(0).normal(size=(60, 20))
    z[:, 13] = z[:, :5].sum(axis=1) + 1e-5 * z[:, 13]
    passes: list[int] = []
    divide = Orthonormalizer.divide_by_cholesky
    monkeypatch.setattr(Orthonormalizer, "divide_by_cholesky", lambda self, z: passes.append(1) or divide(self, z))
    assert loss(orthonormalize(z, 1e-12)) < 1e-14
    assert len(passes) == 2
    assert 1e-12 < loss(orthonormalize(z, MAX_LOSS)) < 1e-3
    assert len(passes) == 3
    orthonormalize(np.eye(6, 4), FLOAT64_TOLERANCE)
    assert len(passes) == 4


def test_the_measured_loss_is_about_that_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-8):
        q = np.linalg.qr(rng.normal(size=(300, 280)))[0]
        q[:, 100] += size * q[:, 7]
        exact = float(np.linalg.norm(q.T @ q - np.eye(280)))
        assert exact / 3 < REFERENCE.estimate_loss(q) < exact * 3


def test_householder_agrees_with_qr() -> None:
    z = np.random.default_rng(0).normal(size=(50, 30))
    for backend in BACKENDS:
        q = householder(backend, 2, z.copy())
        np.testing.assert_allclose(q, qr(z), atol=1e-13)
        assert loss(q) < 1e-14


def test_the_sums_have_the_specified_order() -> None:
    """Test the sums against Python floats: row by row, a multiply then an add, as in C and CUDA."""
    z = np.random.default_rng(0).normal(size=(150, 3))
    g = REFERENCE.gram(z)
    for i in range(3):
        for j in range(i, 3):
            total = 0.0
            for k in range(150):
                total += float(z[k, i]) * float(z[k, j])
            assert g[i, j] == total


def test_distribution_knows_its_largest_value() -> None:
    assert 3.0 < Orthogonal(-3.0).max_magnitude("float32") < 3.00001


def test_progress_is_reported_in_parts_up_to_the_whole() -> None:
    from paramgen.sampling.sampler import Sampler

    counts: list[int] = []
    matrix = tensor((2 * TILE, 2 * TILE), "float32")
    Sampler(4, 2, counts.append).draw(cpu_backend(), matrix, 0, matrix.size, np.empty(matrix.nbytes, np.uint8))
    assert sum(counts) == matrix.nbytes
    assert len([count for count in counts if count]) > 5


@pytest.mark.parametrize(("size", "shared"), [(64, False), (768, True)])
def test_several_threads_draw_a_large_matrix(size: int, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test a matrix of few bytes, too: 768 × 768 in float32 are 2.4 MB."""
    from paramgen.sampling import matrix_drawer, sampler

    given: list[int] = []

    def record(backend: Backend, threads: int, on_share: ShareCallback) -> Orthonormalizer:
        given.append(threads)
        return Orthonormalizer(backend, threads, on_share)

    monkeypatch.setattr(matrix_drawer, "Orthonormalizer", record)
    matrix = tensor((size, size), "float32")
    sampler.Sampler(4, 2).draw(cpu_backend(), matrix, 0, matrix.size, np.empty(matrix.nbytes, np.uint8))
    assert given == [2 if shared else 1]


@given(start=st.integers(0, 100), length=st.integers(0, 3000), size=st.integers(1, 400))
def test_tiles_cover_a_range_with_the_fewest_tiles(start: int, length: int, size: int) -> None:
    made = list(iter_tiles(start, start + length, size))
    assert [i for tile in made for i in range(tile.start, tile.stop)] == list(range(start, start + length))
    assert all(tile.stop - tile.start <= size for tile in made)
    assert len(made) == -(-length // size)


def test_tiles_are_of_similar_lengths() -> None:
    """Test that no tile is narrow: packing 16 columns takes almost as long as 240."""
    assert [tile.stop for tile in iter_tiles(0, 256, 240)] == [144, 256]
