"""Initializers: numbers computed by hand, values, and which parameters they fit."""

import math
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import plan_operations

import paramgen
from paramgen.catalog.initializers import INITIALIZERS

TRUNCATED = 0.87962566103423978


def distribution(initializer: Any, **fields: Any) -> dict[str, Any]:
    parameter = {"shape": [40, 30], "fan_in": 30, "fan_out": 70, **fields, "initializer": initializer}
    (tensor,) = plan_operations({"type": "custom", "parameters": {"w": parameter}})
    return tensor["distribution"]  # type: ignore[no-any-return]


def uniform(bound: float) -> dict[str, Any]:
    return {"type": "uniform", "low": -bound, "high": bound}


def normal(std: float, mean: float = 0.0) -> dict[str, Any]:
    return {"type": "normal", "mean": mean, "std": std}


def truncated_normal(std: float) -> dict[str, Any]:
    return {"type": "truncated_normal", "mean": 0.0, "std": std, "low": -2 * std, "high": 2 * std}


NUMBERS: list[tuple[Any, dict[str, Any]]] = [
    ("glorot", uniform(math.sqrt(6 / 100))),
    ({"type": "xavier", "gain": 2}, uniform(2 * math.sqrt(6 / 100))),
    ({"type": "glorot", "distribution": "normal"}, normal(math.sqrt(2 / 100))),
    ({"type": "glorot", "distribution": "truncated_normal"}, truncated_normal(math.sqrt(2 / 100) / TRUNCATED)),
    ({"type": "glorot", "mode": "fan_in"}, uniform(math.sqrt(3 / 30))),
    ({"type": "glorot", "mode": "fan_out", "distribution": "normal"}, normal(math.sqrt(1 / 70))),
    ("he", normal(math.sqrt(2 / 30))),
    ({"type": "kaiming", "mode": "fan_out"}, normal(math.sqrt(2 / 70))),
    ({"type": "he", "distribution": "uniform"}, uniform(math.sqrt(6 / 30))),
    ({"type": "he", "mode": "fan_avg", "gain": 0.5}, normal(0.5 * math.sqrt(4 / 100))),
    ({"type": "he", "distribution": "truncated_normal"}, truncated_normal(math.sqrt(2 / 30) / TRUNCATED)),
    ("lecun", normal(math.sqrt(1 / 30))),
    ({"type": "lecun", "distribution": "uniform"}, uniform(math.sqrt(3 / 30))),
    ({"type": "lecun", "distribution": "truncated_normal"}, truncated_normal(math.sqrt(1 / 30) / TRUNCATED)),
    ("variance_scaling", truncated_normal(math.sqrt(1 / 30) / TRUNCATED)),
    (
        {"type": "variance_scaling", "scale": 0.3, "mode": "fan_avg", "distribution": "uniform"},
        uniform(math.sqrt(3 * 0.3 / 50)),
    ),
    ({"type": "variance_scaling", "scale": 2.0, "distribution": "normal"}, normal(math.sqrt(2 / 30))),
    ("gaussian", normal(0.01)),
    ({"type": "gaussian", "mean": 1, "std": 0}, normal(0.0, 1.0)),
    ("narrow_normal", normal(0.01)),
    (
        {"type": "truncated_normal", "mean": 1.0, "std": 0.5},
        {"type": "truncated_normal", "mean": 1.0, "std": 0.5, "low": 0.0, "high": 2.0},
    ),
    (
        {"type": "truncated_normal", "std": 0.5, "low": 0, "high": 3},
        {"type": "truncated_normal", "mean": 0.0, "std": 0.5, "low": 0.0, "high": 1.5},
    ),
    ({"type": "uniform", "bound": 0.1}, uniform(0.1)),
    ({"type": "integers", "low": -3, "high": 4}, {"type": "integers", "low": -3, "high": 4}),
    ("bernoulli", {"type": "bernoulli", "p": 0.5}),
    ({"type": "bernoulli", "p": 1}, {"type": "bernoulli", "p": 1.0}),
    ("orthogonal", {"type": "orthogonal", "gain": 1.0}),
    ({"type": "orthogonal", "gain": -2}, {"type": "orthogonal", "gain": -2.0}),
    ({"type": "identity", "gain": 3}, {"type": "identity", "value": 3.0}),
    ({"type": "constant", "value": -0.5}, {"type": "constant", "value": -0.5}),
    ("ones", {"type": "constant", "value": 1.0}),
    ("zeros", {"type": "constant", "value": 0.0}),
]


@pytest.mark.parametrize(("initializer", "expected"), NUMBERS, ids=str)
def test_distributions_have_these_numbers(initializer: Any, expected: dict[str, Any]) -> None:
    found = distribution(initializer)
    assert found.keys() == expected.keys()
    for field, value in expected.items():
        assert found[field] == (pytest.approx(value, rel=1e-15) if field != "type" else value)


def test_every_initializer_has_its_numbers() -> None:
    """Exclude filters, gates and computed values: see below, test_computed.py and sampling/test_reference.py."""
    there = {one if isinstance(one, str) else one["type"] for one, _ in NUMBERS}
    assert there == {name for model in INITIALIZERS for name in model.names()} - {
        "dirac",
        "delta_orthogonal",
        "unit_forget_gate",
        "log_uniform",
        "ssm_dt_bias",
        "values",
        "arange",
        "formula",
        "sinusoidal",
    }


@pytest.mark.parametrize(
    ("initializer", "described"),
    [
        ("glorot", {"type": "glorot"}),
        ("kaiming", {"type": "he"}),
        ({"type": "he", "gain": 1.0, "mode": "fan_in"}, {"type": "he"}),
        ({"type": "he", "mode": "fan_out"}, {"type": "he", "mode": "fan_out"}),
        ("orthogonal", {"type": "orthogonal", "gain": 1.0}),
        (
            "variance_scaling",
            {"type": "variance_scaling", "scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
        ),
        ("truncated_normal", {"type": "truncated_normal", "mean": 0.0, "std": 0.01, "low": -2.0, "high": 2.0}),
    ],
    ids=str,
)
def test_a_plan_describes_initializers(initializer: Any, described: dict[str, Any]) -> None:
    parameter = {"shape": [40, 30], "fan_in": 30, "fan_out": 70, "initializer": initializer}
    (tensor,) = plan_operations({"type": "custom", "parameters": {"w": parameter}})
    assert tensor["initializer"] == described


CONV = {"type": "conv", "filter_size": [3, 4], "num_channels": 5, "num_filters": 7}
GROUPED = {
    "type": "conv",
    "filter_size": [3],
    "num_groups": 2,
    "num_channels_per_group": 3,
    "num_filters_per_group": 2,
}
LSTM = {"type": "lstm", "input_size": 3, "num_hidden_units": 6}


def weights(operation: dict[str, Any], initializer: Any, name: str = "weights") -> Any:
    named = {"name": "x", **operation, "initializers": {name: initializer}}
    return paramgen.sample({"seed": 2, "operations": [named]})["x"][name]


def test_identity_fills_the_diagonal_with_its_gain() -> None:
    dense = {"type": "fully_connected", "input_size": 4, "output_size": 6}
    np.testing.assert_array_equal(weights(dense, {"type": "identity", "gain": 2.5}), 2.5 * np.eye(6, 4))
    np.testing.assert_array_equal(weights({**dense, "input_size": 9}, "identity"), np.eye(6, 9))
    np.testing.assert_array_equal(weights(LSTM, "identity", "recurrent_weights"), np.eye(24, 6))


def test_dirac_passes_its_channels_on() -> None:
    expected = np.zeros((3, 4, 5, 7))
    for channel in range(5):
        expected[1, 2, channel, channel] = 1
    np.testing.assert_array_equal(weights(CONV, "dirac"), expected)
    expected = np.zeros((3, 3, 2, 2))
    for channel in range(2):
        expected[1, channel, channel, :] = 1
    np.testing.assert_array_equal(weights(GROUPED, "dirac"), expected)


def test_delta_orthogonal_preserves_norms() -> None:
    w = weights(CONV, {"type": "delta_orthogonal", "gain": 2}).astype(np.float64)
    assert np.abs(w[1, 1] @ w[1, 1].T - 4 * np.eye(5)).max() < 1e-5
    w[1, 1] = 0
    assert not w.any()
    square = weights({**CONV, "num_filters": 5}, "delta_orthogonal").astype(np.float64)[1, 1]
    assert np.abs(square.T @ square - np.eye(5)).max() < 1e-6


def test_the_matrix_of_a_delta_is_drawn_at_its_own_position() -> None:
    """Compare it with an orthogonal parameter of the same stream and position."""
    w = weights({**CONV, "filter_size": [1, 1]}, "delta_orthogonal")
    q = paramgen.initialize("orthogonal", [5, 7], seed=2, name="x.weights")
    np.testing.assert_array_equal(w[0, 0], q)


def test_a_matrix_for_each_gate() -> None:
    w = weights(LSTM, {"type": "orthogonal", "per_gate": True, "gain": 3}, "recurrent_weights").astype(np.float64)
    for gate in w.reshape(4, 6, 6):
        assert np.abs(gate.T @ gate - 9 * np.eye(6)).max() < 1e-5
    first = paramgen.initialize("orthogonal", [6, 6], seed=2, name="x.recurrent_weights", gain=3.0)
    np.testing.assert_array_equal(w[:6].astype(np.float32), first)


@pytest.mark.parametrize("name", ["glorot", "he", "lecun"])
@pytest.mark.parametrize("family", ["normal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variances_follow_the_formula(name: str, family: str, mode: str) -> None:
    fans = {"fan_in": 300, "fan_out": 100}
    n = {**fans, "fan_avg": 200}[mode]
    w = paramgen.initialize({"type": name, "mode": mode, "distribution": family}, [400, 500], **fans).astype(np.float64)
    assert w.var() == pytest.approx((2 if name == "he" else 1) / n, rel=0.02)
    assert abs(w.mean()) < 1e-3


def test_initialize_takes_the_fields_as_arguments(golden: Golden) -> None:
    w = paramgen.initialize("truncated_normal", [1000], std=2.0, low=0, high=0.5)
    assert 0 <= w.min() < w.max() <= 1
    v = paramgen.initialize({"type": "truncated_normal", "std": 2.0, "low": 0, "high": 0.5}, [1000])
    np.testing.assert_array_equal(w, v)
    with pytest.raises(paramgen.UsageError) as fan:
        paramgen.initialize("he", [3, 3], fan_in=3, mode="fan_out")
    with pytest.raises(paramgen.SpecError) as mode:
        paramgen.initialize("he", [3, 3], fan_in=3, mode="fan")
    assert mode.value.diagnostics[0].path == "initializer.mode"
    golden(fan.value, mode.value)


@pytest.mark.parametrize(
    ("operation", "parameter", "initializer"),
    [
        pytest.param(CONV, "bias", "identity", id="identity of a vector"),
        pytest.param(CONV, "weights", "identity", id="identity of a convolution"),
        pytest.param(CONV, "bias", "dirac", id="dirac of a vector"),
        pytest.param(LSTM, "input_weights", "dirac", id="dirac of a matrix"),
        pytest.param(LSTM, "input_weights", "delta_orthogonal", id="delta_orthogonal of a matrix"),
        pytest.param(GROUPED, "weights", "delta_orthogonal", id="delta_orthogonal of a grouped convolution"),
        pytest.param(
            {**CONV, "num_filters": 4},
            "weights",
            "delta_orthogonal",
            id="delta_orthogonal of fewer filters than channels",
        ),
        pytest.param(
            CONV, "weights", {"type": "orthogonal", "per_gate": True}, id="orthogonal per gate of a convolution"
        ),
        pytest.param(CONV, "weights", {"type": "orthogonal", "per_gate": 1}, id="an integer for per_gate"),
        pytest.param(CONV, "bias", {"type": "he", "mode": "fan_out"}, id="he of a vector"),
        pytest.param(CONV, "bias", {"type": "lecun", "mode": "fan_avg"}, id="lecun of a vector"),
        pytest.param(CONV, "weights", {"type": "he", "gain": 0}, id="a gain of zero"),
        pytest.param(CONV, "weights", {"type": "he", "gain": -1}, id="a negative gain"),
        pytest.param(CONV, "weights", {"type": "he", "mode": "fan"}, id="an unknown mode"),
        pytest.param(CONV, "weights", {"type": "he", "distribution": "cauchy"}, id="an unknown distribution"),
        pytest.param(CONV, "weights", {"type": "variance_scaling", "scale": 0}, id="a scale of zero"),
        pytest.param(CONV, "weights", "constant", id="constant without a value"),
        pytest.param(CONV, "weights", {"type": "truncated_normal", "low": 2}, id="a low above the default high"),
        pytest.param(CONV, "weights", {"type": "truncated_normal", "high": -3}, id="a high below the default low"),
        pytest.param(
            CONV, "weights", {"type": "truncated_normal", "low": 40, "high": 41}, id="limits far from the mean"
        ),
        pytest.param(CONV, "weights", {"type": "truncated_normal", "low": "x"}, id="a text for a limit"),
    ],
)
def test_initializers_that_do_not_fit_are_refused(
    operation: dict[str, Any], parameter: str, initializer: Any, golden: Golden
) -> None:
    named = {"name": "x", **operation, "initializers": {parameter: initializer}}
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"operations": [named]})
    (problem,) = caught.value.diagnostics
    assert problem.path.startswith(f"operations[0].initializers.{parameter}")
    golden(caught.value)
