"""Against PyTorch: its loader takes every dtype, its rounding is ours, its distributions agree with ours."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CONFIGS, FIRST_DTYPES, SMALL

import paramgen
from paramgen.dtypes import DTYPES

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="PyTorch is not installed (the torch extra)")
safetensors_torch = pytest.importorskip("safetensors.torch")

SPEC: dict[str, Any] = {
    "seed": 3,
    "operations": [
        {"name": "dense", "type": "fully_connected", "input_size": 500, "output_size": 300},
        {
            "name": "he",
            "type": "custom",
            "parameters": {"w": {"shape": [300, 500], "initializer": "he", "fan_in": 500}},
        },
        {"name": "lstm", "type": "lstm", "input_size": 10, "num_hidden_units": 20},
    ],
}


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_the_official_loader_takes_every_dtype(dtype: str, tmp_path: Path) -> None:
    paramgen.build({**SPEC, "dtype": dtype}, tmp_path / "p")
    loaded = safetensors_torch.load_file(tmp_path / "p")
    ours = paramgen.load(tmp_path / "p")
    assert sorted(loaded) == [
        "dense.bias",
        "dense.weights",
        "he.w",
        "lstm.bias",
        "lstm.input_weights",
        "lstm.recurrent_weights",
    ]
    for name, tensor in loaded.items():
        operation, parameter = name.split(".")
        array = ours[operation][parameter]
        assert tensor.dtype == getattr(torch, dtype)
        assert tuple(tensor.shape) == array.shape
        np.testing.assert_array_equal(tensor.to(torch.float64).numpy(), array.astype(np.float64))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_torch_loads_every_config(path: Path, tmp_path: Path) -> None:
    spec = paramgen.load_spec(path, variables=SMALL.get(path.stem))
    result = paramgen.build(spec, tmp_path / "p")
    loaded = safetensors_torch.load_file(tmp_path / "p")
    elements = sum(tensor.numel() for tensor in loaded.values())
    assert elements == result.total_parameters + paramgen.plan(spec).buffer_elements


def test_parameters_are_counted_as_torch_counts_them(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.BatchNorm2d(8), torch.nn.LSTM(6, 4))
    operations = [
        {"name": "0", "type": "conv", "filter_size": [5, 5], "num_channels": 3, "num_filters": 8},
        {"name": "1", "type": "batchnorm", "num_channels": 8},
        {"name": "2", "type": "lstm", "input_size": 6, "num_hidden_units": 4},
    ]
    spec = paramgen.load_spec({"operations": operations}, layout="torch")
    result = paramgen.build(spec, tmp_path / "p")
    model.load_state_dict(safetensors_torch.load_file(tmp_path / "p"))
    assert result.total_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert paramgen.plan(spec).buffer_elements == sum(buffer.numel() for buffer in model.buffers())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("std", [1e-3, 1.0, 30.0])
def test_narrow_types_round_as_torch_rounds(dtype: str, std: float) -> None:
    wide = paramgen.initialize("gaussian", [200_000], std=std)
    narrow = paramgen.initialize("gaussian", [200_000], std=std, dtype=dtype)
    rounded = torch.from_numpy(wide).to(getattr(torch, dtype))
    width = {1: np.uint8, 2: np.uint16}[narrow.dtype.itemsize]
    torchs = rounded.view({1: torch.uint8, 2: torch.int16}[narrow.dtype.itemsize]).numpy().view(width)
    np.testing.assert_array_equal(narrow.view(width), torchs)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("glorot", torch.nn.init.xavier_uniform_),
        ("he", lambda w: torch.nn.init.kaiming_normal_(w, mode="fan_in", nonlinearity="relu")),
    ],
    ids=["glorot", "he"],
)
def test_distributions_are_those_of_torch(ours: str, theirs: Any) -> None:
    torch.manual_seed(0)
    other = theirs(torch.empty(1000, 600)).double().numpy().ravel()
    drawn = paramgen.initialize(ours, [1000, 600], fan_in=600, fan_out=1000).astype(np.float64).ravel()
    assert drawn.std() == pytest.approx(other.std(), rel=0.005)
    assert abs(drawn.mean() - other.mean()) < 4 * other.std() / math.sqrt(300_000)
    quantiles = np.linspace(0.001, 0.999, 99)
    assert np.abs(np.quantile(drawn, quantiles) - np.quantile(other, quantiles)).max() < 0.03 * other.std()


def test_orthogonal_matrices_are_as_orthogonal_as_torchs() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.init.orthogonal_(torch.empty(200, 80)).double().numpy()
    drawn = paramgen.initialize("orthogonal", [200, 80]).astype(np.float64)

    def loss(q: Any) -> float:
        return float(np.abs(q.T @ q - np.eye(80)).max())

    assert loss(drawn) <= loss(theirs) + 1e-8


def test_flushing_of_subnormals_in_the_process_changes_no_byte() -> None:
    def subnormals() -> bytes:
        return paramgen.initialize("gaussian", [5000], std=1e-40).tobytes()  # type: ignore[no-any-return]

    usual = subnormals()
    assert torch.set_flush_denormal(True)
    try:
        assert subnormals() == usual
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_dtype_become_tensors(dtype: str, tmp_path: Path) -> None:
    discrete = {"type": "integers", "low": 1, "high": 1 if dtype == "bool" else 2}
    parameters = {
        "matrix": {"shape": [3, 4], "initializer": "ones" if dtype == "complex64" else discrete},
        "scalar": {"shape": [], "initializer": "ones"},
    }
    spec = {"dtype": dtype, "operations": [{"name": "c", "type": "custom", "parameters": parameters}]}
    paramgen.build(spec, tmp_path / "p")
    expected = safetensors_torch.load_file(tmp_path / "p")
    found = paramgen.to_torch(paramgen.sample(spec, flat=True))
    assert found.keys() == expected.keys() == {"c.matrix", "c.scalar"}
    assert found["c.matrix"].dtype == getattr(torch, dtype)
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (expected[name].dtype, expected[name].shape)
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), expected[name].reshape(-1).view(torch.uint8))


def test_sampled_parameters_are_a_state_dict() -> None:
    """Run the example of to_torch in docs/python.md."""
    operations = [
        {"name": "0", "type": "fully_connected", "input_size": 4, "output_size": 3},
        {"name": "1", "type": "batchnorm", "num_channels": 3},
    ]
    spec = {"operations": operations, "layout": "torch", "dtype": "bfloat16"}
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).to(torch.bfloat16)
    state = paramgen.to_torch(paramgen.sample(spec, flat=True))
    model.load_state_dict(state)
    assert torch.equal(model[0].weight, state["0.weight"])
    assert state["1.num_batches_tracked"].shape == ()


def test_tensors_keep_structure_values_and_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = paramgen.to_torch(
        {"a": [array, (array.T, array.astype(">f4"))], "b": np.float64(2), "c": np.zeros((0, 2))}
    )
    a, (transposed, swapped) = tensors["a"]
    array[0, 0] = 7
    assert a[0, 0] == 7
    assert transposed.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert swapped.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (tensors["b"].item(), tensors["b"].dtype, tensors["c"].shape) == (2, torch.float64, (0, 2))


def test_read_only_arrays_are_copied() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    paramgen.to_torch(array)[0] = 1
    assert array[0] == 0


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1.0], "params.x.0: must be a NumPy or CuPy array, got float"),
        (np.array(["a"]), "x: must have a dtype of PyTorch, got str32"),
    ],
    ids=["no array", "texts"],
)
def test_values_that_cannot_become_tensors_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.to_torch({"params": {"x": value}} if isinstance(value, list) else {"x": value})
    assert str(caught.value) == problem
