"""Formulas in specs: their variables, errors and cost, and the spec that a file stores."""

import json
import math
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import expect_spec_error, list_problems

import paramgen
from paramgen import limits
from paramgen.planning.plan import metadata


def formula(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "formula", "value": text, **fields}


def with_parameter(initializer: Any, size: int = 8, **fields: Any) -> dict[str, Any]:
    return {"parameters": {"w": {"shape": [size], "initializer": initializer}}, **fields}


MODEL = {
    "variables": {"size": 4, "scales": [1, 2.5]},
    "operations": [
        {
            "name": "blocks",
            "repeat": 3,
            "as": "i",
            "with": {"w": "${i + 1}"},
            "operations": [
                {
                    "name": "m",
                    "type": "custom",
                    "parameters": {"a": {"shape": [2, "${size}"], "initializer": formula("${log(k + 1) * w + i}")}},
                }
            ],
        },
        {
            "name": "d",
            "type": "fully_connected",
            "input_size": 2,
            "output_size": "${size}",
            "initializers": {"bias": formula("${scales[k % 2] / n}", axis=0)},
        },
        {"name": "e", "type": "layer_norm", "num_channels": 3},
        {"name": "o", "type": "layer_norm", "num_channels": 3},
    ],
    "defaults": {"layer_norm": {"offset": formula("${k * size}", axis=0)}},
    "overrides": [{"match": "o.scale", "initializer": formula("${n - k + scales[1]}", axis=0)}],
}


def test_formulas_with_variables_wherever_an_initializer_is() -> None:
    found = paramgen.sample(MODEL, flat=True)
    for i in range(3):
        row = [math.log(k + 1) * (i + 1) + i for k in range(4)]
        np.testing.assert_array_equal(found[f"blocks.{i}.m.a"], np.array([row, row], np.float32))
    np.testing.assert_array_equal(found["d.bias"][:, 0], np.array([0.25, 0.625, 0.25, 0.625], np.float32))
    np.testing.assert_array_equal(found["e.offset"][:, 0], [0, 4, 8])
    np.testing.assert_array_equal(found["o.scale"][:, 0], [5.5, 4.5, 3.5])


def test_the_stored_spec_has_formulas_as_written_and_the_same_values() -> None:
    spec = paramgen.load_spec(MODEL)
    stored = json.loads(metadata(spec._parsed)["paramgen_spec"])
    assert stored["operations"][1]["initializers"] == MODEL["operations"][1]["initializers"]  # type: ignore[index]
    assert stored["operations"][1]["output_size"] == 4
    assert {key: stored[key] for key in ("defaults", "overrides")} == {
        key: MODEL[key] for key in ("defaults", "overrides")
    }
    again = paramgen.sample(stored, flat=True)
    for name, values in paramgen.sample(spec, flat=True).items():
        assert values.tobytes() == again[name].tobytes(), name
    assert metadata(paramgen.load_spec(stored)._parsed) == metadata(spec._parsed)


def test_replaced_variables_reach_formulas() -> None:
    written = with_parameter(formula("${k * step}"), 3, variables={"step": 1})
    found = paramgen.sample(paramgen.load_spec(written, variables={"step": 0.5}))
    assert found["w"].tolist() == [0, 0.5, 1]


def test_equal_variables_of_different_types_are_not_the_same() -> None:
    """2^100 + k is exact for an integer, and k is lost in a float."""
    entry = {"shape": [2], "initializer": formula("${b + k - b}")}
    operations = [
        {"name": name, "type": "custom", "parameters": {"w": entry}, "with": {"b": value}}
        for name, value in (("exact", 2**100), ("rounded", 2.0**100))
    ]
    found = paramgen.sample({"operations": operations}, flat=True)
    assert (found["exact.w"].tolist(), found["rounded.w"].tolist()) == ([0, 1], [0, 0])


@pytest.mark.parametrize("text", ["${(2**60 + v) // 1 - 2**60 + k}", "${v + 0 * k}", "${v}"])
@pytest.mark.parametrize(("value", "equal"), [(7.0, 7), (-0.0, 0.0)])
def test_earlier_specs_do_not_change_values(text: str, value: float, equal: float) -> None:
    written = with_parameter({**formula(text)}, 2, dtype="float64")
    alone = paramgen.sample({**written, "variables": {"v": value}})["w"]
    paramgen.sample({**written, "variables": {"v": equal}})
    again = paramgen.sample({**written, "variables": {"v": value}})["w"]
    expected = [eval(text[2:-1], {"v": value, "k": k}) for k in range(2)]
    assert alone.tobytes() == again.tobytes() == np.array(expected, np.float64).tobytes()


def test_lists_of_equal_values_of_different_types(golden: Golden) -> None:
    text = """\
variables: {numbers: [1], booleans: [true]}
operations:
- name: g
  repeat: 2
  as: i
  with: {v: "${numbers if i == 0 else booleans}"}
  type: custom
  parameters: {w: {shape: [1], initializer: {type: formula, value: "${v[k] + 1}"}}}
"""
    golden(expect_spec_error(text))


def test_formulas_without_an_index_are_evaluated_once() -> None:
    spec = paramgen.load_spec(with_parameter(formula("${2 * v}"), variables={"v": 3}))
    assert spec.plan.rows()[0]["initializer"] == {"type": "formula", "value": 6.0}
    assert json.loads(metadata(spec._parsed)["paramgen_spec"])["parameters"]["w"]["initializer"]["value"] == "${2 * v}"


def test_defaults_are_not_tried_with_other_sizes() -> None:
    operations = [
        {"name": "p", "type": "prelu", "num_channels": 2},
        {"name": "e", "type": "layer_norm", "num_channels": 3},
    ]
    defaults = {
        "prelu": {"alpha": {"type": "values", "values": [[3], [4]]}},
        "layer_norm": {"scale": formula("${steps[k]}", axis=0)},
        "rms_norm": {"scale": formula("${steps[k]}", axis=0)},
    }
    found = paramgen.sample(
        {"variables": {"steps": [1, 2, 3]}, "defaults": defaults, "operations": operations}, flat=True
    )
    assert (found["p.alpha"].tolist(), found["e.scale"].tolist()) == ([[3], [4]], [[1], [2], [3]])


WRONG: dict[str, Any] = {
    "division by zero": with_parameter(formula("${1 / (k - 3)}")),
    "division by zero in a repetition": {
        "operations": [{"name": "g", "repeat": 3, "as": "i", "type": "prelu",
                        "initializers": {"alpha": formula("${1 / (k - i)}", axis=0)}}]
    },
    "division by zero in a default": {
        "defaults": {"prelu": {"alpha": formula("${1 / k}", axis=0)}}, "operations": [{"name": "p", "type": "prelu"}]
    },
    "division by zero in an override": {
        "overrides": [{"match": "*", "initializer": formula("${1 / k}", axis=0)}],
        "operations": [{"name": "p", "type": "prelu"}],
    },
    "an unknown variable": with_parameter(formula("${k * j}")),
    "a boolean": with_parameter(formula("${k > 2}")),
    "a string": with_parameter(formula("layer ${k}")),
    "a list past its end": with_parameter(formula("${steps[k]}"), variables={"steps": [1, 2, 3]}),
    "a mistake in the expression": with_parameter(formula("${k +}")),
    "65,537 entries": with_parameter(formula("${k}"), 65_537),
    "a value beyond the dtype": with_parameter(formula("${10 ** (k * 20)}")),
}  # fmt: skip


@pytest.mark.parametrize("spec", WRONG.values(), ids=list(WRONG))
def test_wrong_formulas(spec: Any, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec(spec)
    assert len(caught.value.diagnostics) == 1
    golden(caught.value)


def test_formulas_of_initialize(golden: Golden) -> None:
    found = paramgen.initialize("formula", [3], value="${log(k + 1)}", dtype="float64")
    assert found.tolist() == [math.log(k + 1) for k in range(3)]
    assert paramgen.initialize("uniform", [3], bound="${1 / 4}").tobytes() == (
        paramgen.initialize("uniform", [3], bound=0.25).tobytes()
    )
    errors = []
    for size, text in (3, "${1 / k}"), (3, "${k * j}"), (65_536, f"${{{' + '.join(['k'] * 100)}}}"):
        with pytest.raises((paramgen.SpecError, paramgen.UsageError)) as caught:
            paramgen.initialize("formula", [size], value=text)
        errors.append(caught.value)
    golden(*errors)


LIST = "variables: {l: [" + ", ".join(["1.5"] * 100) + "]}\n"
# Specs whose evaluations count more than 100,000 terms together, in few terms of text.
COSTLY = {
    "a formula of many values": "parameters: {w: {shape: [60000], initializer: {type: formula, value: '${k}'}}}",
    "a repeated formula": (
        "operations: [{name: a, repeat: 100, as: i, type: custom, "
        "parameters: {w: {shape: [500], initializer: {type: formula, value: '${k + i}'}}}}]"
    ),
    "sums of a list": LIST
    + f"parameters: {{w: {{shape: [60], initializer: {{type: formula, value: '${{k{' + sum(l)' * 20}}}'}}}}}}",
    "comparisons of a list": LIST
    + f"parameters: {{w: {{shape: [60], initializer: {{type: formula, value: '${{k + (1 if {'l == l and ' * 10}true else 0)}}'}}}}}}",
    "a list as values": LIST + "operations: [{name: a, repeat: 1001, as: i, type: custom, parameters: "
    "{w: {shape: [100], initializer: {type: values, values: '${l}'}}, x: {shape: ['${i + 1}'], initializer: ones}}}]",
    "a list in the scope of groups": LIST
    + "operations: [{name: a, with: {v: '${l}'}, operations: [{name: b, repeat: 1001, operations: "
    "[{name: p, type: prelu, num_channels: '${len(v)}'}]}]}]",
    "logarithms": "parameters: {w: {shape: [4000], initializer: {type: formula, value: '${log(k + 1)}'}}}",
}


@pytest.mark.parametrize("name", COSTLY)
def test_costly_evaluations_are_refused(name: str, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_TERMS", 100_000)
    golden(expect_spec_error(COSTLY[name]))
    monkeypatch.setattr(limits, "MAX_TERMS", 400_000)
    assert list_problems(COSTLY[name]) == []


TABLES = {
    "values": "{type: values, values: [1, 2, 3, 4, '${i}']}",
    "arange": "{type: arange, start: '${i}'}",
    "formula": "{type: formula, value: '${k + i}'}",
}


@pytest.mark.parametrize("name", TABLES)
def test_numbers_of_all_tables_are_limited(name: str, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_TABLE_NUMBERS", 20)
    operation = f"type: custom, parameters: {{w: {{shape: [5], initializer: {TABLES[name]}}}}}"
    assert list_problems(f"operations: [{{name: a, repeat: 4, as: i, {operation}}}]") == []
    golden(expect_spec_error(f"operations: [{{name: a, repeat: 5, as: i, {operation}}}]"))
    same = operation.replace("${i}", "${7}").replace("k + i", "k + 7")
    assert list_problems(f"operations: [{{name: a, repeat: 1000, as: i, {same}}}]") == []
