"""Tests that norms are those of the direction's own values, summed one after another, however they are drawn."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import COMPILED_BACKENDS, draw, make_tensor
from numpy.typing import NDArray

import paramgen
from paramgen import engine
from paramgen.catalog.distributions import Constant, Direction, Distribution, Norm, Normal, Orthogonal, PeriodicConstant
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.weight_norms import compute_norms

BACKEND_MODULES = [NumpyBackend(), *COMPILED_BACKENDS]
# A direction, its shape, and the shape of its norms.
CASES: list[tuple[Distribution, tuple[int, ...], tuple[int, ...]]] = [
    (Normal(0.1, 0.02), (3, 2, 5, 7), (1, 1, 1, 7)),
    (Normal(0.1, 0.02), (3, 2, 5, 7), (1, 1, 5, 7)),
    (Normal(0.1, 0.02), (3, 2, 5, 7), (1, 2, 1, 1)),
    (Normal(0.1, 0.02), (64, 3, 4), (64, 1, 1)),
    (Normal(0.1, 0.02), (10, 30), (10, 1)),
    (Normal(0.1, 0.02), (10, 30), (1, 1)),
    (Normal(0.1, 0.02), (6, 1, 5), (6, 1, 5)),
    (Normal(0.1, 0.02), (1, 1), (1, 1)),
    (Orthogonal(3.0), (20, 12), (20, 1)),
    (PeriodicConstant("identity", 1.5, 0, 1, 8, 5), (5, 7), (1, 7)),
]

# Weights have a norm in the dtypes of floating-point numbers with a zero.
FLOATS = [name for name, dtype in DTYPES.items() if dtype.significant_bits and dtype.min < 0 and not dtype.is_complex]


def in_python(values: NDArray[Any], shape: tuple[int, ...]) -> list[float]:
    """Return the norms by the formula of docs/stream.md, in the order of their elements."""
    sums: dict[tuple[int, ...], float] = dict.fromkeys(itertools.product(*map(range, shape)), 0.0)
    for place in itertools.product(*map(range, values.shape)):
        value = float(values[place])
        sums[tuple(i if size > 1 else 0 for i, size in zip(place, shape, strict=True))] += value * value
    return [math.sqrt(total) for total in sums.values()]


@pytest.mark.parametrize("backend", BACKEND_MODULES, ids=lambda backend: backend.name)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("distribution", "shape", "left"), CASES, ids=str)
def test_norms_of_the_values_in_the_file(
    distribution: Distribution, shape: tuple[int, ...], left: tuple[int, ...], dtype: str, backend: Backend
) -> None:
    direction = make_tensor(distribution, dtype, shape, "x.weights")
    (source,) = direction.sources
    values = draw(direction, 5, 0, direction.size, backend).reshape(shape)
    norm = Norm(Direction(distribution, DTYPES[dtype], shape), left)
    for of_norm in ("float64", dtype):
        tensor = make_tensor(norm, of_norm, left, "x.magnitude", source.stream)
        expected = np.array(in_python(values, left))
        if of_norm != "float64":
            expected = expected.astype(np.float32)
        found = draw(tensor, 5, 0, tensor.size, backend)
        assert found.tobytes() == expected.astype(DTYPES[of_norm].numpy_dtype()).tobytes()


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("grid", [(6, 5, 4), (1, 30, 4), (30, 4, 1), (1, 1, 120), (1, 120, 1), (2, 1, 60)])
def test_blocks_change_nothing(grid: tuple[int, int, int], block: int) -> None:
    values = np.random.default_rng(0).normal(size=120)
    asked: list[tuple[int, int]] = []

    def drawn(start: int, stop: int) -> NDArray[Any]:
        asked.append((start, stop))
        return values[start:stop]

    found = compute_norms(drawn, grid, block)
    assert found.shape == (1, grid[1])
    assert found.tobytes() == compute_norms(lambda start, stop: values[start:stop], grid).tobytes()
    assert [start for start, _ in asked] == list(range(0, 120, block))
    assert max(stop - start for start, stop in asked) <= block


def test_threads_and_blocks_of_a_build_change_nothing(tmp_path: Path) -> None:
    operations: list[dict[str, Any]] = [
        {
            "name": "a",
            "type": "fully_connected",
            "input_size": 700,
            "output_size": 900,
            "weight_norm": {"axis": "inputs"},
        },
        {
            "name": "b",
            "type": "fully_connected",
            "input_size": 300,
            "output_size": 300,
            "weight_norm": {"axis": "outputs"},
            "initializers": {"weights": "orthogonal"},
        },
    ]
    for layout in ("canonical", "torch"):
        spec = paramgen.load_spec({"operations": operations, "layout": layout})
        results = {
            engine.build(spec.plan, str(tmp_path / "x"), digest=True, threads=threads, block_bytes=size).sha256
            for threads, size in ((1, 2**20), (3, 4096), (4, 512))
        }
        assert len(results) == 1


def test_rows_of_an_orthogonal_direction_have_norm_one() -> None:
    spec = {
        "operations": [
            {
                "name": "x",
                "type": "fully_connected",
                "input_size": 80,
                "output_size": 40,
                "weight_norm": {"axis": "outputs"},
                "initializers": {"weights": "orthogonal"},
            }
        ]
    }
    magnitude: Any = paramgen.sample(spec, flat=True)["x.magnitude"]
    assert magnitude.shape == (40, 1)
    assert np.abs(magnitude - 1).max() < 1e-6


def test_a_sum_takes_its_summands_in_order() -> None:
    """Add 1 to many numbers that are too small to change it, and to their sum, which is not."""
    small = np.full(4096, 2.0**-27)
    for values, expected in ((np.append(1.0, small), 1.0), (np.append(small, 1.0), math.sqrt(1 + 4096 * 2.0**-54))):
        assert compute_norms(lambda start, stop, of=values: of[start:stop], (1, 1, 4097), 100)[0, 0] == expected
    assert math.sqrt(1 + 4096 * 2.0**-54) > 1


def test_norms_of_a_constant() -> None:
    norm = Norm(Direction(Constant(0.5), DTYPES["float32"], (4, 3)), (1, 3))
    assert draw(make_tensor(norm, "float32", (1, 3)), 0, 0, 3).tolist() == [1.0, 1.0, 1.0]
    assert norm.fields() == {"of": {"type": "constant", "value": 0.5}, "elements": 4}
    assert norm.max_magnitude("float32") == 1.0
