"""Plans: MathWorks' worked examples, precedence, dtypes, totals, metadata; nothing is drawn."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from golden import Golden
from helpers import ROOT, plan_operations, plan_text, read_plan_json
from safetensors.numpy import load_file

import paramgen
from paramgen.errors import SpecError
from paramgen.language.document import from_mapping
from paramgen.language.parsed_spec import Replacements, interpret, read_document
from paramgen.language.yaml_reader import from_yaml
from paramgen.planning import files, resolve
from paramgen.planning.plan import make_plan, metadata


def tensors_of(path: str) -> dict[str, dict[str, Any]]:
    plan = make_plan(interpret(read_document(ROOT / "configs" / path)))
    return {tensor["name"]: tensor for tensor in read_plan_json(plan)["parameters"]}


def test_the_sources_worked_examples() -> None:
    tensors = tensors_of("source_examples.yaml")
    conv = tensors["glorot_convolution.weights"]
    assert conv["shape"] == [5, 5, 3, 128]
    assert (conv["fan_out"], conv["fan_in"]) == (3200, 75)
    bound = math.sqrt(6 / 3275)
    assert conv["distribution"] == {"type": "uniform", "low": -bound, "high": bound}
    conv = tensors["he_convolution.weights"]
    assert conv["shape"] == [5, 5, 3, 128]
    assert conv["distribution"] == {"type": "normal", "mean": 0.0, "std": math.sqrt(2 / 75)}
    embedding = tensors["gaussian_embedding.weights"]
    assert embedding["shape"] == [300, 5000]
    assert embedding["distribution"] == {"type": "normal", "mean": 0.0, "std": 0.01}
    attention = tensors["uniform_attention.weights"]
    assert attention["shape"] == [100, 100]
    assert attention["distribution"] == {"type": "uniform", "low": -0.1, "high": 0.1}
    assert tensors["lstm.recurrent_weights"]["shape"] == [400, 100]
    assert tensors["lstm.recurrent_weights"]["distribution"] == {"type": "orthogonal", "gain": 1.0}
    assert tensors["lstm.bias"]["shape"] == [400, 1]
    assert tensors["lstm.bias"]["distribution"] == {"type": "unit_forget_gate"}
    scale, offset = tensors["batch_normalization.scale"], tensors["batch_normalization.offset"]
    assert scale["shape"] == offset["shape"] == [128, 1]
    assert (scale["distribution"], offset["distribution"]) == (
        {"type": "constant", "value": 1.0},
        {"type": "constant", "value": 0.0},
    )


def test_the_document_of_a_plan() -> None:
    text = "name: m\nseed: 42\noperations:\n- {name: conv, type: conv, filter_size: [5, 5], num_channels: 3, num_filters: 128}\n"
    plan = plan_text(text)
    document = read_plan_json(plan)
    assert document.pop("parameters")[0] == {
        "name": "conv.weights",
        "canonical_name": "conv.weights",
        "shape": [5, 5, 3, 128],
        "dtype": "float32",
        "fan_in": 75,
        "fan_out": 3200,
        "bytes": 38400,
        "initializer": {"type": "glorot"},
        "distribution": {"type": "uniform", "low": -0.0428025825003853, "high": 0.0428025825003853},
    }
    assert document == {
        "name": "m",
        "seed": 42,
        "layout": "canonical",
        "stream": "philox4x32-v1",
        "total_parameters": 9728,
        "total_bytes": 38912,
    }


DENSE = {"type": "fully_connected", "input_size": 2, "output_size": 2}


def initializer_of(operation: dict[str, Any], **head: Any) -> str:
    return str(plan_operations({**DENSE, **operation}, **head)[0]["initializer"]["type"])


def test_precedence_of_initializers() -> None:
    defaults = {"fullyconnect": {"weights": "he"}}
    own = {"initializers": {"weights": "zeros"}}
    assert initializer_of({}) == "glorot"
    assert initializer_of({}, defaults=defaults) == "he"
    assert initializer_of(own) == "zeros"
    assert initializer_of(own, defaults=defaults) == "zeros"
    assert initializer_of({"type": "fullyconnect"}, defaults={"fully_connected": {"weights": "he"}}) == "he"
    assert initializer_of({}, defaults={"conv": {"weights": "he"}}) == "glorot"


def test_initializers_have_their_own_names_and_all_their_fields() -> None:
    (tensor, _) = plan_operations({**DENSE, "initializers": {"weights": "xavier"}})
    assert tensor["initializer"] == {"type": "glorot"}
    (tensor, _) = plan_operations({**DENSE, "initializers": {"weights": {"type": "gaussian", "std": 2}}})
    assert tensor["initializer"] == {"type": "gaussian", "mean": 0.0, "std": 2.0}


def test_precedence_of_dtypes() -> None:
    custom = {
        "type": "custom",
        "dtype": "bfloat16",
        "parameters": {
            "a": {"shape": [1], "initializer": "ones", "dtype": "float64"},
            "b": {"shape": [1], "initializer": "ones"},
        },
    }
    tensors = plan_operations(custom, {**DENSE, "bias": False}, dtype="float16")
    assert [tensor["dtype"] for tensor in tensors] == ["float64", "bfloat16", "float16"]
    assert [tensor["bytes"] for tensor in tensors] == [8, 2, 8]


def test_arguments_override_the_spec() -> None:
    document = read_document(
        {"seed": 1, "dtype": "float64", "operations": [{"name": "a", **DENSE, "dtype": "float16"}]}
    )
    plan = make_plan(interpret(document, Replacements(seed=2**64 - 1, dtype="bfloat16")))
    assert plan.seed == 2**64 - 1
    assert plan.tensors[0].dtype.name == "float16"
    source = json.loads(json.loads(plan.files[0].header[8:])["__metadata__"]["paramgen_spec"])
    assert (source["seed"], source["dtype"]) == (2**64 - 1, "bfloat16")


def test_metadata_holds_the_spec_as_written() -> None:
    text = (
        "# a comment\noperations:\n"
        "- &a {type: fullyconnect, name: a, input_size: 010, output_size: 2, bias: false}\n"
        "- {<<: *a, name: b}\n"
    )
    plan = plan_text(text)
    metadata = json.loads(plan.files[0].header[8:])["__metadata__"]
    assert metadata == {
        "format": "pt",
        "paramgen_seed": "0",
        "paramgen_spec": '{"operations":[{"bias":false,"input_size":10,"name":"a","output_size":2,"type":"fullyconnect"},'
        '{"bias":false,"input_size":10,"name":"b","output_size":2,"type":"fullyconnect"}]}',
        "paramgen_stream": "philox4x32-v1",
    }


@pytest.mark.parametrize("path", ["source_examples.yaml", "layers.yaml", "gru_classifier.yaml", "lstm_classifier.yaml"])
def test_the_spec_in_the_metadata_makes_the_same_header(path: str) -> None:
    plan = make_plan(interpret(read_document(ROOT / "configs" / path)))
    source = json.loads(plan.files[0].header[8:])["__metadata__"]["paramgen_spec"]
    assert make_plan(interpret(read_document(json.loads(source)))).files[0].header == plan.files[0].header
    assert plan_text(source).files[0].header == plan.files[0].header


def test_the_spec_in_the_metadata_can_be_read_as_yaml() -> None:
    """Include characters that YAML has only as escapes."""
    name = "a\u2028\x7f\x85\ufffe\u00e9"
    spec = interpret(from_mapping({"name": name, "operations": [{"name": "p", "type": "prelu"}]}))
    written = metadata(spec)["paramgen_spec"]
    assert "\u00e9" in written
    again = interpret(from_yaml(written.encode(), "m"))
    assert again.fields.name == name
    assert make_plan(again).files[0].header == make_plan(spec).files[0].header


def test_a_name_is_in_the_metadata_only_if_written() -> None:
    def source(data: dict[str, Any]) -> Any:
        plan = make_plan(interpret(read_document({**data, "operations": [{"name": "a", **DENSE}]})))
        return plan.name, json.loads(json.loads(plan.files[0].header[8:])["__metadata__"]["paramgen_spec"])

    assert source({})[0] == "model"
    assert "name" not in source({})[1]
    assert source({"name": "x"}) == ("x", {"name": "x", "operations": [{"name": "a", **DENSE}]})


def test_parameters_do_not_depend_on_other_operations() -> None:
    one = make_plan(interpret(read_document({"operations": [{"name": "a", **DENSE}]})))
    two = make_plan(interpret(read_document({"operations": [{"name": "b", **DENSE}, {"name": "a", **DENSE}]})))
    assert one.tensors == two.tensors[2:]


def test_the_json_of_a_plan_is_indented_as_the_json_module_does() -> None:
    spec = {
        "layout": "torch",
        "operations": [
            {"name": "a", "type": "multihead_attention", "input_size": 6, "num_heads": 2},
            {"name": "e", "type": "embedding", "vocabulary_size": 5, "embedding_dimension": 2, "padding_index": 1},
            {"name": "c", "type": "custom", "parameters": {"été": {"shape": [], "initializer": "ones"}}},
        ],
        "overrides": [{"match": "a.key_weights", "initializer": {"type": "values", "values": [[1] * 6] * 6}}],
    }
    text = "".join(make_plan(interpret(read_document(spec))).iter_json())
    assert '"type": "joined"' in text
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def test_equal_stream_ids_are_an_error(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(resolve, "stream_id", lambda name: 7)
    with pytest.raises(SpecError) as caught:
        plan_operations(DENSE)
    golden(caught.value)


def test_a_header_beyond_the_formats_limit_is_an_error(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(files, "MAX_HEADER_BYTES", 300)
    with pytest.raises(SpecError) as caught:
        plan_operations(DENSE)
    golden(caught.value)


def test_numbers_of_enormous_fans() -> None:
    huge = 2**62
    custom = {"shape": [1], "fan_in": huge, "fan_out": huge, "initializer": "glorot"}
    (tensor,) = plan_operations({"type": "custom", "parameters": {"w": custom}})
    assert tensor["distribution"]["high"] == math.sqrt(6 / 2**63)


def test_making_a_plan_twice_reports_the_same_errors() -> None:
    spec = interpret(read_document({"operations": [{"name": "a", **DENSE, "initializers": {"bias": "he"}}]}))
    with pytest.raises(SpecError) as first:
        make_plan(spec)
    with pytest.raises(SpecError) as second:
        make_plan(spec)
    assert str(first.value) == str(second.value)
    assert first.value.total == 1


@pytest.mark.parametrize("layout", ["canonical", "torch", "keras", "flax"])
@pytest.mark.parametrize(
    "initializer", ["ones", {"type": "constant", "value": 2}, {"type": "log_uniform", "low": 1, "high": 4}]
)
def test_a_padding_index_needs_a_dtype_with_zero(layout: str, initializer: object, golden: Golden) -> None:
    embedding = {"name": "e", "type": "embedding", "embedding_dimension": 2, "vocabulary_size": 3}
    operation = {**embedding, "dtype": "float8_e8m0fnu", "initializers": {"weights": initializer}}
    assert paramgen.plan({"layout": layout, "operations": [operation]}).tensors
    with pytest.raises(SpecError) as caught:
        paramgen.plan({"layout": layout, "operations": [{**operation, "padding_index": 1}]})
    golden(caught.value)


def test_empty_tensors_are_built_and_checked(tmp_path: Path) -> None:
    """Published files hold some; they take constants only."""
    parameters = {
        "a": {"shape": [0], "dtype": "int64", "initializer": "zeros"},
        "b": {"shape": [3, 0], "initializer": "ones"},
        "c": {"shape": [2], "initializer": "ones"},
    }
    paramgen.build({"parameters": parameters}, tmp_path / "e.safetensors")
    paramgen.build({"parameters": parameters}, tmp_path / "e.safetensors")  # an unchanged build may be replaced
    assert {name: array.shape for name, array in load_file(tmp_path / "e.safetensors").items()} == {
        "a": (0,),
        "b": (3, 0),
        "c": (2,),
    }
    assert paramgen.verify(tmp_path / "e.safetensors").holds
    assert paramgen.check(tmp_path / "e.safetensors").sound
