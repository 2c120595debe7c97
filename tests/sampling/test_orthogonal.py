"""Orthogonal matrices: against numpy.linalg.qr of the same normal matrix, and where the fast way cannot go."""

import numpy as np
import pytest
from numpy.typing import NDArray

from paramgen.distributions import Orthogonal
from paramgen.sampling import orthogonal as module
from paramgen.sampling.orthogonal import householder, orthogonal, orthonormalize
from paramgen.sampling.reference import Stream

SHAPES = [(1, 1), (2, 2), (7, 3), (3, 7), (1, 5), (5, 1), (400, 100), (100, 400), (130, 129), (300, 300)]


def qr(z: NDArray[np.float64]) -> NDArray[np.float64]:
    q, r = np.linalg.qr(z)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)  # type: ignore[no-any-return]


def loss(q: NDArray[np.float64]) -> float:
    return float(np.abs(q.T @ q - np.eye(q.shape[1])).max())


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_q_of_the_normal_matrix(shape: tuple[int, int], double: bool) -> None:
    normal = Stream(4, 77, double).normal(0, shape[0] * shape[1]).reshape(shape)
    tolerance = module.DOUBLE if double else module.SINGLE
    drawn = orthogonal(normal.astype(np.float64), 1.0, tolerance).astype(normal.dtype)
    wide = shape[0] < shape[1]
    q, z = (matrix.T.astype(np.float64) if wide else matrix.astype(np.float64) for matrix in (drawn, normal))
    assert loss(q) <= (1e-12 if double else 1e-6)
    assert np.abs(q - qr(z)).max() <= 1e-5


@pytest.mark.parametrize(("n", "stream"), [(5, 12345), (3, 1), (4, 2), (8, 3)])
@pytest.mark.parametrize("double", [False, True])
def test_many_small_square_matrices(n: int, stream: int, double: bool) -> None:
    """Square matrices are the worst conditioned; seed 1904 of the first loses 1e-11 in one pass of float64."""
    tolerance = module.DOUBLE if double else module.SINGLE
    losses = []
    for seed in range(1700, 2100):
        normal = Stream(seed, stream, double).normal(0, n * n).reshape(n, n)
        losses.append(loss(orthogonal(normal.astype(np.float64), 1.0, tolerance)))
    assert max(losses) < (1e-13 if double else 1e-7)


def test_gain_multiplies() -> None:
    normal = Stream(4, 77, True).normal(0, 12).reshape(4, 3)
    once = orthogonal(normal.copy(), 1.0, module.DOUBLE)
    np.testing.assert_array_equal(orthogonal(normal, -2.5, module.DOUBLE), -2.5 * once)


@pytest.mark.parametrize(
    "z",
    [np.zeros((4, 3)), np.ones((5, 5)), np.outer(np.arange(6.0), np.ones(4)), np.eye(6, 4)[:, [0, 1, 1, 2]]],
    ids=["zero", "ones", "rank one", "repeated column"],
)
def test_rank_deficient_matrices_still_give_an_orthogonal_one(z: NDArray[np.float64]) -> None:
    assert loss(orthonormalize(z, 1e-13)) < 1e-14


@pytest.mark.parametrize("closeness", [1e-3, 1e-4, 1e-6, 1e-9, 1e-14])
def test_nearly_dependent_columns(closeness: float) -> None:
    z = np.random.default_rng(0).normal(size=(60, 20))
    z[:, 13] = z[:, :5].sum(axis=1) + closeness * z[:, 13]
    q = orthonormalize(z.copy(), 1e-13)
    assert loss(q) < 1e-13
    assert np.abs(q - qr(z))[:, :13].max() < 1e-12


def test_second_pass_is_what_restores_orthogonality(monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.random.default_rng(0).normal(size=(60, 20))
    z[:, 13] = z[:, :5].sum(axis=1) + 1e-4 * z[:, 13]
    passes = []
    monkeypatch.setattr(module, "gram", lambda m, original=module.gram: passes.append(1) or original(m))
    orthonormalize(z.copy(), module.SINGLE)
    orthonormalize(np.eye(6, 4), module.SINGLE)
    orthonormalize(np.eye(6, 4), module.DOUBLE)
    assert len(passes) == 2 + 1 + 2
    monkeypatch.setattr(module, "EPSILON", 0.0)
    assert loss(orthonormalize(z.copy(), module.SINGLE)) > 1e-10


def test_householder_agrees_with_qr() -> None:
    z = np.random.default_rng(0).normal(size=(50, 30))
    q = householder(z)
    np.testing.assert_allclose(q, qr(z), atol=1e-13)
    assert loss(q) < 1e-14


def test_the_sums_have_the_written_order() -> None:
    """Row by row, a multiply then an add: what C and CUDA will do, here by plain Python floats."""
    z = np.random.default_rng(0).normal(size=(150, 3))
    g = module.gram(z)
    for i in range(3):
        for j in range(i, 3):
            total = 0.0
            for k in range(150):
                total += float(z[k, i]) * float(z[k, j])
            assert g[i, j] == total


def test_distribution_knows_its_largest_value() -> None:
    assert 3.0 < Orthogonal(-3.0).largest("float32") < 3.00001
