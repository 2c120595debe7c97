"""Tests of the reference: known answers, independence of ranges, rounding to narrow dtypes."""

import json
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from golden import Golden
from helpers import DATA, FIRST_DTYPES, draw, make_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

import paramgen
from paramgen.catalog.distributions import (
    Constant,
    Distribution,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES
from paramgen.planning.streams import stream_id
from paramgen.planning.tensors import Tensor

VECTORS = json.loads((DATA / "stream-v1.json").read_text())
SHAPE = (40, 30)
DISTRIBUTIONS: list[Distribution] = [
    Constant(0.3),
    Uniform(0.7),
    Normal(0.5, 2.0),
    TruncatedNormal(0.5, 2.0, -2.0, 1.5),
    Orthogonal(1.5),
    unit_forget_gate(250),
]


def tensor(
    distribution: Distribution, dtype: str = "float32", name: str = "t.weights", shape: tuple[int, ...] = SHAPE
) -> Tensor:
    return make_tensor(distribution, dtype, shape, name)


def test_uniform_known_answers() -> None:
    vector = VECTORS["uniform"][0]
    values = draw(tensor(Uniform(vector["bound"]), "float32", vector["name"]), vector["seed"], 0, 8)
    exact = np.array(vector["values"])
    assert (np.abs(values - exact) <= 2 * np.spacing(np.abs(values))).all()


def test_normal_known_answers() -> None:
    vector = VECTORS["normal"][0]
    values = draw(tensor(Normal(vector["mean"], vector["std"]), "float32", vector["name"]), vector["seed"], 0, 8)
    exact = np.array(vector["values"])
    assert (np.abs(values - exact) <= 4e-6 * np.abs(exact)).all()


def test_uniform_float32_is_within_two_units_in_the_last_place() -> None:
    distribution = Uniform(0.0428025825003853)
    values = draw(tensor(distribution), 1, 0, 200_000)
    from paramgen.sampling.reference.philox import draw_words

    exact = distribution.bound * (2 * ((draw_words(1, stream_id("t.weights"), 0, 200_000) + 0.5) / 2.0**32) - 1)
    assert (np.abs(values - exact) <= 2 * np.spacing(np.abs(values))).all()


def test_uniform_float64_is_within_its_tolerance() -> None:
    from paramgen.sampling.reference.philox import draw_words64

    values = draw(tensor(Uniform(3.0), "float64"), 1, 0, 1000)
    exact = [3 * (2 * (int(w) + 0.5) / 2**64 - 1) for w in draw_words64(1, stream_id("t.weights"), 0, 1000)]
    assert np.abs(values - exact).max() <= 1e-12 * 3


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.type)
@given(start=st.integers(0, 1200), stop=st.integers(0, 1200))
@settings(max_examples=15, deadline=None)
def test_any_range_equals_that_range_of_the_whole(
    distribution: Distribution, dtype: str, start: int, stop: int
) -> None:
    start, stop = sorted((start, stop))
    whole = draw(tensor(distribution, dtype), 8, 0, 1200)
    part = draw(tensor(distribution, dtype), 8, start, stop)
    assert part.tobytes() == whole[start:stop].tobytes()
    assert whole.dtype == DTYPES[dtype].numpy_dtype()


@pytest.mark.parametrize(
    "distribution",
    [Uniform(1.0), Normal(0.0, 1.0), TruncatedNormal(0.0, 1.0, -2.0, 2.0)],
    ids=lambda distribution: distribution.type,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranges_beyond_32_bits(distribution: Distribution, dtype: str) -> None:
    far = 2**33 + 5
    one = draw(tensor(distribution, dtype, shape=(2**40,)), 8, far, far + 9)
    other = draw(tensor(distribution, dtype, shape=(2**40,)), 8, far - 3, far + 20)
    assert one.tobytes() == other[3:12].tobytes()
    assert one.tobytes() != draw(tensor(distribution, dtype, shape=(2**40,)), 8, 5, 14).tobytes()


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.type)
def test_narrow_types_are_the_float32_value_rounded_to_even(distribution: Distribution, dtype: str) -> None:
    wide = draw(tensor(distribution), 8, 0, 1200)
    narrow = draw(tensor(distribution, dtype), 8, 0, 1200).astype(np.float64)
    info = ml_dtypes.finfo(DTYPES[dtype].numpy_dtype())
    exponent = np.maximum(np.floor(np.log2(np.maximum(np.abs(wide.astype(np.float64)), 1e-300))), info.minexp)
    unit = 2.0 ** (exponent - info.nmant)
    expected = np.rint(wide.astype(np.float64) / unit) * unit  # rint: to nearest, ties to even
    np.testing.assert_array_equal(narrow, expected)


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_extreme_values_are_finite(dtype: str) -> None:
    largest = DTYPES[dtype].max
    assert largest is not None
    std = largest / (9.2 if dtype == "float64" else 6.34)
    truncated = TruncatedNormal(0.0, largest / 2, -2.0, 2.0)
    for distribution in (
        Uniform(largest),
        Normal(0.0, std),
        Constant(largest),
        Normal(largest / 2, std / 2),
        truncated,
    ):
        assert distribution.max_magnitude(dtype) <= largest * (1 + 1e-15)
        assert np.isfinite(draw(tensor(distribution, dtype), 8, 0, 1200).astype(np.float64)).all()


def test_the_largest_normal_values_are_those_of_the_extreme_words() -> None:
    assert Normal(0.0, 1.0).max_magnitude("float64") == 9.2
    assert Normal(-2.0, 0.5).max_magnitude("float32") == Normal(-2.0, 0.5).max_magnitude("bfloat16") == 2 + 0.5 * 6.34


def test_orthogonal_at_the_largest_gain_is_finite(golden: Golden) -> None:
    for seed in range(50):
        gain = 1.7976e308
        assert np.isfinite(paramgen.initialize("orthogonal", [2, 1], gain=gain, dtype="float64", seed=seed)).all()
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.initialize("orthogonal", [2, 1], gain=sys.float_info.max, dtype="float64")
    golden(caught.value)


def test_samples_have_the_moments_of_their_distribution() -> None:
    normal = paramgen.initialize("gaussian", [1000, 1000], mean=1.0, std=3.0)
    uniform = paramgen.initialize("uniform", [1000, 1000], bound=2.0, name="other")
    assert abs(normal.mean() - 1) < 0.015
    assert abs(normal.std() - 3) < 0.01
    assert abs(uniform.mean()) < 0.006
    assert abs(uniform.std() - 2 / 3**0.5) < 0.004


def test_other_seeds_and_names_give_other_numbers() -> None:
    def first(**keywords: Any) -> bytes:
        return paramgen.initialize("uniform", [64], bound=1.0, **keywords).tobytes()  # type: ignore[no-any-return]

    drawn = [first(), first(seed=1), first(seed=2**63), first(name="x"), first(name="x", seed=1)]
    assert len(set(drawn)) == len(drawn)
