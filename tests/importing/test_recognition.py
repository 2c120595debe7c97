"""Recognition of computed values: formulas, sinusoids, lists, and what has none."""

import math
from typing import Any

import numpy as np
import pytest

import paramgen
from paramgen.importing.recognition import Tolerance, recognize

SINGLE = Tolerance.of_bits(24)
EXACT = Tolerance.of_bits(0)
COUNT = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((3, 2)), "zeros"),
        (np.ones(4), "ones"),
        (np.full(4, 2.5), {"type": "constant", "value": 2.5}),
        (COUNT, "arange"),
        (COUNT * 0.25 - 1, {"type": "arange", "start": -1, "step": 0.25}),
        (np.repeat(COUNT[:, None], 5, 1), {"type": "arange", "axis": 0}),
        (np.repeat(np.log(COUNT + 1)[None], 3, 0), {"type": "formula", "value": "${log(k + 1)}"}),
        (10000 ** (-COUNT / 24), {"type": "formula", "value": "${exp(-log(10000) * k / n)}"}),
        (np.eye(4, 6) * 3, {"type": "identity", "gain": 3}),
        (np.array([[3.0, 1], [4, 1.5]]), {"type": "values", "values": [[3, 1], [4, 1.5]]}),
        (np.array([[3.0, 1, 7], [3, 1, 7]]), {"type": "values", "values": [3, 1, 7]}),
    ],
)
def test_values_have_the_initializer_that_gives_them(values: Any, expected: Any) -> None:
    initializer = {"type": expected} if isinstance(expected, str) else expected
    assert recognize(values, SINGLE) == initializer
    np.testing.assert_allclose(paramgen.initialize(initializer, values.shape), values, rtol=2e-6)


@pytest.mark.parametrize("arrangement", ["interleaved", "concatenated"])
@pytest.mark.parametrize("fields", [{}, {"denominator_offset": 1}, {"position_offset": 2}])
def test_sinusoids(arrangement: str, fields: dict[str, int]) -> None:
    initializer = {"type": "sinusoidal", "arrangement": arrangement, **fields}
    values = paramgen.initialize(initializer, [60, 16])
    assert recognize(values, SINGLE) == initializer


def test_a_channel_that_is_wrong_is_not_a_sinusoid() -> None:
    values = paramgen.initialize("sinusoidal", [60, 16], arrangement="interleaved")
    values[7, 3] += 0.01
    assert recognize(values, SINGLE) == {"type": "values", "values": values.astype(np.float64).tolist()}


@pytest.mark.parametrize(
    "values", [np.array([1, math.inf]), np.array([1, math.nan]), np.random.default_rng(0).normal(size=70_000)]
)
def test_values_without_an_initializer(values: Any) -> None:
    assert recognize(values, SINGLE) is None


def test_integers_are_compared_exactly() -> None:
    values = np.arange(100_000)
    assert recognize(values, EXACT) == {"type": "arange"}
    values[-2] += 1
    assert recognize(values, EXACT) is None
