"""Parameters with the same seed and name, as docs/stream.md describes them."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import paramgen

COUNT = 100_000
NORMAL = {"type": "gaussian", "std": 0.02}


def draw(initializer: Any, shape: int = COUNT, **options: Any) -> Any:
    fields = {"fan_in": 300, "fan_out": 200} if initializer in ("he", "glorot") else {}
    return paramgen.initialize(initializer, [shape], **{"name": "w", **fields, **options})


@pytest.mark.parametrize("initializer", [NORMAL, "he", "glorot", {"type": "truncated_normal", "std": 0.02}], ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_types_are_the_float32_values_rounded(initializer: Any, dtype: str) -> None:
    expected = draw(initializer).astype(np.dtype(dtype if dtype == "float16" else getattr(ml_dtypes, dtype)))
    assert draw(initializer, dtype=dtype).tobytes() == expected.tobytes()


def test_a_float64_element_lies_next_to_a_float32_element() -> None:
    double, single = draw("glorot", COUNT // 2, dtype="float64"), draw("glorot")
    bound = np.sqrt(6 / 500)
    assert np.abs(double - single[1::2]).max() < 2.0**-22 * bound
    assert np.abs(np.corrcoef(double, single[: COUNT // 2])[0, 1]) < 5 / np.sqrt(COUNT // 2)


def test_values_of_two_standard_deviations_are_proportional() -> None:
    one, other = draw({"type": "gaussian", "std": 1.0}), draw(NORMAL)
    np.testing.assert_allclose(other, 0.02 * one, rtol=2.0**-22)


def test_two_distributions_have_the_same_order() -> None:
    he, glorot = draw("he"), draw("glorot")
    assert np.diff(he[np.argsort(glorot)]).min() > -1e-6 * np.abs(he).max()
    assert round(np.corrcoef(he, glorot)[0, 1], 2) == 0.98


def test_elements_with_the_same_index_are_equal() -> None:
    square = paramgen.initialize(NORMAL, [10, 10], name="w")
    assert square.tobytes() == draw(NORMAL, 100).tobytes()


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "v"}], ids=str)
@pytest.mark.parametrize("changed", [{"dtype": "bfloat16"}, {"initializer": "glorot"}, {}], ids=str)
def test_another_seed_or_name_gives_independent_values(other: dict[str, Any], changed: dict[str, Any]) -> None:
    first = draw("he").astype(np.float64)
    second = draw(**{"initializer": "he", **changed, **other}).astype(np.float64)
    assert np.abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(COUNT)
    assert np.abs(np.corrcoef(np.abs(first), np.abs(second))[0, 1]) < 5 / np.sqrt(COUNT)
