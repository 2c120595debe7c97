"""Layouts in plans and files: names, buffers, joined tensors, unsupported operations.

Tests in tests/frameworks load the tensors into real modules.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from golden import Golden
from helpers import CONFIGS, FIRST_DTYPES, SMALL, plan_operations
from numpy.typing import NDArray
from pydantic import Field

import paramgen
import paramgen.storage.reader
from paramgen import engine
from paramgen.catalog.frameworks import CONVENTION_NAMES, FRAMEWORKS, LAYOUT_NAMES
from paramgen.catalog.frameworks.tables import CONVENTIONS, LAYOUTS
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, ParameterDef, StandardOperation
from paramgen.catalog.operations.base import define_weights

Array = NDArray[Any]
NORM = {"name": "n", "type": "batchnorm", "num_channels": 3}
LSTM = {"name": "l", "type": "lstm", "input_size": 5, "num_hidden_units": 4}
GRU = {"name": "g", "type": "gru", "input_size": 5, "num_hidden_units": 4}
ATTENTION = {"name": "a", "type": "multihead_attention", "input_size": 6, "num_heads": 2}
CONV = {"name": "c", "type": "conv", "filter_size": [3, 2], "num_channels": 4, "num_filters": 5}


def names(*operations: dict[str, Any], **head: Any) -> dict[str, list[int]]:
    return {tensor["name"]: tensor["shape"] for tensor in plan_operations(*operations, **head)}


def test_the_names_of_layouts_are_in_one_place() -> None:
    assert tuple(LAYOUTS) == LAYOUT_NAMES
    assert tuple(CONVENTIONS) == CONVENTION_NAMES


def test_names_and_shapes() -> None:
    assert names(NORM, CONV, layout="torch") == {
        "n.weight": [3],
        "n.bias": [3],
        "n.running_mean": [3],
        "n.running_var": [3],
        "n.num_batches_tracked": [],
        "c.weight": [5, 4, 3, 2],
        "c.bias": [5],
    }
    assert names(NORM, CONV, layout="keras") == {
        "n.gamma": [3],
        "n.beta": [3],
        "n.moving_mean": [3],
        "n.moving_variance": [3],
        "c.kernel": [3, 2, 4, 5],
        "c.bias": [5],
    }
    assert names(NORM, CONV, layout="flax") == {
        "params.n.scale": [3],
        "params.n.bias": [3],
        "batch_stats.n.mean": [3],
        "batch_stats.n.var": [3],
        "params.c.kernel": [3, 2, 4, 5],
        "params.c.bias": [5],
    }


def test_names_and_shapes_of_weight_norm() -> None:
    dense = {"name": "d", "type": "fully_connected", "input_size": 3, "output_size": 2, "bias": False}
    grouped = {
        "name": "c",
        "type": "conv",
        "filter_size": [3, 2],
        "bias": False,
        "num_groups": 2,
        "num_channels_per_group": 4,
        "num_filters_per_group": 5,
    }
    filters, channels, none = ({"weight_norm": {"axis": axis}} for axis in ("filters", "channels", "none"))
    legacy = {"weight_norm": {"axis": "inputs", "style": "legacy"}}
    direction = {"c.parametrizations.weight.original1": [10, 4, 3, 2]}
    assert names({**grouped, **filters}, layout="torch") == {
        "c.parametrizations.weight.original0": [10, 1, 1, 1],
        **direction,
    }
    assert names({**grouped, **channels}, {**dense, **legacy}, layout="torch") == {
        "c.parametrizations.weight.original0": [1, 4, 1, 1],
        **direction,
        "d.weight_g": [1, 3],
        "d.weight_v": [2, 3],
    }
    assert names({**dense, **none}, layout="torch") == {
        "d.parametrizations.weight.original0": [],
        "d.parametrizations.weight.original1": [2, 3],
    }


def test_buffers_have_no_canonical_name() -> None:
    tensors = {tensor["name"]: tensor for tensor in plan_operations(NORM, layout="torch", dtype="bfloat16")}
    mean, counter = tensors["n.running_mean"], tensors["n.num_batches_tracked"]
    assert (mean["canonical_name"], mean["dtype"], mean["fan_in"]) == (None, "bfloat16", None)
    assert mean["initializer"] == {"type": "zeros"}
    assert tensors["n.running_var"]["distribution"] == {"type": "constant", "value": 1.0}
    assert (counter["dtype"], counter["bytes"], counter["canonical_name"]) == ("int64", 8, None)
    assert tensors["n.weight"]["canonical_name"] == "n.scale"


def test_joined_tensors_name_all_their_parts() -> None:
    tensors = {tensor["name"]: tensor for tensor in plan_operations(ATTENTION, layout="torch")}
    joined = tensors["a.in_proj_weight"]
    assert joined["canonical_name"] == "a.query_weights + a.key_weights + a.value_weights"
    assert joined["initializer"] == {"type": "glorot"}
    assert joined["distribution"]["type"] == "uniform"
    overrides = [{"match": "a.key_weights", "initializer": {"type": "constant", "value": 2}}]
    joined = plan_operations(ATTENTION, layout="torch", overrides=overrides)[0]
    assert joined["initializer"]["type"] == joined["distribution"]["type"] == "joined"
    assert [part["type"] for part in joined["initializer"]["parts"]] == ["glorot", "constant", "glorot"]
    assert joined["distribution"]["parts"][1] == {"type": "constant", "value": 2.0}


def test_zeros_that_a_layout_adds_are_reported() -> None:
    overrides = [{"match": "g.bias", "initializer": {"type": "constant", "value": 2}}]
    bias = {tensor["name"]: tensor for tensor in plan_operations(GRU, layout="keras", overrides=overrides)}[
        "g.gru_cell.bias"
    ]
    assert bias["canonical_name"] == "g.bias"
    assert bias["distribution"]["parts"] == [{"type": "constant", "value": 2.0}, {"type": "constant", "value": 0.0}]


def test_buffers_have_the_dtype_of_the_first_parameter() -> None:
    norm = {"type": "batchnorm", "num_channels": 3}
    for parameter, of_buffers in (("scale", "float32"), ("offset", "float16")):
        overrides = [{"match": f"a.{parameter}", "dtype": "float16"}]
        for layout, mean in (("torch", "a.running_mean"), ("keras", "a.moving_mean"), ("flax", "batch_stats.a.mean")):
            dtypes = {
                tensor["name"]: tensor["dtype"] for tensor in plan_operations(norm, layout=layout, overrides=overrides)
            }
            assert dtypes[mean] == of_buffers
    bias = [{"match": "g.bias", "dtype": "float16"}]
    dtypes = {tensor["name"]: tensor["dtype"] for tensor in plan_operations(GRU, layout="keras", overrides=bias)}
    assert dtypes == {
        "g.gru_cell.kernel": "float32",
        "g.gru_cell.recurrent_kernel": "float32",
        "g.gru_cell.bias": "float16",
    }


def test_joined_tensors_have_one_dtype(golden: Golden) -> None:
    overrides = [{"match": "a.key_weights", "dtype": "float16"}]
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"layout": "torch", "operations": [ATTENTION], "overrides": overrides})
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].name"]
    golden(caught.value)
    for layout in ("canonical", "keras", "flax"):
        assert paramgen.load_spec({"layout": layout, "operations": [ATTENTION], "overrides": overrides})


@pytest.mark.parametrize(
    ("operation", "layout"),
    [
        pytest.param({**CONV, "bias": "shared"}, "torch", id="a shared bias in torch"),
        pytest.param({**CONV, "bias": "shared"}, "flax", id="a shared bias in flax"),
        pytest.param({**GRU, "reset_gate_mode": "before-multiplication"}, "torch", id="gru resetting before in torch"),
        pytest.param({**GRU, "reset_gate_mode": "before-multiplication"}, "flax", id="gru resetting before in flax"),
        pytest.param(
            {**GRU, "reset_gate_mode": "recurrent-bias-after-multiplication"},
            "flax",
            id="gru resetting after with a bias in flax",
        ),
        pytest.param({**LSTM, "projection_size": 2}, "keras", id="lstm with a projection in keras"),
        pytest.param({**LSTM, "projection_size": 2}, "flax", id="lstm with a projection in flax"),
        pytest.param({**LSTM, "projection_size": 4}, "torch", id="lstm with a projection as wide in torch"),
        pytest.param({**ATTENTION, "num_key_channels": 4}, "torch", id="attention with other keys in torch"),
        pytest.param({**ATTENTION, "num_value_channels": 4}, "flax", id="attention with other values in flax"),
        pytest.param({**CONV, "weight_norm": {"axis": "filters"}}, "keras", id="weight_norm in keras"),
        pytest.param({**CONV, "weight_norm": {"axis": "none"}}, "flax", id="weight_norm in flax"),
        pytest.param({"name": "p", "type": "prelu", "num_channels": 4}, "flax", id="prelu of channels in flax"),
        pytest.param(
            {"name": "s", "type": "separable_conv", "filter_size": [3, 3, 3], "num_channels": 2, "num_filters": 2},
            "keras",
            id="separable_conv of three dimensions in keras",
        ),
    ],
)
def test_operations_that_a_layout_lacks_are_refused(operation: dict[str, Any], layout: str, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"layout": layout, "operations": [operation]})
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].type"]
    others = set(LAYOUT_NAMES) - {layout}
    held = [other for other in others if not isinstance(try_load(other, operation), Exception)]
    assert "canonical" in held
    golden(caught.value)


def try_load(layout: str, operation: dict[str, Any]) -> Any:
    try:
        return paramgen.load_spec({"layout": layout, "operations": [operation]})
    except paramgen.SpecError as error:
        return error


class Bilinear(StandardOperation):
    """An operation without rows in any layout."""

    title = "Bilinear"
    example: ClassVar[dict[str, Any]] = {"size": 3}
    type: Literal["bilinear"] = Field(description="Operation type.")
    size: int = Field(description="number of features.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        yield define_weights("weights", "o i", {"o": self.size, "i": self.size}, (self.size,), (self.size,))


@pytest.mark.parametrize("layout", FRAMEWORKS)
def test_an_operation_without_rows_is_refused(layout: str, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setitem(OPERATIONS_BY_TYPE, "bilinear", Bilinear)
    bilinear = {"name": "b", "type": "bilinear", "size": 3}
    custom = {"name": "c", "type": "custom", "parameters": {"w": {"shape": [2], "initializer": "ones"}}}
    assert names(bilinear, custom) == {"b.weights": [3, 3], "c.w": [2]}
    prefix = "params." if layout == "flax" else ""
    assert names(custom, layout=layout) == {f"{prefix}c.w": [2]}
    errors = []
    for field in ("layout", "conventions"):
        with pytest.raises(paramgen.SpecError) as caught:
            paramgen.load_spec({field: layout, "operations": [bilinear]})
        assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].type"]
        errors.append(caught.value)
    golden(*errors)


def test_names_that_collide_only_in_a_layout_are_refused(golden: Golden) -> None:
    """Name a group `a` with an operation out_proj like PyTorch's out_proj.weight of an attention `a`."""
    group = {
        "name": "a",
        "operations": [{"name": "out_proj", "type": "fully_connected", "input_size": 2, "output_size": 2}],
    }
    document = {"operations": [ATTENTION, group]}
    assert paramgen.load_spec(document)
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({**document, "layout": "torch"})
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[1].operations[0].name"]
    golden(caught.value)


def build_layout(tmp_path: Path, document: dict[str, Any], layout: str) -> dict[str, Array]:
    paramgen.build({**document, "layout": layout}, tmp_path / layout, force=True)
    with paramgen.storage.reader.TensorFile(tmp_path / layout) as file:
        return {entry.name: file.read(entry, 0, entry.size).reshape(entry.shape) for entry in file.entries}


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_layouts_rearrange_the_same_values(dtype: str, tmp_path: Path) -> None:
    overrides = [{"match": "*bias", "initializer": {"type": "uniform", "bound": 1.0}}]
    document = {"seed": 4, "dtype": dtype, "operations": [CONV, LSTM, GRU], "overrides": overrides}
    own, torch, keras, flax = (build_layout(tmp_path, document, layout) for layout in LAYOUT_NAMES)
    same = lambda one, other: one.tobytes() == np.ascontiguousarray(other).tobytes()  # noqa: E731
    assert same(torch["c.weight"], own["c.weights"].transpose(3, 2, 0, 1))
    assert same(keras["c.kernel"], own["c.weights"])
    assert same(torch["l.weight_hh_l0"], own["l.recurrent_weights"])
    assert same(keras["l.lstm_cell.recurrent_kernel"], own["l.recurrent_weights"].T)
    assert same(flax["params.l.hg.kernel"], own["l.recurrent_weights"][8:12].T)
    assert same(flax["params.l.hg.bias"], own["l.bias"][8:12])
    reset, update, candidate = own["g.input_weights"].reshape(3, 4, 5)
    assert same(keras["g.gru_cell.kernel"], np.concatenate([update, reset, candidate]).T)
    assert same(flax["params.g.iz.kernel"], update.T)
    biases = own["g.bias"].reshape(3, 4)
    assert same(keras["g.gru_cell.bias"], np.stack([biases[[1, 0, 2]].reshape(12), np.zeros(12)]).astype(biases.dtype))
    assert same(torch["g.bias_ih_l0"], biases)
    assert not torch["g.bias_hh_l0"].any() and not flax["params.g.hn.bias"].any()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_in_every_layout_uses_each_element_once(path: Path, tmp_path: Path) -> None:
    """Check that each element of a parameter is used once, and that the size of blocks changes nothing."""
    held = 0
    total = paramgen.load_spec(path, layout="canonical", variables=SMALL.get(path.stem)).plan.total_parameters
    for layout in LAYOUT_NAMES:
        try:
            spec = paramgen.load_spec(path, layout=layout, variables=SMALL.get(path.stem))
        except paramgen.SpecError as error:
            assert {problem.path.rpartition(".")[2] for problem in error.diagnostics} <= {"name", "type"}
            continue
        held += 1
        drawn = [
            prod(high - low for low, high in zip(piece.low, piece.high, strict=True))
            for tensor in spec.plan.tensors
            for piece in tensor.rearrangement.slices
            if tensor.sources[piece.source].name
        ]
        assert sum(drawn) == total
        result = paramgen.build(spec, tmp_path / layout, digest=True)
        again = engine.build(spec.plan, str(tmp_path / layout), digest=True, threads=3, block_bytes=4096)
        assert again.sha256 == result.sha256
    assert held >= 1


@pytest.mark.parametrize("layout", FRAMEWORKS)
def test_samples_have_the_names_of_the_layout(layout: str) -> None:
    spec = paramgen.load_spec({"operations": [LSTM]}, layout=layout)
    sampled = paramgen.sample(spec)
    inner = sampled["params"] if layout == "flax" else sampled
    assert (
        sorted(inner["l"])
        == {
            "torch": ["bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0"],
            "keras": ["lstm_cell"],
            "flax": ["hf", "hg", "hi", "ho", "if", "ig", "ii", "io"],
        }[layout]
    )
