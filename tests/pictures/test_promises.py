"""Promises of a spec against drawn values: the share of each bar, for each initializer and dtype."""

from typing import Any

import numpy as np
import pytest

import paramgen
from paramgen.analysis.bins import RunningBins
from paramgen.pictures.promises import expected_shares, mix, promise_of

INITIALIZERS = {
    "normal": {"type": "gaussian", "std": 0.02, "mean": 0.5},
    "truncated": {"type": "truncated_normal", "std": 0.02},
    "one-sided": {"type": "truncated_normal", "std": 1.0, "low": 3.0, "high": 9.0},
    "uniform": {"type": "uniform", "bound": 0.1},
    "interval": {"type": "uniform", "low": 0.1, "high": 3},
    "ones": "ones",
    "constant": {"type": "constant", "value": 0.3},
    "orthogonal": "orthogonal",
    "gain": {"type": "orthogonal", "gain": 2},
    "identity": "identity",
    "log_uniform": {"type": "log_uniform", "low": 0.001, "high": 1},
    "ssm_dt_bias": {"type": "ssm_dt_bias", "floor": 0.01},
    "integers": {"type": "integers", "low": 0, "high": 10},
    "many integers": {"type": "integers", "low": -1000, "high": 1000},
    "bernoulli": {"type": "bernoulli", "p": 0.2},
    "few values": {"type": "values", "values": [1, 2, 2.5]},
}
SHAPE = {"few values": [256, 3]}


def compare(plan_tensor: Any, values: Any) -> None:
    """Compare the shares of a tensor's bars with the promise, within five standard errors."""
    bins = RunningBins()
    bins.add(np.ravel(values))
    bars = bins.bars(40)
    promise = promise_of(plan_tensor)
    assert promise is not None
    expected = np.array(expected_shares(promise, bars.edges, plan_tensor.dtype))
    total = sum(bars.counts)
    errors = np.sqrt(expected * (1 - expected) / total) + 3 / total
    assert np.all(np.abs(np.array(bars.counts) / total - expected) <= 5 * errors)
    assert 1 - 10 / total - 0.02 <= expected.sum() <= 1 + 1e-9


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn"])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_bars_of_drawn_values_are_as_promised(name: str, dtype: str) -> None:
    if name == "many integers" and dtype != "float32":
        dtype = "int16"
    shape = SHAPE.get(name, [256, 192])
    tensor = {"shape": shape, "fan_in": 256, "fan_out": 192, "initializer": INITIALIZERS[name]}
    spec = paramgen.load_spec(
        {"dtype": dtype, "operations": [{"name": "a", "type": "custom", "parameters": {"w": tensor}}]}
    )
    (planned,) = spec.plan.tensors
    compare(planned, paramgen.sample(spec, flat=True)["a.w"])


def test_joined_parameters_and_padding_are_mixtures() -> None:
    spec = paramgen.load_spec(
        {
            "layout": "torch",
            "operations": [
                {"name": "lstm", "type": "lstm", "input_size": 64, "num_hidden_units": 64},
                {
                    "name": "embed",
                    "type": "embedding",
                    "vocabulary_size": 20,
                    "embedding_dimension": 512,
                    "padding_index": 3,
                },
                {"name": "norm", "type": "batchnorm", "num_channels": 8},
            ],
        }
    )
    arrays = paramgen.sample(spec, flat=True)
    biases = [tensor for tensor in spec.plan.tensors if "bias" in tensor.name or tensor.name.startswith(("e", "n"))]
    assert len(biases) >= 5
    for tensor in biases:
        compare(tensor, arrays[tensor.name])


def test_values_in_closed_form_only() -> None:
    tensor = {"shape": [64, 32], "initializer": {"type": "sinusoidal", "arrangement": "interleaved"}}
    spec = paramgen.load_spec({"operations": [{"name": "a", "type": "custom", "parameters": {"w": tensor}}]})
    assert promise_of(spec.plan.tensors[0]) is None


def test_a_mixture_has_the_weights_of_its_parts() -> None:
    parameters = {"zeros": {"shape": [3], "initializer": "zeros"}, "ones": {"shape": [1], "initializer": "ones"}}
    spec = paramgen.load_spec({"operations": [{"name": "a", "type": "custom", "parameters": parameters}]})
    promises = [promise_of(tensor) or () for tensor in spec.plan.tensors]
    shares = expected_shares(mix(zip((0.75, 0.25), promises, strict=True)), [-1, 0.5, 2], spec.plan.tensors[0].dtype)
    assert shares == [0.75, 0.25]
