"""The table of dtypes, and what initializers may put into integers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KERNELS
from golden import Golden

import paramgen
from paramgen import dtypes
from paramgen.catalog.axes import rearrange
from paramgen.catalog.operations import FullyConnected
from paramgen.planning.resolve import name_parameter, resolve_parameter
from paramgen.planning.tensors import Tensor
from paramgen.sampling.sampler import Sampler
from paramgen.storage.reader import TensorFile

INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@pytest.fixture
def integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the integer dtypes drawable."""
    for name in INTEGERS:
        dtype = dataclasses.replace(dtypes.BY_NAME[name], drawable=True)
        monkeypatch.setitem(dtypes.BY_NAME, name, dtype)
        monkeypatch.setitem(dtypes.DTYPES, name, dtype)


def test_parameters_have_the_drawable_dtypes(golden: Golden) -> None:
    assert list(dtypes.DTYPES) == ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
    for dtype in dtypes.DTYPES.values():
        assert dtype.smallest == -dtype.largest < 0
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"dtype": "int64", "operations": [{"name": "p", "type": "prelu"}]})
    golden(caught.value)


@pytest.mark.parametrize("name", INTEGERS)
def test_ranges_of_integers(name: str) -> None:
    dtype = dtypes.BY_NAME[name]
    assert dtype.is_integer and not dtype.drawable
    limits = (0, 1) if name == "bool" else (np.iinfo(name).min, np.iinfo(name).max)
    assert (dtype.smallest, dtype.largest) == limits


def parameter(dtype: str, initializer: Any) -> dict[str, Any]:
    weights = {"shape": [4, 4], "fan_in": 4, "fan_out": 4, "initializer": initializer}
    operation = {"name": "c", "type": "custom", "parameters": {"w": weights}}
    return {"dtype": dtype, "operations": [operation]}


@pytest.mark.parametrize(
    ("dtype", "initializer"),
    [
        ("int32", {"type": "constant", "value": 0.5}),
        ("int8", {"type": "uniform", "bound": 4}),
        ("int64", "gaussian"),
        ("int64", {"type": "constant", "value": 2**53 + 1}),
        ("int32", "truncated_normal"),
        ("int32", "orthogonal"),
        ("int32", "he"),
        ("int8", {"type": "identity", "gain": 1.5}),
        ("int8", {"type": "constant", "value": 128}),
        ("int8", {"type": "constant", "value": -129}),
        ("uint8", {"type": "identity", "gain": -1}),
        ("bool", {"type": "constant", "value": 2}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("integers")
def test_integers_refuse_what_they_cannot_hold(dtype: str, initializer: Any, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec(parameter(dtype, initializer))
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].parameters.w.initializer"]
    golden(caught.value)


@pytest.mark.parametrize(
    ("dtype", "initializer", "expected"),
    [
        ("bool", "ones", np.ones((4, 4))),
        ("int8", {"type": "constant", "value": -128}, np.full((4, 4), -128)),
        ("uint64", {"type": "constant", "value": 2**53 - 1}, np.full((4, 4), 2**53 - 1)),
        ("int16", {"type": "identity", "gain": -3}, -3 * np.eye(4)),
        ("int32", "zeros", np.zeros((4, 4))),
    ],
    ids=str,
)
@pytest.mark.usefixtures("integers")
def test_integers_hold_integers(dtype: str, initializer: Any, expected: Any, tmp_path: Path) -> None:
    paramgen.build(parameter(dtype, initializer), tmp_path / "x")
    with TensorFile(tmp_path / "x") as file:
        (entry,) = file.entries
        assert entry.dtype.name == dtype
        np.testing.assert_array_equal(file.read(entry, 0, 16).reshape(4, 4), expected)


@pytest.mark.parametrize("kernels", KERNELS, ids=lambda kernels: kernels.name)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_in_regions(kernels: Any, dtype: str) -> None:
    """Draw a transposed identity matrix from its third element on."""
    dense = FullyConnected(name="f", type="fully_connected", input_size=3, output_size=5)
    definition = next(dense.parameter_defs())
    assert definition.target.axes
    (rearrangement,) = rearrange(["w = weights i o"], {"weights": definition.target.axes})
    initializer = paramgen.catalog.initializers.Identity(type="identity")
    source = name_parameter("f.weights", resolve_parameter(definition.target, initializer, dtype))
    tensor = Tensor("w", rearrangement, (source,))
    with kernels.current():
        out = kernels.empty(tensor.dtype.nbytes(13))
        Sampler(0).draw(kernels, tensor, 2, 15, out)
    np.testing.assert_array_equal(out.view(dtype), np.eye(3, 5).reshape(-1)[2:])


def test_counters_of_layouts_are_integers(tmp_path: Path) -> None:
    norm = {"name": "n", "type": "batchnorm", "num_channels": 3}
    paramgen.build({"layout": "torch", "operations": [norm]}, tmp_path / "x")
    with TensorFile(tmp_path / "x") as file:
        (counter,) = (entry for entry in file.entries if entry.name == "n.num_batches_tracked")
        assert (counter.dtype.name, counter.shape) == ("int64", ())
        assert file.read(counter, 0, 1) == 0
