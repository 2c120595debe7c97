"""Weight normalization: the magnitudes of imported specs are norms, and what no operation describes says so."""

from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import plan_text

from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.modules import import_module
from paramgen.importing.writing import write_spec
from paramgen.language.yaml_reader import from_yaml

PARAMETRIZED = "parametrizations.weight.original0", "parametrizations.weight.original1"
LEGACY = "weight_g", "weight_v"


def list_module(
    path: str, names: tuple[str, str], magnitude: tuple[int, ...], direction: tuple[int, ...], bias: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's tensors, in PyTorch's order."""
    own = {} if bias is None else {f"{path}.bias": (bias,)}
    return {**own, f"{path}.{names[0]}": magnitude, f"{path}.{names[1]}": direction}


MODULES = {
    "conv": list_module("a.conv", PARAMETRIZED, (6, 1, 1), (6, 4, 3), 6),
    "conv without bias, legacy, in a plane": list_module("a.conv", LEGACY, (1, 4, 1, 1), (6, 4, 3, 3)),
    "kernel": list_module("a.conv", PARAMETRIZED, (1, 1, 3), (6, 4, 3)),
    "one magnitude": list_module("a.conv", LEGACY, (), (6, 4, 3)),
    "transposed": list_module("a.up", PARAMETRIZED, (8, 1, 1), (8, 4, 16), 4),
    "linear": list_module("head", LEGACY, (10, 1), (10, 64)),
    "repeated": {
        name: shape
        for index in range(3)
        for name, shape in list_module(f"layers.{index}.conv", PARAMETRIZED, (64, 1, 1), (64, 64, 3), 64).items()
    },
    "repeated modules": {
        name: shape
        for index in range(3)
        for name, shape in list_module(f"convs.{index}", PARAMETRIZED, (64, 1, 1), (64, 64, 3)).items()
    },
    "repeated modules with a bias": {
        name: shape
        for index in range(3)
        for name, shape in list_module(f"net.convs.{index}", PARAMETRIZED, (64, 1, 1), (64, 64, 3), 64).items()
    },
}


def make_model(tensors: dict[str, tuple[int, ...]]) -> ImportedModel:
    return ImportedModel("m", "m", tuple(ImportedTensor(name, "float32", shape) for name, shape in tensors.items()))


@pytest.mark.parametrize("name", MODULES)
def test_operations_describe_magnitudes(name: str, golden: Golden) -> None:
    text = write_spec(make_model(MODULES[name]))
    planned = plan_text(text).tensors
    assert {tensor.name: tensor.shape for tensor in planned} == MODULES[name]
    assert [tensor.name for tensor in planned] == [*MODULES[name]]
    magnitudes = [tensor for tensor in planned if tensor.name.endswith((PARAMETRIZED[0], LEGACY[0]))]
    assert magnitudes and {tensor.sources[0].resolved.initializer.type for tensor in magnitudes} == {"norm"}
    golden(text.partition("paramgen: 1\n")[2])


APPROXIMATE = {
    "another parameter": list_module("rnn", ("weight_hh_l0_g", "weight_hh_l0_v"), (8, 1), (8, 2)),
    "a direction of another shape": list_module("a.conv", LEGACY, (5, 1, 1), (6, 4, 3)),
    "two axes": list_module("a.conv", LEGACY, (6, 4, 1), (6, 4, 3)),
    "kernels in a plane": list_module("a.conv", LEGACY, (1, 1, 3, 1), (6, 4, 3, 3)),
    "not in a module": {"weight_g": (6, 1, 1), "weight_v": (6, 4, 3)},
    "groups of a transposed one": list_module("a.up", LEGACY, (8, 1, 1), (8, 2, 3), 16),
}


@pytest.mark.parametrize("name", APPROXIMATE)
def test_other_forms_are_kept(name: str) -> None:
    tensors = APPROXIMATE[name]
    text = write_spec(make_model(tensors))
    assert {tensor.name: tensor.shape for tensor in plan_text(text).tensors} == tensors
    is_known = name in ("another parameter", "groups of a transposed one")
    assert ("weight_norm" in text) is (name == "groups of a transposed one")
    assert ("# norms of a direction, approximated" in text) is not is_known


@pytest.mark.frameworks("torch")
def test_modules_have_the_norms_of_their_directions() -> None:
    import paramgen

    model = import_module(_make_modules)
    source = from_yaml(write_spec(model).encode(), "m").data
    assert isinstance(source, dict)
    drawn: Any = paramgen.sample(source, flat=True)
    assert [*drawn] == [tensor.name for tensor in model.tensors]
    for path, axes in {"0.conv": (1, 2), "0.up": (1, 2), "0.head": (1,)}.items():
        magnitude, direction = (drawn[f"{path}.{name}"] for name in PARAMETRIZED)
        np.testing.assert_allclose(np.sqrt((direction**2).sum(axis=axes, keepdims=True)), magnitude, rtol=1e-6)


def _make_modules() -> Any:
    from torch import nn

    norm = nn.utils.parametrizations.weight_norm
    modules = {
        "conv": norm(nn.Conv1d(4, 6, 3)),
        "up": norm(nn.ConvTranspose1d(8, 4, 16)),
        "head": norm(nn.Linear(64, 10, bias=False)),
    }
    return nn.Sequential(nn.ModuleDict(modules))
