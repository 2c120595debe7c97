"""Every dtype in a file, and what initializers may put into each."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import COMPILED_BACKENDS, ROOT, Run

import paramgen
from paramgen import dtypes
from paramgen.catalog.axes import rearrange
from paramgen.catalog.operations import FullyConnected
from paramgen.planning.tensors import Tensor, as_tensor, resolve_parameter
from paramgen.sampling.sampler import Sampler
from paramgen.storage.reader import TensorFile

INTEGERS = ("uint64", "int64", "uint32", "int32", "uint16", "int16", "uint8", "int8", "bool")
FLOATS = (
    *("float64", "float32", "float16", "bfloat16"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)


def test_parameters_have_every_dtype_of_whole_bytes() -> None:
    assert tuple(dtypes.DTYPES) == (*FLOATS, "complex64", *INTEGERS)
    assert {dtype.name for dtype in dtypes.FILE_DTYPES} - dtypes.DTYPES.keys() == {"f4", "f6_e2m3", "f6_e3m2"}
    assert all(dtype.is_integer == (name in INTEGERS) for name, dtype in dtypes.DTYPES.items())


@pytest.mark.parametrize("name", ["float4_e2m1fn", "F4", "float6_e3m2fn", "torch.int64", "np.float16", "long", "i8"])
def test_unknown_dtypes_are_refused(name: str, golden: Golden) -> None:
    """Test that types narrower than a byte are refused with the reason, and other words with a suggestion."""
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"dtype": name, "operations": [{"name": "p", "type": "prelu"}]})
    golden(caught.value)


def test_the_option_gives_the_same_hints(run: Run, tiny: Path) -> None:
    for name, hint in (("F4", "are packed, so use uint8"), ("torch.int64", "did you mean int64?")):
        done = run("plan", tiny, "--dtype", name)
        assert done.returncode == 2
        assert hint in " ".join(done.stderr.replace("│", "").split())


def test_every_field_for_a_dtype_is_applied(tmp_path: Path) -> None:
    """Test the dtype of the spec, an operation, a parameter and an override, and files that the official parser reads."""
    parameters = {
        "a": {"shape": [3], "initializer": "ones"},
        "b": {"shape": [3], "dtype": "uint16", "initializer": "ones"},
        "c": {"shape": [3], "initializer": "ones"},
    }
    spec = {
        "dtype": "int8",
        "operations": [
            {"name": "x", "type": "custom", "dtype": "float8_e8m0fnu", "parameters": parameters},
            {"name": "p", "type": "prelu", "initializers": {"alpha": "zeros"}},
        ],
        "overrides": [{"match": "x.c", "dtype": "complex64"}],
    }
    found = {tensor.name: tensor.dtype.name for tensor in paramgen.plan(spec).tensors}
    assert found == {"x.a": "float8_e8m0fnu", "x.b": "uint16", "x.c": "complex64", "p.alpha": "int8"}
    paramgen.build(spec, tmp_path / "x")
    with TensorFile(tmp_path / "x") as file:
        assert {entry.name: entry.dtype.name for entry in file.entries} == found
        assert all((file.read(entry, 0, entry.size) == (entry.name != "p.alpha")).all() for entry in file.entries)


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
        ("int8", {"type": "integers", "low": 0, "high": 128}),
        ("uint64", {"type": "integers", "low": -1, "high": 1}),
        ("int64", {"type": "integers", "low": -(2**63), "high": 2**64 - 1}),
        ("bfloat16", {"type": "integers", "low": -257, "high": 0}),
        ("float8_e4m3fn", {"type": "integers", "low": 0, "high": 17}),
        ("float64", {"type": "integers", "low": 0, "high": 2**53 + 1}),
        ("complex64", {"type": "integers", "low": 0, "high": 1}),
        ("complex64", "bernoulli"),
        ("complex64", "orthogonal"),
        ("float8_e8m0fnu", "zeros"),
        ("float8_e8m0fnu", "bernoulli"),
        ("float8_e8m0fnu", "identity"),
        ("float8_e8m0fnu", "he"),
        ("float8_e8m0fnu", "orthogonal"),
        ("float8_e8m0fnu", {"type": "uniform", "bound": 1}),
        ("float8_e8m0fnu", {"type": "constant", "value": -1}),
        ("float8_e8m0fnu", {"type": "constant", "value": 2.0**-128}),
        ("float8_e8m0fnu", {"type": "truncated_normal", "mean": 2.0, "std": 1.0}),
        ("float8_e8m0fnu", {"type": "integers", "low": 1, "high": 3}),
        ("float8_e4m3fnuz", {"type": "constant", "value": 241}),
        ("float8_e5m2fnuz", {"type": "uniform", "bound": 57345}),
    ],
    ids=str,
)
def test_a_dtype_refuses_what_it_cannot_hold(dtype: str, initializer: Any, golden: Golden) -> None:
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
        ("uint64", {"type": "integers", "low": 2**64 - 1, "high": 2**64 - 1}, np.full((4, 4), 2**64 - 1, np.uint64)),
        ("int16", {"type": "identity", "gain": -3}, -3 * np.eye(4)),
        ("int32", "zeros", np.zeros((4, 4))),
        ("complex64", {"type": "constant", "value": -2}, np.full((4, 4), -2 + 0j)),
        ("float8_e8m0fnu", {"type": "constant", "value": 3}, np.full((4, 4), 4)),
        ("float8_e8m0fnu", {"type": "constant", "value": 2.0**-127}, np.full((4, 4), 2.0**-127)),
        ("float8_e4m3fnuz", {"type": "constant", "value": 240}, np.full((4, 4), 240)),
        ("float8_e5m2fnuz", {"type": "identity", "gain": -0.75}, -0.75 * np.eye(4)),
    ],
    ids=str,
)
def test_a_dtype_holds_exact_values(dtype: str, initializer: Any, expected: Any, tmp_path: Path) -> None:
    paramgen.build(parameter(dtype, initializer), tmp_path / "x")
    with TensorFile(tmp_path / "x") as file:
        (entry,) = file.entries
        assert entry.dtype.name == dtype
        np.testing.assert_array_equal(file.read(entry, 0, 16).reshape(4, 4), expected)


def test_powers_of_two_of_a_normal_distribution_are_positive() -> None:
    initializer = {"type": "gaussian", "mean": 7.0, "std": 1.0}
    found = paramgen.initialize(initializer, [100_000], name="w", dtype="float8_e8m0fnu").astype(np.float64)
    wide = paramgen.initialize(initializer, [100_000], name="w")
    np.testing.assert_array_equal(found, np.exp2(np.floor(np.log2(wide / 0.75))))


def test_dtypes_without_a_negative_zero_get_none() -> None:
    initializer = {"type": "gaussian", "std": 1e-3}
    for dtype in ("float8_e4m3fnuz", "float8_e5m2fnuz"):
        codes = paramgen.initialize(initializer, [10_000], name="w", dtype=dtype).view(np.uint8)
        assert (codes == 0).any() and (codes > 0x80).any() and not (codes == 0x80).any()


@pytest.mark.parametrize("kernels", COMPILED_BACKENDS, ids=lambda kernels: kernels.name)
@pytest.mark.parametrize("dtype", [*INTEGERS, "complex64"])
def test_constants_in_regions(kernels: Any, dtype: str) -> None:
    """Draw a transposed identity matrix from its third element on."""
    dense = FullyConnected(name="f", type="fully_connected", input_size=3, output_size=5)
    definition = next(dense.parameter_defs())
    assert definition.traits.axes
    (rearrangement,) = rearrange(["w = weights i o"], {"weights": definition.traits.axes})
    initializer = paramgen.catalog.initializers.Identity(type="identity")
    source = as_tensor("f.weights", resolve_parameter(definition.traits, initializer, dtype)).sources[0]
    tensor = Tensor("w", rearrangement, (source,))
    with kernels.activate():
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


def test_buffers_of_layouts_are_checked(golden: Golden) -> None:
    norm = {"name": "n", "type": "batchnorm", "num_channels": 3, "initializers": {"offset": "ones"}}
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"dtype": "float8_e8m0fnu", "layout": "torch", "operations": [norm]})
    golden(caught.value)


def test_plan_and_inspect_show_every_dtype(run: Run, tmp_path: Path) -> None:
    config = ROOT / "configs" / "dtypes.yaml"
    plan = run("plan", config, "--flat").stdout
    assert "integers -100 … 27" in plan and "1 with probability 0.75, else 0" in plan
    paramgen.build(config, tmp_path / "x")
    tensors = json.loads(run("inspect", tmp_path / "x", "--stats", "--json").stdout)["tensors"]
    assert {tensor["dtype"] for tensor in tensors} == set(dtypes.DTYPES)
    loaded = paramgen.load(tmp_path / "x")
    for tensor in tensors:
        group, name = tensor["name"].split(".")
        array, found = loaded[group][name], tensor["stats"]
        assert array.dtype == dtypes.DTYPES[tensor["dtype"]].numpy_dtype()
        if tensor["dtype"] == "complex64":
            assert found is None
            continue
        wide = array.astype(np.float64)
        assert (found["min"], found["max"], found["zeros"]) == (wide.min(), wide.max(), (wide == 0).sum())
        assert found["mean"] == pytest.approx(wide.mean(), rel=1e-12)
