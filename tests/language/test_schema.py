"""The JSON Schema accepts what the models accept, and refuses what they refuse, as far as a schema can express it."""

import json
from typing import Any

import jsonschema
import pytest
from helpers import CONFIGS, ROOT, plan_operations

from paramgen.catalog.operations import OPERATIONS
from paramgen.language.schema import json_schema
from paramgen.language.yaml_reader import from_yaml

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def accepts(*operations: dict[str, Any], **head: Any) -> bool:
    named = [{"name": chr(97 + index), **operation} for index, operation in enumerate(operations)]
    return bool(VALIDATOR.is_valid({**head, "operations": named}))


def test_the_schema_is_valid() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_valid(path: Any) -> None:
    assert list(VALIDATOR.iter_errors(from_yaml(path.read_bytes(), "s").data)) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_name_the_schema(path: Any) -> None:
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/paramgen.schema.json"
    assert (ROOT / "schemas" / "paramgen.schema.json").exists()


@pytest.mark.parametrize("model", OPERATIONS, ids=lambda model: model.label)
def test_every_type_and_field_has_a_description(model: Any) -> None:
    for name in model.names():
        assert accepts({"type": name, **model.example})
    definition = SCHEMA["definitions"][model.__name__]
    assert definition["description"]
    assert definition["additionalProperties"] is False
    for field, schema in definition["properties"].items():
        assert schema.get("description") or "$ref" in schema, field


CONV = {"type": "conv", "filter_size": [3], "num_channels": 1, "num_filters": 1}
CUSTOM = {"shape": [4, 4], "initializer": "ones"}


def with_custom(**fields: Any) -> dict[str, Any]:
    return {"type": "custom", "parameters": {"w": {**CUSTOM, **fields}}}


ACCEPTED: list[dict[str, Any]] = [
    {**CONV, "filter_size": 3},
    {**CONV, "bias": False},
    {**CONV, "dtype": "bfloat16", "initializers": {"weights": {"type": "orthogonal", "gain": 2}, "bias": "ones"}},
    {"type": "conv", "filter_size": 3, "num_groups": "channel-wise", "num_channels": 3},
    {"type": "lstm", "input_size": 1, "num_hidden_units": 1, "initializers": {"bias": "unit_forget_gate"}},
    {**CONV, "dtype": "float${8 * 2}", "num_filters": "${2 * 2}", "name": "conv${1}"},
    {"type": "fully_connected", "input_size": 2, "output_size": 3, "initializers": {"weights": "identity"}},
    with_custom(initializer="identity"),
    with_custom(initializer={"type": "variance_scaling", "mode": "fan_out"}, fan_out=2),
    with_custom(shape=[]),
    {**CONV, "weight_norm": {"axis": "kernel"}},
    {**CONV, "filter_size": [3, 3], "weight_norm": {"axis": "filters", "style": "legacy"}},
    {**CONV, "weight_norm": {"axis": "none"}, "initializers": {"magnitude": "ones"}},
    {"type": "fully_connected", "input_size": 1, "output_size": 1, "weight_norm": {"axis": "${'in'}puts"}},
    {**CONV, "name": "a.b"},
    {"operations": [{"name": "a", **CONV}, {"name": "b", **CONV, "repeat": 0}]},
    {**CONV, "repeat": {"from": 1, "to": 7, "step": 2}, "as": "i"},
    {**CONV, "repeat": [0, "query", 7]},
    {**CONV, "repeat": "${2 + 1}", "as": "min", "with": {"a": [1, "${min}"]}, "when": "${min > 0}"},
    {"operations": [{"name": "a", **CONV}, {"name": "b", **CONV, "when": False}]},
    {"type": "custom", "parameters": {"a.b": CUSTOM}},
    {"parameters": {"w": CUSTOM}},
    {"parameters": {"w": CUSTOM}, "operations": [{"name": "p", "type": "prelu"}]},
    with_custom(initializer={"type": "uniform", "bound": 1}),
    with_custom(initializer={"type": "uniform", "low": 0, "high": 1}),
    with_custom(initializer={"type": "values", "values": [[1, 2.5], [3, 4]]}, shape=[3, 2, 2]),
    with_custom(initializer={"type": "arange", "axis": 0}, shape=[3, 2]),
    with_custom(initializer={"type": "formula", "value": 2.5, "axis": -2}, shape=[3, 2]),
    with_custom(initializer={"type": "sinusoidal", "arrangement": "interleaved"}, shape=[3, 4]),
    with_custom(initializer="ssm_dt_bias"),
    with_custom(initializer="glorot", fan_in=1, fan_out=2),
    with_custom(initializer={"type": "he"}, fan_in=1),
    with_custom(shape="${l}"),
    with_custom(shape=["${l[0]}", 3]),
    with_custom(shape=[0]),
    with_custom(initializer="${t}"),
    with_custom(initializer={"type": "${t}"}),
    with_custom(initializer={"type": "values", "values": "${l}"}, shape=[4, 2]),
    {**CONV, "initializers": {"bias": "${t}"}},
    {**CONV, "type": "${'conv'}"},
    {"type": "conv", "filter_size": "${l}", "num_groups": "${'channel-wise'}", "num_channels": 3},
    {"type": "conv", "filter_size": 3, "num_groups": "${2}", "num_channels_per_group": 3, "num_filters_per_group": 3},
]

REFUSED: list[dict[str, Any]] = [
    {"type": "cnv"},
    {"name": "a"},
    {**CONV, "name": "a..b"},
    {**CONV, "name": "a.-b"},
    {**CONV, "name": "-a"},
    {**CONV, "num_filters": 0},
    {**CONV, "num_filters": "4"},
    {**CONV, "num_filters": True},
    {**CONV, "num_filters": None},
    {**CONV, "num_filters": 2**63},
    {**CONV, "num_filter": 4},
    {**CONV, "filter_size": []},
    {**CONV, "filter_size": [1, 2, 3, 4]},
    {**CONV, "bias": "some"},
    {**CONV, "bias": None},
    {**CONV, "dtype": "float31"},
    {**CONV, "num_groups": 2},
    {**CONV, "num_groups": "channel-wise"},
    {**CONV, "num_filters_per_group": 2},
    {"type": "conv", "filter_size": 3},
    {"type": "conv", "filter_size": 3, "num_groups": 2},
    {**CONV, "initializers": {"weight": "he"}},
    {**CONV, "initializers": {"weights": "hee"}},
    {**CONV, "initializers": {"weights": "uniform"}},
    {**CONV, "initializers": {"weights": {"type": "uniform", "bound": 0}}},
    {**CONV, "initializers": {"weights": {"type": "uniform"}}},
    {**CONV, "initializers": {"weights": {"type": "uniform", "low": 0}}},
    {**CONV, "initializers": {"weights": {"type": "uniform", "low": 0, "high": 1, "bound": 1}}},
    {**CONV, "initializers": {"weights": {"type": "values", "values": []}}},
    {**CONV, "initializers": {"weights": "log_uniform"}},
    with_custom(initializer={"type": "sinusoidal", "arrangement": "interleaved"}, shape=[4]),
    with_custom(initializer="arange", shape=[]),
    {**CONV, "initializers": {"weights": {"type": "gaussian", "std": -1}}},
    {**CONV, "initializers": {"weights": {"type": "gaussian", "sdt": 1}}},
    {**CONV, "initializers": {"weights": {"std": 1}}},
    {**CONV, "initializers": {"weights": 3}},
    {**CONV, "initializers": {"bias": "orthogonal"}},
    {**CONV, "initializers": {"bias": {"type": "he"}}},
    {**CONV, "initializers": {"weights": "unit_forget_gate"}},
    {**CONV, "weight_norm": {}},
    {**CONV, "weight_norm": None},
    {**CONV, "weight_norm": "filters"},
    {**CONV, "weight_norm": {"axis": "outputs"}},
    {**CONV, "weight_norm": {"axis": "filters", "dim": 0}},
    {**CONV, "weight_norm": {"axis": "filters", "style": "new"}},
    {**CONV, "filter_size": [3, 3], "weight_norm": {"axis": "kernel"}},
    {**CONV, "initializers": {"magnitude": "ones"}},
    {**CONV, "weight_norm": {"axis": "filters"}, "initializers": {"magnitude": "orthogonal"}},
    {**CONV, "weight_norm": {"axis": "filters"}, "initializers": {"magnitude": "norm"}},
    {"type": "fully_connected", "input_size": 1, "output_size": 1, "weight_norm": {"axis": "filters"}},
    {"type": "gru", "input_size": 1, "num_hidden_units": 1, "reset_gate_mode": "after"},
    {"type": "gru", "input_size": 1, "num_hidden_units": 1, "initializers": {"bias": "unit_forget_gate"}},
    {"type": "fully_connected", "input_size": 1, "output_size": 1, "bias": "none"},
    {"type": "custom", "parameters": {}},
    {**CONV, "name": "__metadata__"},
    {"type": "custom", "parameters": {"__metadata__": CUSTOM}},
    {**CONV, "bias": "none", "initializers": {"bias": "ones"}},
    {**CONV, "bias": False, "initializers": {"bias": "ones"}},
    {"type": "fully_connected", "input_size": 1, "output_size": 1, "bias": False, "initializers": {"bias": "ones"}},
    {"type": "custom", "parameters": {"a.": CUSTOM}},
    {"type": "layer_norm", "num_channels": 1, "offset": False, "initializers": {"offset": "ones"}},
    {"type": "state_space", "num_channels": 1, "initializers": {"dt_bias": "ones"}},
    {"type": "embedding", "embedding_dimension": 1, "vocabulary_size": 2, "padding_index": -1},
    {"type": "custom", "parameters": {"w": {"shape": [1]}}},
    {"type": "custom", "parameters": {"w": CUSTOM}, "initializers": {}},
    with_custom(shape=[1] * 33),
    with_custom(shape=[-1]),
    with_custom(shape=3),
    with_custom(initializer="glorot", fan_in=1),
    with_custom(initializer="kaiming"),
    with_custom(initializer="orthogonal", shape=[4]),
    with_custom(initializer="unit_forget_gate"),
    with_custom(initializer="identity", shape=[4]),
    with_custom(initializer="identity", shape=[4, 4, 4]),
    with_custom(initializer="dirac", shape=[3, 4, 4]),
    with_custom(initializer={"type": "variance_scaling", "mode": "fan_out"}, fan_in=2),
    with_custom(initializer={"type": "variance_scaling", "gain": 2}, fan_in=2),
    {**CONV, "type": "co${1}nv"},
    {"as": "i", "operations": [{"name": "p", "type": "prelu"}]},
    {**CONV, "repeat": -1},
    {**CONV, "repeat": {"from": 1}},
    {**CONV, "repeat": {"from": 1, "to": 3, "by": 1}},
    {**CONV, "repeat": [1, 1]},
    {**CONV, "when": "true"},
    {**CONV, "with": {"1a": 3}},
    {**CONV, "with": {"a": None}},
    {**CONV, "with": {"a": {"b": 1}}},
    {**CONV, "as": "i"},
    {"parameters": {}},
    {"parameters": {"w": {"shape": [1]}}},
    {"repeat": 2, "as": "*", "operations": [{"name": "p", "type": "prelu"}]},
]

HEADS: list[dict[str, Any]] = [
    {"seed": -1},
    {"seed": 2**64},
    {"seed": "1"},
    {"paramgen": 2},
    {"dtype": "float31"},
    {"layout": "pytorch"},
    {"conventions": "jax"},
    {"name": ""},
    {"unknown": 1},
    {"variables": {"a": [[1]]}},
    {"variables": {"a": {"b": 1}}},
    {"ties": "keep"},
    {"parameters": {"w": {"shape": [1]}}},
    {"variables": {"1a": 1}},
    {"variables": {"a": 2**130}},
    {"overrides": [{"match": "*"}]},
    {"overrides": [{"match": "", "dtype": "float16"}]},
    {"overrides": {}},
    {"defaults": {"cnv": {}}},
    {"defaults": {"conv": {"weight": "he"}}},
    {"defaults": {"conv": {}, "dlconv": {}}},
    {"defaults": {"custom": {}}},
    {"files": []},
    {"files": {"a.json": 1}},
    {"files": {"a.json": []}},
    {"files": {"a/b": {}}},
    {"files": {".a": {}}},
    {"files": {"": {}}},
    {"files": {"a\tb": {}}},
    {"files": {"a" * 256: {}}},
    {"files": {"model.safetensors": {}}},
    {"files": {"model.safetensors.index.json": {}}},
    {"files": {"a": "/b"}},
    {"files": {"a": ".."}},
    {"files": {"a": "b/../c"}},
    {"files": {"a": ""}},
]


@pytest.mark.parametrize("operation", ACCEPTED, ids=str)
def test_schema_and_planner_accept_the_same(operation: dict[str, Any]) -> None:
    variables = {"l": [2, 3], "t": "ones"}
    assert accepts(operation, variables=variables)
    assert plan_operations(operation, variables=variables)


def test_defaults_accept_expressions() -> None:
    head = {"variables": {"t": "ones"}, "defaults": {"conv": {"bias": "${t}"}}}
    assert accepts(CONV, **head)
    assert plan_operations(CONV, **head)


def test_files_accept_any_content() -> None:
    content = {"a": None, "b": [1, {"c": "${n}"}], "${n}": "${n}", "..x": True}
    head = {"variables": {"n": 3}, "files": {"a.json": content, "b c..d": "${n}/x..y", "é": {}}}
    assert accepts(CONV, **head)
    assert plan_operations(CONV, **head)


@pytest.mark.parametrize("operation", REFUSED, ids=str)
def test_schema_and_planner_refuse_the_same(operation: dict[str, Any]) -> None:
    from paramgen.errors import SpecError

    assert not accepts(operation)
    with pytest.raises(SpecError):
        plan_operations(operation)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_both_refuse_heads(head: dict[str, Any]) -> None:
    from paramgen.errors import SpecError

    assert accepts(CONV)
    assert not accepts(CONV, **head)
    with pytest.raises(SpecError):
        plan_operations(CONV, **head)


def test_an_error_is_reported_for_the_written_type_only() -> None:
    document = {"operations": [{"name": "a", **CONV, "num_filters": -1}]}
    errors = list(VALIDATOR.iter_errors(document))
    assert [list(error.absolute_path) for error in errors] == [["operations", 0, "num_filters"]]


def test_the_schema_file_is_up_to_date() -> None:
    assert json.loads((ROOT / "schemas" / "paramgen.schema.json").read_text()) == SCHEMA
