"""Initializers against the frameworks' own: equal values, or for random ones the same distribution."""

from typing import Any

import numpy as np
import pytest
from loading import FRAMEWORK_WARNINGS
from numpy.typing import NDArray
from scipy.stats import ks_2samp

import paramgen

Array = NDArray[Any]
pytestmark = FRAMEWORK_WARNINGS
SHAPE = (300, 200)


def alike(ours: Array, theirs: Any) -> None:
    one, other = (np.asarray(values, np.float64).reshape(-1) for values in (ours, theirs))
    assert ks_2samp(one, other).pvalue > 1e-3
    assert one.std() == pytest.approx(other.std(), rel=0.02)


@pytest.mark.frameworks("jax", "keras")
@pytest.mark.parametrize("family", ["normal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling(family: str, mode: str) -> None:
    import jax
    import keras

    ours = paramgen.initialize(
        {"type": "variance_scaling", "scale": 1.7, "mode": mode, "distribution": family}, SHAPE, fan_in=300, fan_out=200
    )
    alike(ours, jax.nn.initializers.variance_scaling(1.7, mode, family)(jax.random.key(1), SHAPE))
    named = "untruncated_normal" if family == "normal" else family
    alike(ours, keras.initializers.VarianceScaling(1.7, mode, named, seed=2)(SHAPE))


@pytest.mark.frameworks("jax", "keras")
@pytest.mark.parametrize("name", ["glorot", "he", "lecun"])
@pytest.mark.parametrize("family", ["truncated_normal", "uniform"])
def test_named_initializers_equal_those_of_keras_and_jax(name: str, family: str) -> None:
    import jax
    import keras

    ours = paramgen.initialize({"type": name, "distribution": family}, SHAPE, fan_in=300, fan_out=200)
    kind = "uniform" if family == "uniform" else "normal"
    alike(ours, getattr(jax.nn.initializers, f"{name}_{kind}")()(jax.random.key(1), SHAPE))
    alike(ours, getattr(keras.initializers, f"{name.capitalize()}{kind.capitalize()}")(seed=2)(SHAPE))


@pytest.mark.frameworks("torch")
def test_initializers_of_torch() -> None:
    import torch

    torch.manual_seed(0)
    fill = lambda function, *args, **kw: function(torch.empty(SHAPE[::-1]), *args, **kw).numpy()  # noqa: E731
    fans = {"fan_in": 300, "fan_out": 200}
    init = torch.nn.init
    for ours, theirs in [
        ("glorot", fill(init.xavier_uniform_)),
        ({"type": "glorot", "gain": 5 / 3}, fill(init.xavier_uniform_, gain=init.calculate_gain("tanh"))),
        ({"type": "glorot", "distribution": "normal"}, fill(init.xavier_normal_)),
        ("he", fill(init.kaiming_normal_, nonlinearity="relu")),
        ({"type": "he", "mode": "fan_out"}, fill(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")),
        ({"type": "he", "distribution": "uniform"}, fill(init.kaiming_uniform_, nonlinearity="relu")),
        ({"type": "lecun", "distribution": "uniform"}, fill(init.kaiming_uniform_, nonlinearity="linear")),
        ({"type": "truncated_normal", "std": 0.5, "low": -2, "high": 4}, fill(init.trunc_normal_, 0, 0.5, -1, 2)),
    ]:
        alike(paramgen.initialize(ours, SHAPE, **fans), theirs)


@pytest.mark.frameworks("jax", "keras")
def test_keras_truncated_normal_is_not_widened() -> None:
    import keras

    alike(
        paramgen.initialize("truncated_normal", SHAPE, mean=0.3, std=0.05),
        keras.initializers.TruncatedNormal(0.3, 0.05, seed=1)(SHAPE),
    )


def convolution(initializer: Any, **fields: Any) -> Array:
    operation = {"name": "x", "type": "conv", "filter_size": [3, 5], **fields, "bias": False}
    spec = {"layout": "torch", "operations": [{**operation, "initializers": {"weights": initializer}}]}
    return paramgen.sample(spec)["x"]["weight"]  # type: ignore[no-any-return]


@pytest.mark.frameworks("torch")
def test_dirac_and_identity_are_those_of_torch() -> None:
    import torch

    ours = convolution("dirac", num_channels=4, num_filters=6)
    np.testing.assert_array_equal(ours, torch.nn.init.dirac_(torch.empty(6, 4, 3, 5)).numpy())
    ours = convolution("dirac", num_groups=2, num_channels_per_group=3, num_filters_per_group=4)
    np.testing.assert_array_equal(ours, torch.nn.init.dirac_(torch.empty(8, 3, 3, 5), groups=2).numpy())
    ours = paramgen.initialize("identity", [6, 9])
    np.testing.assert_array_equal(ours, torch.nn.init.eye_(torch.empty(6, 9)).numpy())


@pytest.mark.frameworks("jax")
def test_delta_orthogonal_has_its_matrix_where_jax_has_it() -> None:
    import jax

    operation = {"name": "x", "type": "conv", "filter_size": [3, 3], "num_channels": 5, "num_filters": 8}
    ours = paramgen.sample({"operations": [{**operation, "initializers": {"weights": "delta_orthogonal"}}]})["x"][
        "weights"
    ]
    theirs = np.asarray(jax.nn.initializers.delta_orthogonal()(jax.random.key(0), (3, 3, 5, 8)))
    np.testing.assert_array_equal(ours != 0, theirs != 0)
    for array in (ours, theirs):
        assert np.abs(array[1, 1] @ array[1, 1].T - np.eye(5)).max() < 1e-5
