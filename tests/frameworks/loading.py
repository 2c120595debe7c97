"""Helpers of the framework tests: build a file of a layout, and load it into a module."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

import paramgen

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Each compiled function runs once, so fast compilation matters more: 19 s instead of 53 s for the convolutions.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

Tensors = dict[str, NDArray[Any]]

# With random parameters, exchanging any two changes the output.
RANDOM = {"match": "*", "initializer": {"type": "gaussian", "std": 0.4}}


# The frameworks themselves warn.
FRAMEWORK_WARNINGS = pytest.mark.filterwarnings("ignore")


def build_tensors(folder: Path, layout: str, *operations: Mapping[str, Any], **head: Any) -> Tensors:
    """Build operations in a layout, and return the file's tensors."""
    spec = {"seed": 11, "overrides": [RANDOM], **head, "layout": layout, "operations": list(operations)}
    paramgen.build(spec, folder / f"{layout}.safetensors", device="cpu")
    return safetensors.numpy.load_file(folder / f"{layout}.safetensors")


def load_torch(module: Any, tensors: Tensors, prefix: str = "") -> Any:
    import torch

    own = {name.removeprefix(prefix): torch.from_numpy(array.copy()) for name, array in tensors.items()}
    module.load_state_dict(own, strict=True)
    return module.eval()


def load_keras(layer: Any, tensors: Tensors) -> Any:
    """Assign tensors by the paths of a layer's variables: each one once, and all of them."""
    paths = {weight.path.replace("/", "."): weight for weight in layer.weights}
    assert paths.keys() == tensors.keys()
    for name, weight in paths.items():
        assert tuple(weight.shape) == tensors[name].shape, name
        weight.assign(tensors[name])
    return layer


def flax_variables(tensors: Tensors) -> Any:
    from flax.traverse_util import unflatten_dict

    return unflatten_dict(tensors, sep=".")


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def random_inputs(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)
