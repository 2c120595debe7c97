"""Variables, groups, repetition and overrides: their effect, and their errors with lines and columns."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from golden import Golden
from helpers import expect_spec_error, list_locations, plan_text, read_plan_json
from hypothesis import given, settings
from hypothesis import strategies as st

import paramgen
from paramgen import limits
from paramgen.language import expansion, items
from paramgen.planning import plan as planning
from paramgen.planning import resolve
from paramgen.planning.overrides import Pattern


def shapes(text: str, **replaced: Any) -> dict[str, list[int]]:
    return {tensor["name"]: tensor["shape"] for tensor in read_plan_json(plan_text(text, **replaced))["parameters"]}


DENSE = "type: fully_connected, bias: false"
MODEL = f"""\
variables: {{hidden: 4, layers: 2, ffn: "${{2 * hidden}}"}}
operations:
- {{name: first, {DENSE}, input_size: 3, output_size: "${{hidden}}"}}
- name: encoder
  repeat: ${{layers}}
  as: i
  operations:
  - {{name: wide, {DENSE}, input_size: "${{hidden}}", output_size: "${{ffn + i}}"}}
  - name: inner
    operations:
    - name: deep
      repeat: 2
      as: j
      operations:
      - {{name: "d${{i}}${{j}}", {DENSE}, input_size: "${{i + 1}}", output_size: "${{10 * j + 1}}"}}
"""


def test_groups_repeat_and_nest() -> None:
    assert shapes(MODEL) == {
        "first.weights": [4, 3],
        "encoder.0.wide.weights": [8, 4],
        "encoder.0.inner.deep.0.d00.weights": [1, 1],
        "encoder.0.inner.deep.1.d01.weights": [11, 1],
        "encoder.1.wide.weights": [9, 4],
        "encoder.1.inner.deep.0.d10.weights": [1, 2],
        "encoder.1.inner.deep.1.d11.weights": [11, 2],
    }


def test_values_of_variables_are_replaced() -> None:
    found = shapes(MODEL, variables={"hidden": 5, "layers": 1})
    assert found["encoder.0.wide.weights"] == [10, 5]
    assert len(found) == 4
    assert shapes(MODEL, variables={"ffn": 7})["encoder.1.wide.weights"] == [8, 4]


def test_a_repetition_may_depend_on_another() -> None:
    text = (
        "operations:\n- {name: a, repeat: 3, as: i, operations: [{name: b, repeat: '${i + 1}', "
        f"operations: [{{name: c, {DENSE}, input_size: 1, output_size: 1}}]}}]}}\n"
    )
    assert list(shapes(text)) == [
        *["a.0.b.0.c.weights", "a.1.b.0.c.weights", "a.1.b.1.c.weights"],
        *["a.2.b.0.c.weights", "a.2.b.1.c.weights", "a.2.b.2.c.weights"],
    ]


def test_groups_without_repeat_and_repeated_once() -> None:
    once = f"operations: [{{name: c, {DENSE}, input_size: 1, output_size: 1}}]"
    assert list(shapes(f"operations: [{{name: a, {once}}}, {{name: b, repeat: 1, {once}}}]")) == [
        "a.c.weights",
        "b.0.c.weights",
    ]


def test_groups_of_the_same_name_are_merged() -> None:
    part = f"{{name: a, operations: [{{name: %s, {DENSE}, input_size: 1, output_size: 1}}]}}"
    assert list(shapes(f"operations: [{part % 'b'}, {part % 'c'}]")) == ["a.b.weights", "a.c.weights"]


def source(text: str, **replaced: Any) -> Any:
    header = plan_text(text, **replaced).files[0].header
    return json.loads(json.loads(header[8:])["__metadata__"]["paramgen_spec"])


def test_the_file_stores_the_spec_as_written() -> None:
    """Store expressions outside of repetitions as numbers; keep repetitions, defaults and overrides as written."""
    text = (
        MODEL + "- {name: g, operations: [{name: 'x${layers}', type: custom, parameters: {w: {shape: ['${hidden}'], "
        "initializer: {type: gaussian, std: '${1 / hidden}'}}}}]}\n"
        "defaults: {fully_connected: {weights: {type: gaussian, std: '${0.5 / hidden}'}}}\n"
        "overrides: [{match: 'encoder.${layers - 1}.*', initializer: {type: constant, value: '${hidden}'}}]\n"
        "seed: ${hidden + 1}\nname: m${layers}\n"
    )
    written = source(text, variables={"hidden": 8}, dtype="float16")
    assert written["variables"] == {"hidden": 8, "layers": 2, "ffn": 16}
    assert (written["seed"], written["name"], written["dtype"]) == (9, "m2", "float16")
    first, encoder, group = written["operations"]
    assert first["output_size"] == 8
    assert encoder["repeat"] == "${layers}"
    assert encoder["operations"][0]["output_size"] == "${ffn + i}"
    assert group["operations"][0]["name"] == "x2"
    assert group["operations"][0]["parameters"]["w"] == {
        "shape": [8],
        "initializer": {"type": "gaussian", "std": 0.125},
    }
    assert written["defaults"]["fully_connected"]["weights"]["std"] == "${0.5 / hidden}"
    assert written["overrides"][0]["match"] == "encoder.${layers - 1}.*"


def test_the_stored_spec_builds_the_same_file() -> None:
    plan = plan_text(MODEL, variables={"hidden": 6}, seed=3)
    again = json.dumps(source(MODEL, variables={"hidden": 6}, seed=3))
    assert plan_text(again).files[0].header == plan.files[0].header


def test_setting_a_variable_and_writing_it_are_the_same() -> None:
    assert (
        plan_text(MODEL, variables={"hidden": 6}).files[0].header
        == plan_text(MODEL.replace("hidden: 4", "hidden: 6")).files[0].header
    )


OVERRIDES = f"""\
operations:
- {{name: a, type: lstm, input_size: 2, num_hidden_units: 2}}
- {{name: b, {DENSE}, input_size: 2, output_size: 2, initializers: {{weights: ones}}}}
overrides:
"""


def initializers(overrides: str) -> dict[str, tuple[str, str]]:
    return {
        tensor["name"]: (tensor["initializer"]["type"], tensor["dtype"])
        for tensor in read_plan_json(plan_text(OVERRIDES + overrides))["parameters"]
    }


def test_the_last_matching_override_prevails() -> None:
    found = initializers(
        "- {match: '*.weights', initializer: zeros}\n"
        "- {match: '*', dtype: float16}\n"
        "- {match: '*weights', initializer: he, dtype: bfloat16}\n"
        "- {match: 'a.[ir]*', initializer: gaussian}\n"
        "- {match: a.bias, initializer: ones}\n"
    )
    assert found == {
        "a.input_weights": ("gaussian", "bfloat16"),
        "a.recurrent_weights": ("gaussian", "bfloat16"),
        "a.bias": ("ones", "float16"),
        "b.weights": ("he", "bfloat16"),
    }


def test_an_override_prevails_over_the_dtype_of_a_custom_parameter() -> None:
    text = (
        "operations: [{name: a, type: custom, dtype: float16, parameters: "
        "{w: {shape: [1], initializer: ones, dtype: float64}}}]\noverrides: [{match: a.w, dtype: bfloat16}]\n"
    )
    assert read_plan_json(plan_text(text))["parameters"][0]["dtype"] == "bfloat16"


DEEP = "operations:\n- name: g\n  repeat: 3\n  as: i\n  operations:\n  - name: d\n    type: fully_connected\n"


MISTAKES: dict[str, tuple[str, list[str]]] = {
    # Variables.
    "variables: a number for all": ("variables: 3\n", ["1:12: variables"]),
    "variables: a list in a list": ("variables: {a: [[1]]}\n", ["1:16: variables.a"]),
    "variables: a mapping": ("variables: {a: {b: 1}}\n", ["1:16: variables.a"]),
    "variables: infinity": ("variables: {a: .inf}\n", ["1:16: variables.a"]),
    "variables: infinity made an integer": (
        "variables: {a: .inf, b: '${int(a)}', c: '${round(a)}'}\n",
        ["1:16: variables.a"],
    ),
    "variables: nan made an integer": ("variables: {a: .nan, b: '${sqrt(a) + int(a)}'}\n", ["1:16: variables.a"]),
    "variables: the root of one beyond the largest": (
        f"variables: {{a: {2**130}, b: '${{sqrt(a)}}'}}\n",
        ["1:16: variables.a"],
    ),
    "variables: null": ("variables: {a: }\n", ["1:16: variables.a"]),
    "variables: a name that begins with a digit": ("variables: {1a: 3}\n", ["1:13: variables.1a"]),
    "variables: a superscript for a name": ("variables: {²: 3}\n", ["1:13: variables.²"]),
    "variables: a superscript in a name": ("variables: {a²: 3}\n", ["1:13: variables.a²"]),
    "variables: a superscript in an expression": (
        "variables: {²: 3}\nseed: ${²}\n",
        ["1:13: variables.²", "2:7: seed"],
    ),
    "groups: an index named by a symbol": (DEEP.replace("as: i", "as: ①"), ["4:7: operations[0].as"]),
    "variables: one before its definition": ("variables: {a: '${b}', b: 1}\n", ["1:16: variables.a"]),
    "variables: one of itself": ("variables: {a: '${a}'}\n", ["1:16: variables.a"]),
    "variables: a circle": (
        "variables: {a: '${b}', b: '${c}', c: '${a}'}\n",
        ["1:16: variables.a", "1:27: variables.b"],
    ),
    "variables: an unknown one": ("variables: {a: '${q}'}\n", ["1:16: variables.a"]),
    "variables: division by zero": ("variables: {a: 1, b: '${a / 0}', c: '${b}'}\n", ["1:22: variables.b"]),
    "variables: a number beyond float64": ("variables: {a: 1e400}\n", ["1:16: variables.a"]),
    "variables: an integer beyond 128 bits": (f"variables: {{a: {2**128}}}\n", ["1:16: variables.a"]),
    # Expressions.
    "expressions: a variable misspelt": ("seed: ${hiden}\nvariables: {hidden: 3}\n", ["1:7: seed"]),
    "expressions: a float for an integer": ("variables: {a: 1.5}\nseed: ${a}\n", ["2:7: seed"]),
    "expressions: one that does not close": ("seed: ${1\n", ["1:7: seed"]),
    "expressions: one that ends early": ("dtype: float${8 * 4}\nseed: ${1 +}\n", ["2:7: seed"]),
    "expressions: a value out of range": (
        "defaults: {conv: {weights: {type: gaussian, std: '${1 - 2}'}}}\n",
        ["1:50: defaults.conv.weights.std"],
    ),
    # Groups.
    "groups: an empty list of operations": (
        "operations: [{name: g, operations: []}]\n",
        ["1:36: operations[0].operations"],
    ),
    "groups: a number for operations": ("operations: [{name: g, operations: 3}]\n", ["1:36: operations[0].operations"]),
    "groups: one without a name": (
        "operations: [{operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
        ["1:14: operations[0].name"],
    ),
    "groups: a name with two dots": (
        "operations: [{name: a..b, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
        ["1:21: operations[0].name"],
    ),
    "groups: one named __metadata__": (
        "operations: [{name: __metadata__, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
        ["1:21: operations[0].name"],
    ),
    "groups: repeat misspelt": (
        "operations: [{name: g, repat: 3, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
        ["1:24: operations[0].repat"],
    ),
    "groups: operations misspelt": (
        "operations: [{name: g, operatoins: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
        ["1:24: operations[0].operatoins"],
    ),
    **{
        f"groups: repeat is {count}": (DEEP.replace("repeat: 3", f"repeat: {count}"), ["3:11: operations[0].repeat"])
        for count in ("-1", "1000000000", "2.0", "true", "'3'", "'${4 / 2}'")
    },
    "groups: a number for an index": (DEEP.replace("as: i", "as: 3"), ["4:7: operations[0].as"]),
    "groups: an index with a hyphen": (DEEP.replace("as: i", "as: a-b"), ["4:7: operations[0].as"]),
    "groups: an index without a repetition": (
        DEEP.replace("  repeat: 3\n", "") + "    input_size: 1\n    output_size: 1\n",
        ["3:3: operations[0].as"],
    ),
    "groups: an index named like a variable": ("variables: {i: 1}\n" + DEEP, ["5:7: operations[0].as"]),
    "groups: an index named like the one around it": (
        "operations: [{name: g, repeat: 2, as: i, operations: [{name: h, repeat: 2, as: i, "
        "operations: [{name: d, type: batchnorm, num_channels: 1}]}]}]\n",
        ["1:80: operations[0].operations[0].as"],
    ),
    # Errors in a repetition: reported once, for the first one, with the full name and the indices.
    "repetitions: a value of no index": (
        DEEP + "    input_size: ${2 - i}\n    output_size: 0\n",
        ["9:18: operations[0].operations[0].output_size"],
    ),
    "repetitions: a value of an index": (
        DEEP + "    input_size: ${2 - i}\n    output_size: 1\n",
        ["8:17: operations[0].operations[0].input_size"],
    ),
    "repetitions: a float of an index": (
        DEEP + "    input_size: ${6 / (i - 1)}\n    output_size: 1\n",
        ["8:17: operations[0].operations[0].input_size"],
    ),
    "repetitions: division by zero": (
        DEEP + "    input_size: ${6 // (1 - i)}\n    output_size: 1\n",
        ["8:17: operations[0].operations[0].input_size"],
    ),
    "repetitions: an unknown variable": (
        DEEP + "    input_size: ${j}\n    output_size: ${i}\n",
        ["8:17: operations[0].operations[0].input_size", "9:18: operations[0].operations[0].output_size"],
    ),
    "repetitions: an unknown field": (
        DEEP + "    input_size: 1\n    output_sizes: 1\n",
        ["9:5: operations[0].operations[0].output_sizes"],
    ),
    "repetitions: an initializer that does not fit": (
        DEEP + "    input_size: 1\n    output_size: 1\n    initializers: {bias: he}\n",
        ["10:26: operations[0].operations[0].initializers.bias"],
    ),
    "repetitions: a name that divides by zero": (
        DEEP.replace("name: d", "name: d${1 // (2 - i)}") + "    input_size: 1\n    output_size: 1\n",
        ["6:11: operations[0].operations[0].name"],
    ),
    "repetitions: a name of a negative index": (
        DEEP.replace("name: d", "name: ${1 - i}") + "    input_size: 1\n    output_size: 1\n",
        ["6:11: operations[0].operations[0].name"],
    ),
    "repetitions: values beyond the dtype": (
        DEEP + "    input_size: 1\n    output_size: 1\n    dtype: float8_e4m3fn\n"
        "    initializers: {weights: {type: gaussian, std: '${10 ** i}'}}\n",
        ["11:29: operations[0].operations[0].initializers.weights"],
    ),
    # Names that collide.
    "names: one tensor twice": (
        "operations:\n- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n"
        "- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n",
        ["3:33: operations[1].operations[0].name"],
    ),
    # Overrides.
    "overrides: a number for all": ("overrides: 3\n", ["1:12: overrides"]),
    "overrides: a number for one": ("overrides: [3]\n", ["1:13: overrides[0]"]),
    "overrides: one that says nothing": ("overrides: [{match: x}]\n", ["1:13: overrides[0]"]),
    "overrides: one without a pattern": ("overrides: [{initializer: he}]\n", ["1:13: overrides[0].match"]),
    "overrides: a number for a pattern": ("overrides: [{match: 3, dtype: float16}]\n", ["1:21: overrides[0].match"]),
    "overrides: an empty pattern": ("overrides: [{match: '', dtype: float16}]\n", ["1:21: overrides[0].match"]),
    "overrides: a field misspelt": (
        "overrides: [{match: x, initalizer: he}]\n",
        ["1:13: overrides[0]", "1:24: overrides[0].initalizer"],
    ),
    "overrides: a name misspelt": ("overrides: [{match: b.ofset, initializer: ones}]\n", ["1:21: overrides[0].match"]),
    "overrides: a pattern of a variable": (
        "overrides: [{match: 'x${n}.*', dtype: float16}]\nvariables: {n: 3}\n",
        ["1:21: overrides[0].match"],
    ),
    "overrides: one with a wrong variable": (
        "variables: {n: null}\noverrides: [{match: g.*, dtype: float16}]\noperations:\n"
        "- {name: p, type: prelu}\n- {name: g, repeat: '${n}', operations: [{name: p, type: prelu}]}\n",
        ["1:16: variables.n"],
    ),
    "overrides: an initializer that does not fit": (
        "overrides: [{match: b.scale, initializer: glorot}]\n",
        ["1:43: overrides[0].initializer"],
    ),
    "overrides: a dtype misspelt": ("overrides: [{match: '*', dtype: float99}]\n", ["1:33: overrides[0].dtype"]),
    "overrides: values beyond the dtype": (
        "dtype: float8_e4m3fn\noverrides: [{match: '*', initializer: {type: constant, value: 1000}}]\n",
        ["2:39: overrides[0].initializer"],
    ),
}


@pytest.mark.parametrize(("text", "places"), MISTAKES.values(), ids=list(MISTAKES))
def test_errors_in_groups_have_their_places(text: str, places: list[str], golden: Golden) -> None:
    if "operations:" not in text:
        text += "operations: [{name: b, type: batchnorm, num_channels: 1}]\n"
    error = expect_spec_error(text)
    assert list_locations(error) == places
    golden(error)


@pytest.mark.parametrize(
    "line",
    ["a: [${h}, 2]", "a: {b: ${h}}", "a: [2, ${h * 2} ]", "a: {${h}: 1}", "a: {b: x${h}}", "a: {b: '${h}', c: ${h}}"],
)
def test_expressions_in_flow_style_need_quotes(line: str, golden: Golden) -> None:
    error = expect_spec_error(f"operations: 1\n{line}\n")
    assert list_locations(error) == [f"2:{line.rindex('${') + 2}"]
    golden(error)


def test_unknown_variables_are_reported(golden: Golden) -> None:
    with pytest.raises(paramgen.UsageError) as misspelt:
        plan_text(MODEL, variables={"hiden": 3})
    with pytest.raises(paramgen.UsageError) as unlike:
        plan_text("operations: [{name: b, type: batchnorm, num_channels: 1}]", variables={"a": 3})
    with pytest.raises(paramgen.SpecError) as text:
        plan_text(MODEL, variables={"hidden": None})
    assert text.value.diagnostics[0].path == "variables.hidden"
    golden(misspelt.value, unlike.value, text.value)


def test_too_many_operations_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 50)
    inner = f"operations: [{{name: c, {DENSE}, input_size: 1, output_size: 1}}]"
    assert len(shapes(f"operations: [{{name: a, repeat: 5, operations: [{{name: b, repeat: 10, {inner}}}]}}]")) == 50
    errors = [
        expect_spec_error(text)
        for text in (
            f"operations: [{{name: a, repeat: 6, operations: [{{name: b, repeat: 10, {inner}}}]}}]",
            f"operations: [{{name: a, repeat: 11, as: i, operations: [{{name: b, repeat: '${{i + 1}}', {inner}}}]}}]",
        )
    ]
    assert [list_locations(error) for error in errors] == [["1:32: operations[0].repeat"]] * 2
    golden(*errors)


REPEATED = (
    f"operations: [{{name: a, repeat: %s, as: i, operations: [{{name: %s, {DENSE}, input_size: %s, output_size: 1}}]}}]"
)


def test_too_many_different_operations_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_DISTINCT_OPERATIONS", 20)
    assert len(shapes(REPEATED % (18, "'c${i}'", "'${i + 1}'"))) == 18
    assert len(shapes(REPEATED % (100, "c", "1"))) == 100
    assert len(shapes(REPEATED % (100, "'c${i}'", "'${i // 50 + 1}'"))) == 100
    repeated = expect_spec_error(REPEATED % (19, "'c${i}'", "'${i + 1}'"))
    assert list_locations(repeated) == ["1:56: operations[0].operations[0]"]
    written = expect_spec_error("operations:\n" + "- {name: p, type: prelu}\n" * 21)
    assert list_locations(written) == ["2:1: operations"]
    golden(repeated, written)


def test_too_many_terms_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    """Count each term once when it is parsed, and twice per value: for the cache's key, and for the operation."""
    monkeypatch.setattr(limits, "MAX_TERMS", 84)
    assert len(shapes(REPEATED % (10, "b", "'${i + 1}'"))) == 10
    monkeypatch.setattr(limits, "MAX_TERMS", 83)
    once = expect_spec_error(REPEATED % (10, "b", "'${i + 1}'"))
    assert list_locations(once) == ["1:114: operations[0].operations[0].input_size"]
    names = expect_spec_error(REPEATED % (100, "'b${i}'", "1"))
    assert list_locations(names) == ["1:64: operations[0].operations[0].name"]
    sizes = expect_spec_error(REPEATED % (100, "b", "'${1" + " + 0 * i" * 20 + "}'"))
    assert list_locations(sizes) == ["1:57: operations[0].operations[0]"]
    variables = expect_spec_error("variables: {a: '${1 + 22}', b: '${" + "1 + " * 50 + "1}'}\noperations: []\n")
    assert list_locations(variables) == ["1:32: variables.b"]
    golden(once, names, sizes, variables)


def test_counting_groups_that_depend_on_an_index_stops_at_the_limit(
    monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    """Report the limit once, although each level multiplies the visits of the next one."""
    monkeypatch.setattr(limits, "MAX_TERMS", 1000)
    counted = []
    count = expansion.GroupItem.count
    monkeypatch.setattr(expansion.GroupItem, "count", lambda *args: counted.append(args) or count(*args))
    text = f"{{name: c, {DENSE}, input_size: 1, output_size: 1}}"
    for level in range(6):
        text = f"{{name: a, repeat: '${{9 + 0 * i{level + 1}}}', as: i{level}, operations: [{text}]}}"
    error = expect_spec_error(f"operations: [{{name: a, repeat: 9, as: i6, operations: [{text}]}}]")
    assert len(counted) < 400
    assert error.total == 1
    golden(error)


def test_groups_that_do_not_depend_on_an_index_are_multiplied(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    counted = []
    count = expansion.GroupItem.count
    monkeypatch.setattr(expansion.GroupItem, "count", lambda *args: counted.append(args) or count(*args))
    text = f"{{name: c, {DENSE}, input_size: 1, output_size: 1}}"
    for _ in range(13):
        text = f"{{name: a, repeat: 1000, as: i, operations: [{text}]}}".replace("as: i", f"as: i{len(text)}")
    error = expect_spec_error(f"operations: [{text}]")
    assert len(counted) == 13
    assert error.total == 1
    golden(error)


def test_counting_stops_at_an_invalid_group(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 50)
    text = "operations: [{name: a, repeat: 50, operations: [{name: b, repeat: 50, operations: [{name: c, operations: []}]}]}]"
    error = expect_spec_error(text)
    assert list_locations(error) == ["1:32: operations[0].repeat"]
    golden(error)


def test_too_long_names_are_refused(golden: Golden) -> None:
    inner = "{name: *n, operations: [{name: *n, type: prelu}]}"
    nested = expect_spec_error(f"operations: [{{name: &n {'n' * 100}, operations: [{inner}]}}]")
    assert nested.diagnostics[0].path == "operations[0].operations[0].operations[0].name"
    alone = expect_spec_error(f"operations: [{{name: {'n' * 257}, type: prelu}}]")
    assert alone.diagnostics[0].path == "operations[0].name"
    repeated = expect_spec_error(
        f"operations: [{{name: {'n' * 252}, repeat: 11, operations: [{{name: p, type: prelu}}]}}]"
    )
    assert repeated.diagnostics[0].path == "operations[0].operations[0].name"
    assert nested.total == alone.total == repeated.total == 1
    golden(nested, alone, repeated)


def test_suggestions_are_made_only_for_printed_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    suggested = []
    monkeypatch.setattr(
        resolve._Resolver, "_suggest_name", lambda self, pattern: suggested.append(pattern) or "; did you mean …?"
    )
    overrides = ", ".join("{match: x, dtype: float16}" for _ in range(100))
    error = expect_spec_error(f"overrides: [{overrides}]\noperations: [{{name: p, type: prelu}}]\n")
    assert (error.total, len(suggested)) == (100, 20)


def test_too_many_comparisons_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    operations = "operations:\n" + "".join(f"- {{name: b{i}, type: prelu}}\n" for i in range(5))
    errors = []
    for patterns, cost in ((["*", "b*"], 10), (["b?.*", "*[hp][hp]a"], 10), (["*", "*?a*"], 110), (["*a*l*"], 15)):
        entries = [f"{{match: '{pattern}', dtype: float16}}" for pattern in patterns]
        overrides = f"overrides: [{', '.join(entries)}]\n"
        monkeypatch.setattr(limits, "MAX_COMPARISONS", cost)
        assert len(shapes(overrides + operations)) == 5
        monkeypatch.setattr(limits, "MAX_COMPARISONS", cost - 1)
        errors.append(expect_spec_error(overrides + operations))
        assert list_locations(errors[-1]) == ["1:12: overrides"]
    golden(*errors)


PIECES = st.lists(
    st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]", "[", "]", "[]]", "[b-a]", "-", "!"]), max_size=9
)


@pytest.mark.slow
@given(PIECES.map("".join), st.text("ab.][-!", max_size=12))
@settings(max_examples=2000, deadline=None)
def test_patterns_match_like_fnmatch(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name) == fnmatchcase(name, pattern)


def test_too_many_variables_and_overrides_are_refused(golden: Golden) -> None:
    operation = "operations: [{name: p, type: prelu}]\n"
    many = ", ".join(f"v{number}: 1" for number in range(1001))
    variables = expect_spec_error(f"variables: {{{many}}}\n{operation}")
    assert list_locations(variables) == ["1:12: variables"]
    many = ", ".join("{match: '*', dtype: float16}" for _ in range(1001))
    overrides = expect_spec_error(f"overrides: [{many}]\n{operation}")
    assert list_locations(overrides) == ["1:12: overrides"]
    golden(variables, overrides)


def test_too_long_patterns_are_refused(golden: Golden) -> None:
    error = expect_spec_error(
        f"overrides: [{{match: '{'a' * 101}', dtype: float16}}]\noperations: [{{name: p, type: prelu}}]"
    )
    assert list_locations(error) == ["1:21: overrides[0].match"]
    golden(error)


def test_names_that_exceed_a_header_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(planning, "MAX_HEADER_BYTES", 150)
    error = expect_spec_error("operations: [{name: some, repeat: 9, operations: [{name: longer-name, type: prelu}]}]")
    assert list_locations(error) == ["1:51: operations[0].operations[0]"]
    golden(error)


def test_a_full_cache_changes_no_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shapes(MODEL)
    monkeypatch.setattr(items, "CACHE_SIZE", 1)
    monkeypatch.setattr(expansion, "MAX_CACHED_OPERATIONS", 1)
    assert shapes(MODEL) == expected


def test_repeated_operations_are_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    check = items.OperationItem.check
    monkeypatch.setattr(items.OperationItem, "check", lambda *args: calls.append(args[0].path) or check(*args))
    text = (
        f"operations: [{{name: a, repeat: 100, as: i, operations: [{{name: b, {DENSE}, input_size: 1, output_size: 1}}, "
        f"{{name: 'c${{i}}', {DENSE}, input_size: '${{i % 3 + 1}}', output_size: 1}}]}}]"
    )
    assert len(shapes(text)) == 200
    assert len(calls) == 4


def test_an_integer_and_a_float_of_one_value_differ(golden: Golden) -> None:
    error = expect_spec_error(REPEATED % (2, "b", "'${2 ** (1 - 2 * i) * 2 ** i * 2 ** i}'"))
    assert list_locations(error) == ["1:113: operations[0].operations[0].input_size"]
    golden(error)


def test_local_variables_hide_keywords_in_any_order() -> None:
    entries = [
        {"name": "first", "type": "prelu", "num_channels": "${2 if true else 3}"},
        {"name": "second", "type": "prelu", "with": {"true": False}, "num_channels": "${2 if true else 3}"},
        {"name": "third", "type": "prelu", "with": {"true": True}, "num_channels": "${2 if true else 3}"},
    ]
    for operations in (entries, entries[::-1]):
        spec = paramgen.load_spec({"operations": operations})
        found = {row["name"]: row["shape"] for row in spec.plan.rows()}
        assert found == {"first.alpha": [2, 1], "second.alpha": [3, 1], "third.alpha": [2, 1]}
        stored = json.loads(planning.metadata(spec._parsed)["paramgen_spec"])
        assert {row["name"]: row["shape"] for row in paramgen.load_spec(stored).plan.rows()} == found


def test_operations_are_counted_with_a_variable_named_like_a_keyword(
    monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 10)
    inner = "{name: h, repeat: '${true}', type: prelu}"
    error = expect_spec_error(f"operations: [{{name: g, repeat: 3, with: {{'true': 4}}, operations: [{inner}]}}]")
    golden(error)


def test_groups_with_equal_lists_of_different_types(golden: Golden) -> None:
    inner = '{name: "x_${v[0]}", type: prelu, num_channels: "${w[0]}"}'
    text = f"""\
variables: {{a: [1], b: [true], c: [2], d: [2.0]}}
operations:
- name: g
  repeat: 2
  as: i
  operations:
  - name: h
    with: {{v: "${{a if i == 0 else b}}", w: "${{c}}"}}
    operations: [{inner}]
"""
    assert shapes(text) == {"g.0.h.x_1.alpha": [2, 1], "g.1.h.x_true.alpha": [2, 1]}
    golden(expect_spec_error(text.replace('"${c}"', '"${c if i == 0 else d}"')))


def test_groups_distinguish_negative_zero() -> None:
    inner = {"name": "p", "type": "prelu", "initializers": {"alpha": {"type": "constant", "value": "${v}"}}}
    group = {"name": "g", "repeat": 2, "as": "i", "operations": [
        {"name": "h", "with": {"v": "${z[i]}"}, "operations": [inner]}
    ]}  # fmt: skip
    found = paramgen.sample({"variables": {"z": [0.0, -0.0]}, "operations": [group]}, flat=True)
    assert [str(values[0, 0]) for values in found.values()] == ["0.0", "-0.0"]
