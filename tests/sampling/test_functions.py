"""The errors of exp, expm1, sine and inverse softplus, and of the distributions made of them, against mpmath."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from helpers import draw, make_tensor
from numpy.typing import NDArray

from paramgen.catalog.distributions import LogUniform, Sinusoidal, SsmDtBias, UniformInterval
from paramgen.exact_math import log
from paramgen.planning.streams import stream_id
from paramgen.sampling.reference import elementary
from paramgen.sampling.reference.distributions import uniform_interval
from paramgen.sampling.reference.philox import draw_words, draw_words64

RANDOM = np.random.default_rng(0)
COUNT = 4000
UNIT = 2.0**-53

Exact = Callable[[mpmath.mpf], mpmath.mpf]


@pytest.fixture(autouse=True)
def digits() -> Any:
    """Give mpmath 40 digits."""
    with mpmath.workdps(40):
        yield


def errors(found: NDArray[Any], exact: list[mpmath.mpf]) -> list[mpmath.mpf]:
    return [abs(mpmath.mpf(float(a)) - b) for a, b in zip(found, exact, strict=True)]


def relative(function: Callable[[Any], Any], exact: Exact, arguments: NDArray[np.float64]) -> float:
    values = [exact(mpmath.mpf(float(x))) for x in arguments]
    return float(max(e / abs(v) for e, v in zip(errors(function(arguments), values), values, strict=True)))


@pytest.mark.parametrize(("low", "high"), [(-700, 700), (-10, 1), (-0.4, 0.4)])
def test_exp_is_accurate(low: float, high: float) -> None:
    assert relative(elementary.exp, mpmath.exp, RANDOM.uniform(low, high, COUNT)) < 2 * UNIT


@pytest.mark.parametrize(("low", "high"), [(-690, 4), (-3, 1)])
def test_expm1_of_negative_numbers(low: float, high: float) -> None:
    arguments = -np.exp(RANDOM.uniform(low, high, COUNT))
    assert relative(elementary.expm1, mpmath.expm1, arguments) < 2 * UNIT


@pytest.mark.parametrize(("low", "high"), [(-690, 7), (-3, 2)])
def test_inverse_softplus(low: float, high: float) -> None:
    arguments = np.exp(RANDOM.uniform(low, high, COUNT))
    found = elementary.inverse_softplus(arguments)
    exact = [mpmath.log(mpmath.expm1(mpmath.mpf(float(x)))) for x in arguments]
    assert max(errors(found, exact) / np.maximum(1, np.abs(found))) < 8 * UNIT


@pytest.mark.parametrize("reach", [1, 100, 2**20])
@pytest.mark.parametrize(("quarters", "exact"), [(0, mpmath.sin), (1, mpmath.cos)])
def test_sine_is_accurate(reach: float, quarters: int, exact: Exact) -> None:
    angles = RANDOM.uniform(-reach, reach, COUNT)
    found = elementary.sine(angles, np.full(COUNT, quarters))
    assert max(errors(found, [exact(mpmath.mpf(float(x))) for x in angles])) < 2 * UNIT


def test_sine_near_its_zeros() -> None:
    """Test the angles where the argument's reduction cancels most."""
    angles = np.arange(2, 667_000, 167) * (np.pi / 2)
    sine = lambda x: elementary.sine(x, np.zeros(len(x), np.int64))  # noqa: E731
    assert relative(sine, mpmath.sin, angles[::2]) < 2 * UNIT


def exact_numbers(lower: Any, upper: Any, dtype: str, count: int) -> list[mpmath.mpf]:
    """Return lower + u·(upper - lower) for the first words of the stream x with seed 1."""
    bits = 64 if dtype == "float64" else 32
    found = (draw_words64 if bits == 64 else draw_words)(1, stream_id("x"), 0, count)
    return [lower + (mpmath.mpf(int(word)) + 0.5) / 2**bits * (upper - lower) for word in found]


def tolerance(dtype: str, exact: mpmath.mpf, double: float) -> mpmath.mpf:
    """Return `double`, and the error of rounding a value of a dtype."""
    return double + (abs(exact) * 2.0**-24 if dtype == "float32" else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_intervals_are_accurate(dtype: str) -> None:
    for low, high in [(0.0, 1.0), (-1.0, 0.0), (-0.1, 0.75), (1e6, 1e6 + 1)]:
        found = draw(make_tensor(UniformInterval(low, high), dtype, (COUNT,)), 1, 0, COUNT)
        exact = exact_numbers(mpmath.mpf(low), mpmath.mpf(high), dtype, COUNT)
        largest = max(abs(low), abs(high))
        for error, value in zip(errors(found, exact), exact, strict=True):
            assert error <= tolerance(dtype, value, 4 * UNIT * largest)


@pytest.mark.parametrize("bits", [32, 64])
def test_the_ends_of_an_interval(bits: int) -> None:
    """The extreme words are as near to an end that is zero as they are to each other."""
    word = np.array([0, 2**bits - 1], f"u{bits // 8}")
    assert uniform_interval(UniformInterval(0.0, 1.0), word)[0] == 2.0 ** -(bits + 1)
    assert uniform_interval(UniformInterval(-1.0, 0.0), word)[1] == -(2.0 ** -(bits + 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_uniform_values_are_accurate(dtype: str) -> None:
    for low, high in [(0.001, 0.1), (1e-30, 1e30), (1e-300, 1e300)][: 3 if dtype == "float64" else 2]:
        found = draw(make_tensor(LogUniform(low, high), dtype, (COUNT,)), 1, 0, COUNT)
        logarithms = exact_numbers(mpmath.log(low), mpmath.log(high), dtype, COUNT)
        for error, value in zip(errors(found, list(map(mpmath.exp, logarithms))), logarithms, strict=True):
            exact = mpmath.exp(value)
            assert error <= tolerance(dtype, exact, 1e-12 * exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("low", "most", "floor"), [(0.001, 0.1, 1e-4), (0.001, 0.1, 0.01), (1e-5, 200.0, 1e-5), (1e-300, 1e10, 1e-300)]
)
def test_ssm_dt_bias(low: float, most: float, floor: float, dtype: str) -> None:
    found = draw(make_tensor(SsmDtBias(low, most, floor), dtype, (COUNT,)), 1, 0, COUNT)
    logarithms = exact_numbers(mpmath.log(low), mpmath.log(most), dtype, COUNT)
    steps = [max(mpmath.exp(value), mpmath.mpf(floor)) for value in logarithms]
    exact = [step + mpmath.log(-mpmath.expm1(-step)) for step in steps]
    for error, value in zip(errors(found, exact), exact, strict=True):
        assert error <= tolerance(dtype, value, 1e-12 * max(1, abs(value)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("interleaved", [True, False])
def test_sinusoidal_values_are_accurate(interleaved: bool, dtype: str) -> None:
    channels, first = 40, 1.5
    tensor = make_tensor(Sinusoidal(channels, interleaved, first, log(10000.0) / 19.0), dtype, (2**20, channels))
    for row in (0, 1, 7, 1000, 2**20 - 2):
        found = draw(tensor, 0, row * channels, (row + 1) * channels)
        position = mpmath.mpf(row) + first
        for j in range(channels // 2):
            angle = position * mpmath.power(10000, mpmath.mpf(-j) / 19)
            sine, cosine = (2 * j, 2 * j + 1) if interleaved else (j, channels // 2 + j)
            for value, exact in ((found[sine], mpmath.sin(angle)), (found[cosine], mpmath.cos(angle))):
                error = abs(mpmath.mpf(float(value)) - exact)
                assert error <= tolerance(dtype, exact, 2e-15 * (1 + position))


def test_logarithms_of_the_plan_are_correctly_rounded() -> None:
    for x in [2.0, 10000.0, 1 + 2.0**-52, 1 - 2.0**-53, 1e-300, *RANDOM.uniform(0.5, 2, 100).tolist()]:
        assert log(x) == float(mpmath.log(mpmath.mpf(x)))
