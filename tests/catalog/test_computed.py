"""Initializers whose values are given or computed: values worked out in NumPy, equalities, and errors."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import FIRST_DTYPES, read_plan_json

import paramgen
from paramgen.catalog.initializers import ParameterTraits, read_initializer
from paramgen.dtypes import DTYPES


def values(initializer: Any, *shape: int, **keywords: Any) -> Any:
    return paramgen.initialize(initializer, shape, name="w", **keywords)


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_opposite_ends_equal_a_bound(dtype: str) -> None:
    ends = values({"type": "uniform", "low": -0.3, "high": 0.3}, 1000, dtype=dtype)
    assert ends.tobytes() == values({"type": "uniform", "bound": 0.3}, 1000, dtype=dtype).tobytes()


def test_uniform_with_low_and_high_is_a_shifted_bound() -> None:
    found = values({"type": "uniform", "low": 2, "high": 5}, 50_000, dtype="float64")
    assert 2 < found.min() < 2.001 and 4.999 < found.max() < 5
    assert found.mean() == pytest.approx(3.5, abs=0.02) and found.std() == pytest.approx(3 / math.sqrt(12), rel=0.02)
    symmetric = values({"type": "uniform", "bound": 1.5}, 50_000, dtype="float64")
    np.testing.assert_allclose(found - 3.5, symmetric, rtol=0, atol=1e-15)


def test_the_same_word_decides() -> None:
    """A log-uniform value is exp of the uniform value with the same seed and name."""
    low, high = math.log(0.001), math.log(0.1)
    uniform = values({"type": "uniform", "low": low, "high": high}, 1000, dtype="float64")
    steps = values({"type": "log_uniform", "low": 0.001, "high": 0.1}, 1000, dtype="float64")
    np.testing.assert_allclose(steps, np.exp(uniform), rtol=1e-14)
    bias = values("ssm_dt_bias", 1000, dtype="float64")
    np.testing.assert_allclose(np.log1p(np.exp(bias)), steps, rtol=1e-12)
    held = values({"type": "ssm_dt_bias", "floor": 0.01}, 1000, dtype="float64")
    np.testing.assert_allclose(np.log1p(np.exp(held)), np.maximum(steps, 0.01), rtol=1e-12)
    assert (steps < 0.01).any()


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_values_are_repeated_along_the_axes_before_theirs(dtype: str) -> None:
    numbers = [[1, 0.1, -3], [4.5, 1 / 3, 6]]
    expected = np.broadcast_to(np.array(numbers), (4, 5, 2, 3))
    narrow = expected if dtype == "float64" else expected.astype(np.float32)
    found = values({"type": "values", "values": numbers}, 4, 5, 2, 3, dtype=dtype)
    assert found.tobytes() == narrow.astype(DTYPES[dtype].numpy_dtype()).tobytes()


def test_arange_counts_along_its_axis() -> None:
    found = values({"type": "arange", "start": 0.5, "step": -0.1, "axis": 1}, 3, 4, 5, dtype="float64")
    expected = 0.5 + -0.1 * np.arange(4.0)
    np.testing.assert_array_equal(found, np.broadcast_to(expected[:, None], (3, 4, 5)))
    np.testing.assert_array_equal(values("arange", 2, 70_000)[1], np.arange(70_000))


@dataclass(frozen=True)
class Expression:
    """An expression as the language hands it over; hashable, like that."""

    text: str

    def __call__(self, k: int, n: int) -> float:
        try:
            return float(eval(self.text, {"k": k, "n": n, "log": math.log}))
        except ArithmeticError as error:
            raise ValueError(str(error)) from None


def formula(text: str, *shape: int, axis: int = -1) -> Any:
    """Return the distribution of a formula, or why there is none."""
    initializer = read_initializer({"type": "formula", "value": Expression(text), "axis": axis})
    assert initializer.describe()["value"] == text
    traits = ParameterTraits(shape)
    return initializer.why_unsupported(traits) or initializer.to_distribution(traits)


def test_formulas_are_evaluated_along_their_axis() -> None:
    table = formula("log(k + 1) / n", 3, 4, 5, axis=-2)
    assert table.run == 5 and list(table.numbers) == [math.log(k + 1) / 4 for k in range(4)]
    np.testing.assert_array_equal(values({"type": "formula", "value": 2.5}, 3, 4), np.full((3, 4), 2.5, np.float32))


def test_formulas_without_values(golden: Golden) -> None:
    found = [
        formula("1 / (k - 3)", 5),
        formula("k * 1e308", 5),
        formula("k", 4, axis=1),
        formula("k", 4, axis=-2),
        formula("k"),
        formula("k", 65_537),
    ]
    golden(*(f"formula {reason}" for reason in found))


def test_sinusoids_equal_their_definition() -> None:
    """Compare with the definition, computed by NumPy."""
    position, j = np.arange(50.0)[:, None] + 3, np.arange(8.0)
    angle = position * 1000.0 ** (-j / (8 - 1))
    fields = {"type": "sinusoidal", "base": 1000, "position_offset": 3, "denominator_offset": 1}
    found = values({**fields, "arrangement": "concatenated"}, 50, 16, dtype="float64")
    np.testing.assert_allclose(found, np.concatenate([np.sin(angle), np.cos(angle)], 1), rtol=0, atol=1e-13)
    found = values({**fields, "arrangement": "interleaved"}, 50, 16, dtype="float64")
    np.testing.assert_allclose(found, np.stack([np.sin(angle), np.cos(angle)], 2).reshape(50, 16), rtol=0, atol=1e-13)
    assert values({**fields, "arrangement": "interleaved"}, 1, 50, 16).tobytes() == found.astype(np.float32).tobytes()


NESTED = {"type": "values", "values": [[1, 2], [3, 4]]}
SINUSOIDS = {"type": "sinusoidal", "arrangement": "interleaved"}
WRONG: dict[str, tuple[Any, list[int]]] = {
    "uniform without ends": ("uniform", [4]),
    "uniform with one end": ({"type": "uniform", "low": 0}, [4]),
    "uniform with a bound and ends": ({"type": "uniform", "low": 0, "high": 1, "bound": 1}, [4]),
    "uniform with equal ends": ({"type": "uniform", "low": 1, "high": 1}, [4]),
    "uniform with ends too far apart": ({"type": "uniform", "low": -1.7e308, "high": 1e308}, [4]),
    "uniform with a text": ({"type": "uniform", "low": "a", "high": 1}, [4]),
    "uniform beyond the dtype": ({"type": "uniform", "low": -1e39, "high": 0}, [4]),
    "log_uniform without high": ({"type": "log_uniform", "low": 1}, [4]),
    "log_uniform from zero": ({"type": "log_uniform", "low": 0, "high": 1}, [4]),
    "log_uniform in the wrong order": ({"type": "log_uniform", "low": 2, "high": 1}, [4]),
    "ssm_dt_bias in the wrong order": ({"type": "ssm_dt_bias", "min": 0.2}, [4]),
    "ssm_dt_bias with a floor above max": ({"type": "ssm_dt_bias", "floor": 0.1}, [4]),
    "values of the wrong size": ({"type": "values", "values": [1, 2, 3]}, [4]),
    "values of the wrong shape": (NESTED, [2, 4]),
    "values of more dimensions": (NESTED, [2]),
    "values just beyond float32": ({"type": "values", "values": [1, 3.4028235e38]}, [2]),
    "values of different lengths": ({"type": "values", "values": [[1, 2], [3]]}, [2, 2]),
    "values with a list among numbers": ({"type": "values", "values": [1, [2]]}, [2]),
    "values with a text": ({"type": "values", "values": [1, "a"]}, [2]),
    "values that are a number": ({"type": "values", "values": 1}, [2]),
    "no values": ({"type": "values", "values": []}, [2]),
    "too many values": ({"type": "values", "values": [0] * 65_537}, [65_537]),
    "values beyond the dtype": ({"type": "values", "values": [1, 1e39]}, [2]),
    "arange along no axis": ("arange", []),
    "arange along an axis that is missing": ({"type": "arange", "axis": 2}, [3, 4]),
    "arange along a fraction": ({"type": "arange", "axis": 0.5}, [3, 4]),
    "arange of too many": ("arange", [2**20 + 1]),
    "formula that is a text": ({"type": "formula", "value": "k"}, [3]),
    "sinusoidal without an arrangement": ("sinusoidal", [3, 4]),
    "sinusoidal in another arrangement": ({"type": "sinusoidal", "arrangement": "interleave"}, [3, 4]),
    "sinusoidal of a vector": (SINUSOIDS, [4]),
    "sinusoidal of three dimensions": (SINUSOIDS, [2, 3, 4]),
    "sinusoidal of odd channels": (SINUSOIDS, [3, 5]),
    "sinusoidal with a base of one": ({**SINUSOIDS, "base": 1}, [3, 4]),
    "sinusoidal with a large denominator_offset": ({**SINUSOIDS, "denominator_offset": 2}, [3, 4]),
    "sinusoidal with frequencies that vanish": ({**SINUSOIDS, "denominator_offset": 31.99}, [3, 64]),
    "sinusoidal of too many positions": ({**SINUSOIDS, "position_offset": 2}, [2**20, 4]),
}


@pytest.mark.parametrize(("initializer", "shape"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_input_is_one_error(initializer: Any, shape: list[int], golden: Golden) -> None:
    parameter = {"shape": shape, "initializer": initializer}
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"operations": [{"name": "x", "type": "custom", "parameters": {"w": parameter}}]})
    assert len(caught.value.diagnostics) == 1
    golden(caught.value)


def test_the_plan_describes_them() -> None:
    parameters = {
        "interval": {"shape": [3], "initializer": {"type": "uniform", "low": 0, "high": 2}},
        "log": {"shape": [3], "initializer": {"type": "log_uniform", "low": 1, "high": 2}},
        "bias": {"shape": [3], "initializer": "ssm_dt_bias"},
        "sinusoids": {"shape": [3, 4], "initializer": SINUSOIDS},
        "values": {"shape": [3, 2, 2], "initializer": NESTED},
        "arange": {"shape": [3, 2], "initializer": {"type": "arange", "axis": 0}},
    }
    spec = paramgen.load_spec({"operations": [{"name": "x", "type": "custom", "parameters": parameters}]})
    found = {entry["name"]: entry["distribution"] for entry in read_plan_json(spec.plan)["parameters"]}
    rate = found["x.sinusoids"].pop("rate")
    assert rate == pytest.approx(math.log(10_000) / 2, rel=1e-15)
    assert found == {
        "x.interval": {"type": "uniform", "low": 0.0, "high": 2.0},
        "x.log": {"type": "log_uniform", "low": 1.0, "high": 2.0},
        "x.bias": {"type": "ssm_dt_bias", "min": 0.001, "max": 0.1, "floor": 1e-4},
        "x.sinusoids": {"type": "sinusoidal", "interleaved": True, "first_position": 0.0},
        "x.values": {"type": "table", "low": 1.0, "high": 4.0, "length": 4, "run": 1},
        "x.arange": {"type": "table", "low": 0.0, "high": 2.0, "length": 3, "run": 2},
    }
    described = [entry["initializer"] for entry in read_plan_json(spec.plan)["parameters"]]
    assert described[-2:] == [NESTED, {"type": "arange", "axis": 0}]
    assert json.loads(json.dumps(described)) == described


GIVEN: dict[str, Any] = {
    "constant": lambda numbers: {"type": "constant", "value": numbers[0]},
    "values": lambda numbers: {"type": "values", "values": numbers},
    "arange": lambda numbers: {"type": "arange", "start": numbers[0], "step": numbers[1] - numbers[0]},
    "formula": lambda numbers: {"type": "formula", "value": f"${{{numbers[0]} + k * ({numbers[1]} - {numbers[0]})}}"},
}
FITTING = {
    "bool": [0, 1],
    "int8": [-128, 127],
    "uint8": [0, 255],
    "int16": [-(2**15), 2**15 - 1],
    "uint16": [0, 2**16 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "uint32": [0, 2**32 - 1],
    "int64": [-(2**53) + 1, 0],
    "uint64": [0, 2**53 - 1],
    "complex64": [-1.5, 2.25],
    "float8_e8m0fnu": [2.0**-127, 1.5],
    "float8_e4m3fnuz": [-240, 0],
}


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("dtype", FITTING)
def test_given_numbers_in_other_dtypes(kind: str, dtype: str) -> None:
    """Integers and real parts are exact; float8_e8m0fnu rounds 1.5 to 2."""
    expected = [2.0 if number == 1.5 else number for number in FITTING[dtype]]
    found = values(GIVEN[kind](FITTING[dtype]), 3, 2, dtype=dtype)
    assert found.dtype == DTYPES[dtype].numpy_dtype()
    assert found.tolist() == [expected if kind != "constant" else [expected[0]] * 2] * 3


UNFIT = {
    "a fraction": ("int8", [1.7, 2.7]),
    "a large number": ("int8", [300, 301]),
    "a small number": ("uint8", [-1, 0]),
    "two": ("bool", [2, 1]),
    "an integer that float64 rounds": ("int64", [2**53 + 1, 2**53 - 1]),
    "the largest integer": ("int64", [2**63 - 1, 2**63 - 2]),
    "an integer beyond the dtype": ("uint32", [2**60, 0]),
    "zero": ("float8_e8m0fnu", [0, 1]),
}


@pytest.mark.parametrize("name", UNFIT)
def test_given_numbers_that_a_dtype_cannot_hold(name: str, golden: Golden) -> None:
    dtype, numbers = UNFIT[name]
    errors = []
    for kind in GIVEN.values():
        with pytest.raises(paramgen.UsageError) as caught:
            values(kind(numbers), 2, dtype=dtype)
        errors.append(caught.value)
    golden(*errors)
