"""Imports of Keras models and Flax modules: their tensors, with the distributions of several of their own seeds.

docs/python.md shows `import_model`.
"""

from typing import Any

import numpy as np
import pytest

import paramgen
from paramgen.errors import UsageError
from paramgen.importing.flax_model import import_flax
from paramgen.importing.keras_model import import_keras
from paramgen.importing.model import ImportedModel

SEEDS = 6


def assert_agreement(model: ImportedModel, spec: paramgen.Spec, own: list[dict[str, Any]]) -> None:
    """Compare shapes, means and stds of a spec with those of several initializations; constants must be equal."""
    sampled = {name: np.asarray(array) for name, array in paramgen.sample(spec, flat=True).items()}
    assert [tensor.name for tensor in model.tensors] == list(sampled)
    assert {name: array.shape for name, array in sampled.items()} == {name: a.shape for name, a in own[0].items()}
    for tensor in model.tensors:
        name, array = tensor.name, sampled[tensor.name]
        assert tensor.initializer is not None, name
        theirs = np.concatenate([np.ravel(other[name]) for other in own])
        if theirs.std() == 0 or tensor.initializer["type"] == "formula":
            assert np.array_equal(array, own[0][name]), name
            continue
        error = 5 * theirs.std() / np.sqrt(array.size)
        assert abs(array.mean() - theirs.mean()) < error and abs(array.std() - theirs.std()) < error, name
        assert abs(array).max() < 1.3 * abs(theirs).max(), name


@pytest.mark.frameworks("keras")
def test_a_keras_model_has_the_initializers_of_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    import keras

    def make() -> Any:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.Conv2D(24, 3, kernel_initializer="he_normal"),
                layers.DepthwiseConv2D(3, depthwise_initializer="lecun_uniform"),
                layers.BatchNormalization(),
                layers.Reshape((144, 24)),
                layers.LSTM(20),
                layers.Dense(40, kernel_initializer=keras.initializers.RandomNormal(stddev=0.3)),
                layers.Dense(30, bias_initializer=keras.initializers.Constant(0.5)),
            ]
        )

    def values(model: Any) -> dict[str, Any]:
        prefix = f"{model.name}/"
        weights = [
            w
            for layer in model._flatten_layers()
            for w in [*layer._trainable_variables, *layer._non_trainable_variables]
        ]
        return {w.path.removeprefix(prefix).replace("/", "."): np.asarray(w) for w in weights}

    own = []
    for _ in range(SEEDS):
        keras.backend.clear_session()
        own.append(values(make()))
    keras.backend.clear_session()
    model = make()
    assert_agreement(import_keras(model), paramgen.import_model(model), own)


@pytest.mark.frameworks("flax", "jax")
def test_a_flax_module_is_applied_abstractly() -> None:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    from flax.traverse_util import flatten_dict

    init = jax.nn.initializers

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(8, (3, 3), kernel_init=init.he_normal())(x)
            x = nn.BatchNorm(use_running_average=False)(x)
            x = x.reshape((x.shape[0], -1))
            x = nn.Dense(64, kernel_init=init.glorot_uniform(), bias_init=init.constant(0.5))(x)
            x = nn.Dense(64, kernel_init=init.truncated_normal(0.1))(x)
            x = nn.Dense(64, kernel_init=init.orthogonal(2.0), bias_init=init.uniform(0.2))(x)
            return nn.Embed(50, 30)(jnp.zeros((3,), "int32")), x

    inputs = [jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")]
    own = []
    for seed in range(SEEDS):
        variables = Net().init(jax.random.key(seed), jnp.ones((1, 8, 8, 3)))
        own.append({".".join(path[1:]): np.asarray(value) for path, value in flatten_dict(variables).items()})
    assert_agreement(import_flax(Net(), inputs), paramgen.import_model(Net(), inputs=inputs), own)
    with pytest.raises(UsageError, match="Net: a Flax module needs inputs"):
        paramgen.import_model(Net())
    with pytest.raises(UsageError, match="Net: cannot be applied to the inputs"):
        paramgen.import_model(Net(), inputs=[])
