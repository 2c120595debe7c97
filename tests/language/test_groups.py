"""Variables, groups, repetition and overrides: what they make, and what is wrong with them, at its line."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from conftest import document_of, problems_of
from hypothesis import given, settings
from hypothesis import strategies as st

import paramgen
from paramgen import limits
from paramgen.language import groups as tree
from paramgen.language.model import interpret
from paramgen.language.yaml_reader import from_yaml
from paramgen.planning import plan as plans
from paramgen.planning import resolve as expand
from paramgen.planning.plan import make_plan


def planned(text: str, **arguments: Any) -> Any:
    return make_plan(interpret(from_yaml(text.encode(), "s"), "s", **arguments))


def shapes(text: str, **arguments: Any) -> dict[str, list[int]]:
    return {tensor["name"]: tensor["shape"] for tensor in document_of(planned(text, **arguments))["parameters"]}


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


def test_values_of_variables_are_set() -> None:
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


def test_a_group_need_not_repeat_and_may_once() -> None:
    once = f"operations: [{{name: c, {DENSE}, input_size: 1, output_size: 1}}]"
    assert list(shapes(f"operations: [{{name: a, {once}}}, {{name: b, repeat: 1, {once}}}]")) == [
        "a.c.weights",
        "b.0.c.weights",
    ]


def test_groups_of_one_name_come_together() -> None:
    part = f"{{name: a, operations: [{{name: %s, {DENSE}, input_size: 1, output_size: 1}}]}}"
    assert list(shapes(f"operations: [{part % 'b'}, {part % 'c'}]")) == ["a.b.weights", "a.c.weights"]


def source(text: str, **arguments: Any) -> Any:
    header = planned(text, **arguments).header
    return json.loads(json.loads(header[8:])["__metadata__"]["paramgen_spec"])


def test_the_file_says_what_was_written() -> None:
    """Expressions outside of repetitions as their numbers; repetitions, defaults and overrides as they stand."""
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


def test_what_the_file_says_builds_the_same_file() -> None:
    made = planned(MODEL, variables={"hidden": 6}, seed=3)
    again = json.dumps(source(MODEL, variables={"hidden": 6}, seed=3))
    assert planned(again).header == made.header


def test_setting_a_variable_and_writing_it_are_the_same() -> None:
    assert planned(MODEL, variables={"hidden": 6}).header == planned(MODEL.replace("hidden: 4", "hidden: 6")).header


OVERRIDES = f"""\
operations:
- {{name: a, type: lstm, input_size: 2, num_hidden_units: 2}}
- {{name: b, {DENSE}, input_size: 2, output_size: 2, initializers: {{weights: ones}}}}
overrides:
"""


def initializers(overrides: str) -> dict[str, tuple[str, str]]:
    return {
        tensor["name"]: (tensor["initializer"]["type"], tensor["dtype"])
        for tensor in document_of(planned(OVERRIDES + overrides))["parameters"]
    }


def test_overrides_go_before_all_else_the_last_first() -> None:
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


def test_an_override_goes_before_the_dtype_of_a_custom_parameter() -> None:
    text = (
        "operations: [{name: a, type: custom, dtype: float16, parameters: "
        "{w: {shape: [1], initializer: ones, dtype: float64}}}]\noverrides: [{match: a.w, dtype: bfloat16}]\n"
    )
    assert document_of(planned(text))["parameters"][0]["dtype"] == "bfloat16"


DEEP = "operations:\n- name: g\n  repeat: 3\n  as: i\n  operations:\n  - name: d\n    type: fully_connected\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Variables.
        ("variables: 3\n", ["1:12: variables: 3 is not a mapping of names to numbers, at most 1,000"]),
        ("variables: {a: b}\n", ["1:16: variables.a: 'b' is not a number below 2^128 in magnitude, or ${…}"]),
        ("variables: {a: true}\n", ["1:16: variables.a: true is not a number"]),
        ("variables: {a: .inf}\n", ["variables.a: .inf is not a number"]),
        ("variables: {a: .inf, b: '${int(a)}', c: '${round(a)}'}\n", ["variables.a: .inf is not a number"]),
        ("variables: {a: .nan, b: '${sqrt(a) + int(a)}'}\n", ["variables.a: .nan is not a number"]),
        (
            f"variables: {{a: {2**130}, b: '${{sqrt(a)}}'}}\n",
            ["variables.a: 1361129467683753853853498429727072845824 is not a number"],
        ),
        ("variables: {a: '3'}\n", ["variables.a: '3' is not a number"]),
        ("variables: {a: }\n", ["variables.a: null is not a number"]),
        ("variables: {1a: 3}\n", ["1:13: variables.1a: '1a' is not a name of a variable"]),
        ("variables: {²: 3}\n", ["1:13: variables.²: '²' is not a name of a variable", "decimal digits"]),
        ("variables: {a²: 3}\n", ["1:13: variables.a²: 'a²' is not a name of a variable"]),
        ("variables: {²: 3}\nseed: ${²}\n", ["variables.²: '²' is not", "2:7: seed: ${²}: '²' is not arithmetic"]),
        (DEEP.replace("as: i", "as: ①"), ["4:7: operations[0].as: '①' is not a name of a variable"]),
        ("variables: {max: 3}\n", ["1:13: variables.max: 'max' is not a name of a variable", "no function's name"]),
        ("variables: {a: '${b}', b: 1}\n", ["1:16: variables.a: ${b}: b stands after a; move it before"]),
        ("variables: {a: '${a}'}\n", ["1:16: variables.a: ${a}: a refers to itself"]),
        (
            "variables: {a: '${b}', b: '${c}', c: '${a}'}\n",
            [
                "1:16: variables.a: ${b}: a refers to itself by way of b",
                "variables.b: ${c}: b refers to itself by way of c",
            ],
        ),
        ("variables: {a: '${q}'}\n", ["variables.a: ${q}: q is no variable; the spec has no variables"]),
        ("variables: {a: 1, b: '${a / 0}', c: '${b}'}\n", ["1:22: variables.b: ${a / 0}: divides by zero"]),
        ("variables: {a: 'x${1}'}\n", ["variables.a: 'x1' is not a number", "(x${1})"]),
        ("variables: {a: 1e400}\n", ["variables.a: .inf is not"]),
        (f"variables: {{a: {2**128}}}\n", ["is not a number below 2^128"]),
        # Expressions.
        (
            "seed: ${hiden}\nvariables: {hidden: 3}\n",
            ["1:7: seed: ${hiden}: hiden is no variable; did you mean hidden?"],
        ),
        ("variables: {a: 1.5}\nseed: ${a}\n", ["2:7: seed: 1.5 is not an integer from 0 to 2^64 - 1 (${a})"]),
        ("seed: ${1\n", ["1:7: seed: ${1: '${' has no '}' after it"]),
        ("dtype: float${8 * 4}\nseed: ${1 +}\n", ["2:7: seed: ${1 +}: ends where a number"]),
        (
            "defaults: {conv: {weights: {type: gaussian, std: '${1 - 2}'}}}\n",
            ["1:50: defaults.conv.weights.std: -1 is not a finite number of at least 0 (${1 - 2})"],
        ),
        # Groups.
        (
            "operations: [{name: g, operations: []}]\n",
            ["1:36: operations[0].operations: [] is not a list of operations"],
        ),
        ("operations: [{name: g, operations: 3}]\n", ["operations[0].operations: 3 is not a list of operations"]),
        (
            "operations: [{operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
            ["1:14: operations[0].name: missing; a group needs it"],
        ),
        (
            "operations: [{name: a.b, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
            ["1:21: operations[0].name: 'a.b' is not a name"],
        ),
        (
            "operations: [{name: __metadata__, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
            ["operations[0].name: '__metadata__' is the file's own name"],
        ),
        (
            "operations: [{name: g, repat: 3, operations: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
            ["1:24: operations[0].repat: unknown field of a group; did you mean repeat?"],
        ),
        (
            "operations: [{name: g, operatoins: [{name: d, type: batchnorm, num_channels: 1}]}]\n",
            ["1:24: operations[0].operatoins: unknown field of a group; did you mean operations?"],
        ),
        *(
            (
                DEEP.replace("repeat: 3", f"repeat: {count}"),
                [f"3:11: operations[0].repeat: {shown} is not an integer from 1"],
            )
            for count, shown in [
                ("0", "0"),
                ("-1", "-1"),
                ("1000000000", "1000000000"),
                ("2.0", "2.0"),
                ("true", "true"),
                ("'3'", "'3'"),
                ("'${4 / 2}'", "2.0"),
            ]
        ),
        (
            DEEP.replace("as: i", "as: 3"),
            ["4:7: operations[0].as: 3 is not a name of a variable"],
        ),
        (DEEP.replace("as: i", "as: a-b"), ["4:7: operations[0].as: 'a-b' is not a name of a variable"]),
        (DEEP.replace("as: i", "as: sqrt"), ["4:7: operations[0].as: 'sqrt' is not a name of a variable"]),
        (
            DEEP.replace("  repeat: 3\n", "") + "    input_size: 1\n    output_size: 1\n",
            ["3:3: operations[0].as: names the index of a repetition; add repeat"],
        ),
        ("variables: {i: 1}\n" + DEEP, ["5:7: operations[0].as: i is a variable of the spec already"]),
        (
            "operations: [{name: g, repeat: 2, as: i, operations: [{name: h, repeat: 2, as: i, "
            "operations: [{name: d, type: batchnorm, num_channels: 1}]}]}]\n",
            ["1:80: operations[0].operations[0].as: i is the index of a group around it already", "(in g.0.h)"],
        ),
        # What is wrong in a repetition: once, where it is first, with the whole name and the indices.
        (
            DEEP + "    input_size: ${2 - i}\n    output_size: 0\n",
            [
                "9:18: operations[0].operations[0].output_size: 0 is not a positive integer (in g.0.d)",
            ],
        ),
        (
            DEEP + "    input_size: ${2 - i}\n    output_size: 1\n",
            ["8:17: operations[0].operations[0].input_size: 0 is not a positive integer (${2 - i}, i = 2, in g.2.d)"],
        ),
        (
            DEEP + "    input_size: ${6 / (i - 1)}\n    output_size: 1\n",
            ["8:17: operations[0].operations[0].input_size: -6.0 is not a positive integer (${6 / (i - 1)}, i = 0"],
        ),
        (
            DEEP + "    input_size: ${6 // (1 - i)}\n    output_size: 1\n",
            ["8:17: operations[0].operations[0].input_size: ${6 // (1 - i)}: divides by zero (i = 1, in g.1.d)"],
        ),
        (
            DEEP + "    input_size: ${j}\n    output_size: ${i}\n",
            [
                "8:17: operations[0].operations[0].input_size: ${j}: j is no variable; there is i (in g.0.d)",
                "9:18: operations[0].operations[0].output_size: 0 is not a positive integer (${i}, i = 0, in g.0.d)",
            ],
        ),
        (
            DEEP + "    input_size: 1\n    output_sizes: 1\n",
            ["9:5: operations[0].operations[0].output_sizes: unknown field of fully_connected", "(in g.0.d)"],
        ),
        (
            DEEP + "    input_size: 1\n    output_size: 1\n    initializers: {bias: he}\n",
            ["10:26: operations[0].operations[0].initializers.bias: he needs fan_in", "(in g.0.d)"],
        ),
        (
            DEEP.replace("name: d", "name: d${0.5 * i}") + "    input_size: 1\n    output_size: 1\n",
            [
                "6:11: operations[0].operations[0].name: 'd0.0' is not a name",
                "U+002E is none of these (d${0.5 * i}, i = 0",
            ],
        ),
        (
            DEEP.replace("name: d", "name: d${1 // (2 - i)}") + "    input_size: 1\n    output_size: 1\n",
            ["6:11: operations[0].operations[0].name: d${1 // (2 - i)}: divides by zero (i = 2, in g.2.d"],
        ),
        (
            DEEP.replace("name: d", "name: ${1 - i}") + "    input_size: 1\n    output_size: 1\n",
            ["6:11: operations[0].operations[0].name: '-1' is not a name", "(${1 - i}, i = 2, in g.2.-1)"],
        ),
        (
            DEEP + "    input_size: 1\n    output_size: 1\n    dtype: float8_e4m3fn\n"
            "    initializers: {weights: {type: gaussian, std: '${10 ** i}'}}\n",
            ["g.2.d.weights has values up to 634, beyond 448", "(in g.2.d)"],
        ),
        # Names that collide.
        (
            "operations:\n- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n"
            "- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n",
            [
                "3:33: operations[1].operations[0].name: operations[0].operations[0] has a tensor g.d.offset already; "
                "give each operation its own name (in g.d)"
            ],
        ),
        (
            "operations:\n- {name: g, type: custom, parameters: {d: {shape: [1], initializer: ones}}}\n"
            "- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n",
            ["3:33: operations[1].operations[0].name: operations[0] has a tensor g.d, which is in the way; rename one"],
        ),
        (
            "operations:\n- {name: g, operations: [{name: d, type: batchnorm, num_channels: 1}]}\n"
            "- {name: g, type: custom, parameters: {d: {shape: [1], initializer: ones}}}\n",
            ["3:10: operations[1].name: operations[0].operations[0] has tensors named g.d.…, which are in the way"],
        ),
        # Overrides.
        ("overrides: 3\n", ["1:12: overrides: 3 is not a list of at most 1,000 overrides"]),
        ("overrides: [3]\n", ["1:13: overrides[0]: 3 is not a mapping; an override is one"]),
        ("overrides: [{match: x}]\n", ["overrides[0]: says nothing of the parameters that it matches"]),
        ("overrides: [{initializer: he}]\n", ["overrides[0].match: missing; an override needs it"]),
        ("overrides: [{match: 3, dtype: float16}]\n", ["overrides[0].match: 3 is not a pattern of names"]),
        ("overrides: [{match: '', dtype: float16}]\n", ["overrides[0].match: '' is not a pattern of names"]),
        ("overrides: [{match: x, initalizer: he}]\n", ["overrides[0].initalizer: unknown field of an override"]),
        (
            "overrides: [{match: b.ofset, initializer: ones}]\n",
            ["1:21: overrides[0].match: 'b.ofset' matches no parameter; did you mean b.offset?"],
        ),
        (
            "overrides: [{match: 'x${n}.*', dtype: float16}]\nvariables: {n: 3}\n",
            [
                "1:21: overrides[0].match: 'x3.*' matches no parameter; plan --layout canonical shows the names that patterns are of (x${n}.*)"
            ],
        ),
        (
            "variables: {n: abc}\noverrides: [{match: g.*, dtype: float16}]\noperations:\n"
            "- {name: p, type: prelu}\n- {name: g, repeat: '${n}', operations: [{name: p, type: prelu}]}\n",
            ["1:16: variables.n: 'abc' is not a number below 2^128"],
        ),
        (
            "overrides: [{match: b.scale, initializer: glorot}]\n",
            [
                "1:43: overrides[0].initializer: b.scale: glorot needs fan_in and fan_out, which this parameter does not have"
            ],
        ),
        ("overrides: [{match: '*', dtype: float99}]\n", ["overrides[0].dtype: 'float99' is not a dtype"]),
        (
            "dtype: float8_e4m3fn\noverrides: [{match: '*', initializer: {type: constant, value: 1000}}]\n",
            ["2:39: overrides[0].initializer: b.offset has values up to 1000, beyond 448"],
        ),
    ],
)
def test_mistake(text: str, expected: list[str]) -> None:
    if "operations:" not in text:
        text += "operations: [{name: b, type: batchnorm, num_channels: 1}]\n"
    lines = problems_of(text)
    for part in expected:
        assert any(part in line for line in lines), lines
    assert len(lines) <= max(2, len(expected)), lines


@pytest.mark.parametrize(
    "line",
    ["a: [${h}, 2]", "a: {b: ${h}}", "a: [2, ${h * 2} ]", "a: {${h}: 1}", "a: {b: x${h}}", "a: {b: '${h}', c: ${h}}"],
)
def test_expressions_in_flow_style_need_quotes(line: str) -> None:
    (message,) = problems_of(f"operations: 1\n{line}\n")
    assert message.startswith(f"2:{line.rindex('${') + 2}: not valid YAML: ")
    assert message.endswith('; ${…} inside [ ] or { } needs quotes around it: "${…}"')


def test_a_variable_that_is_not_there_is_told() -> None:
    with pytest.raises(
        paramgen.UsageError, match=r"^variable 'hiden': the spec has none of this name; did you mean hidden\?$"
    ):
        planned(MODEL, variables={"hiden": 3})
    with pytest.raises(paramgen.UsageError, match=r"^variable 'a': the spec has none of this name$"):
        planned("operations: [{name: b, type: batchnorm, num_channels: 1}]", variables={"a": 3})
    with pytest.raises(paramgen.SpecError, match=r"variables\.hidden: '3' is not a number"):
        planned(MODEL, variables={"hidden": "3"})


def test_more_operations_than_a_spec_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 50)
    inner = f"operations: [{{name: c, {DENSE}, input_size: 1, output_size: 1}}]"
    assert len(shapes(f"operations: [{{name: a, repeat: 5, operations: [{{name: b, repeat: 10, {inner}}}]}}]")) == 50
    for text in (
        f"operations: [{{name: a, repeat: 6, operations: [{{name: b, repeat: 10, {inner}}}]}}]",
        f"operations: [{{name: a, repeat: 11, as: i, operations: [{{name: b, repeat: '${{i + 1}}', {inner}}}]}}]",
    ):
        (line,) = problems_of(text)
        assert line.startswith("1:32: operations[0].repeat: expands to more than 50 operations (the limit)")


REPEATED = (
    f"operations: [{{name: a, repeat: %s, as: i, operations: [{{name: %s, {DENSE}, input_size: %s, output_size: 1}}]}}]"
)


def test_more_different_operations_than_a_spec_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DIFFERENT_OPERATIONS", 20)
    assert len(shapes(REPEATED % (18, "'c${i}'", "'${i + 1}'"))) == 18
    assert len(shapes(REPEATED % (100, "c", "1"))) == 100
    assert len(shapes(REPEATED % (100, "'c${i}'", "'${i // 50 + 1}'"))) == 100
    (line,) = problems_of(REPEATED % (19, "'c${i}'", "'${i + 1}'"))
    assert line == (
        "1:56: operations[0].operations[0]: more than 20 different operations and groups (the limit), "
        "counting those that an index makes different"
    )
    (line,) = problems_of("operations:\n" + "- {name: p, type: prelu}\n" * 21)
    assert line.startswith("2:1: operations: more than 20 different operations and groups (the limit)")


def test_more_terms_than_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted when it is read, and twice for each value: to know the operation again, and to make it."""
    monkeypatch.setattr(limits, "MAX_TERMS", 84)
    assert len(shapes(REPEATED % (10, "b", "'${i + 1}'"))) == 10
    monkeypatch.setattr(limits, "MAX_TERMS", 83)
    (line,) = problems_of(REPEATED % (10, "b", "'${i + 1}'"))
    assert line == (
        "1:114: operations[0].operations[0].input_size: expressions are too many or repeat too often: "
        "more than 83 numbers, variables and operators in all (the limit) (${i + 1})"
    )
    for name, size in (("'b${i}'", "1"), ("b", "'${1" + " + 0 * i" * 20 + "}'")):
        (line,) = problems_of(REPEATED % (100, name, size))
        assert "expressions are too many or repeat too often" in line
    (line,) = problems_of("variables: {a: '${1 + 22}', b: '${" + "1 + " * 50 + "1}'}\noperations: []\n")
    assert line.startswith("1:32: variables.b: expressions are too many")


def test_groups_that_depend_on_an_index_are_counted_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is told once, and ends the counting where each level makes the next one read again."""
    monkeypatch.setattr(limits, "MAX_TERMS", 1000)
    counted = []
    count = tree.Tree._count
    monkeypatch.setattr(tree.Tree, "_count", lambda *args: counted.append(args) or count(*args))
    text = f"{{name: c, {DENSE}, input_size: 1, output_size: 1}}"
    for level in range(6):
        text = f"{{name: a, repeat: '${{9 + 0 * i{level + 1}}}', as: i{level}, operations: [{text}]}}"
    (line,) = problems_of(f"operations: [{{name: a, repeat: 9, as: i6, operations: [{text}]}}]")
    assert "expressions are too many or repeat too often" in line
    assert len(counted) < 300


def test_groups_that_depend_on_no_index_are_counted_by_multiplication(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    count = tree.Tree._count
    monkeypatch.setattr(tree.Tree, "_count", lambda *args: counted.append(args) or count(*args))
    text = f"{{name: c, {DENSE}, input_size: 1, output_size: 1}}"
    for _ in range(13):
        text = f"{{name: a, repeat: 1000, as: i, operations: [{text}]}}".replace("as: i", f"as: i{len(text)}")
    (line,) = problems_of(f"operations: [{text}]")
    assert "expands to more than 1,000,000 operations (the limit)" in line
    assert len(counted) == 14


def test_a_wrong_group_ends_the_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 50)
    text = "operations: [{name: a, repeat: 50, operations: [{name: b, repeat: 50, operations: [{name: c, operations: []}]}]}]"
    (line,) = problems_of(text)
    assert line.startswith("1:32: operations[0].repeat: expands to more than 50 operations (the limit)")


def test_names_longer_than_any_need_be() -> None:
    inner = "{name: *n, operations: [{name: *n, type: prelu}]}"
    (line,) = problems_of(f"operations: [{{name: &n {'n' * 100}, operations: [{inner}]}}]")
    assert (
        "operations[0].operations[0].operations[0].name: the whole name must have at most 256 characters, got 302"
        in line
    )
    (line,) = problems_of(f"operations: [{{name: {'n' * 257}, type: prelu}}]")
    assert "is not a name: letters, digits, _ and -, not beginning with - (no dots), at most 256 characters" in line
    (line,) = problems_of(f"operations: [{{name: {'n' * 252}, repeat: 11, operations: [{{name: p, type: prelu}}]}}]")
    assert line.endswith("operations[0].operations[0].name: the whole name must have at most 256 characters, got 257")


def test_suggestions_are_made_for_a_report_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(expand.NameRegistry, "suggest", lambda self, pattern: made.append(pattern) or "; did you mean …?")
    overrides = ", ".join("{match: x, dtype: float16}" for _ in range(100))
    assert (
        problems_of(f"overrides: [{overrides}]\noperations: [{{name: p, type: prelu}}]\n")[-1] == " and 80 more errors"
    )
    assert len(made) == 20


def test_more_comparisons_than_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = "operations:\n" + "".join(f"- {{name: b{i}, type: prelu}}\n" for i in range(5))
    for patterns, cost in ((["*", "b*"], 10), (["b?.*", "*[hp][hp]a"], 10), (["*", "*?a*"], 110), (["*a*l*"], 15)):
        entries = [f"{{match: '{pattern}', dtype: float16}}" for pattern in patterns]
        overrides = f"overrides: [{', '.join(entries)}]\n"
        monkeypatch.setattr(limits, "MAX_COMPARISONS", cost)
        assert len(shapes(overrides + operations)) == 5
        monkeypatch.setattr(limits, "MAX_COMPARISONS", cost - 1)
        (line,) = problems_of(overrides + operations)
        assert line == (
            f"1:12: overrides: more than {cost - 1} patterns times tensors "
            "(the limit), those with several * counted several times; give fewer overrides"
        )


PIECES = st.lists(
    st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]", "[", "]", "[]]", "[b-a]", "-", "!"]), max_size=9
)


@pytest.mark.slow
@given(PIECES.map("".join), st.text("ab.][-!", max_size=12))
@settings(max_examples=2000, deadline=None)
def test_patterns_match_what_fnmatch_matches(pattern: str, name: str) -> None:
    assert expand._Pattern(pattern).matches(name) == fnmatchcase(name, pattern)


def test_as_many_variables_and_overrides_as_a_spec_has() -> None:
    operation = "operations: [{name: p, type: prelu}]\n"
    many = ", ".join(f"v{number}: 1" for number in range(1001))
    (line,) = problems_of(f"variables: {{{many}}}\n{operation}")
    assert line.startswith("1:12: variables: ") and line.endswith("is not a mapping of names to numbers, at most 1,000")
    many = ", ".join("{match: '*', dtype: float16}" for _ in range(1001))
    (line,) = problems_of(f"overrides: [{many}]\n{operation}")
    assert line == "1:12: overrides: a list of 1,001 entries is not a list of at most 1,000 overrides"


def test_patterns_longer_than_any_need_be() -> None:
    (line,) = problems_of(
        f"overrides: [{{match: '{'a' * 101}', dtype: float16}}]\noperations: [{{name: p, type: prelu}}]"
    )
    assert line.endswith("is not a pattern of names, with * ? and [], of at most 100 characters")


def test_names_longer_than_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_HEADER", 150)
    (line,) = problems_of("operations: [{name: some, repeat: 9, operations: [{name: longer-name, type: prelu}]}]")
    message = "choose fewer tensors: the file's header would pass 150 bytes, the format's limit, with some.2.longer-name.alpha"
    assert line.startswith(f"1:51: operations[0].operations[0]: {message}")


def test_what_is_kept_of_operations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shapes(MODEL)
    monkeypatch.setattr(tree, "CACHE_SIZE", 1)
    assert shapes(MODEL) == expected


def test_what_repeats_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    reading = tree.Tree._reading
    monkeypatch.setattr(tree.Tree, "_reading", lambda *args: calls.append(args[1].path) or reading(*args))
    text = (
        f"operations: [{{name: a, repeat: 100, as: i, operations: [{{name: b, {DENSE}, input_size: 1, output_size: 1}}, "
        f"{{name: 'c${{i}}', {DENSE}, input_size: '${{i % 3 + 1}}', output_size: 1}}]}}]"
    )
    assert len(shapes(text)) == 200
    assert len(calls) == 5


def test_an_integer_and_a_float_of_one_value_differ() -> None:
    (line,) = problems_of(REPEATED % (2, "b", "'${2 if_one}'".replace("if_one", "** (1 - 2 * i) * 2 ** i * 2 ** i")))
    assert "input_size: 2.0 is not a positive integer" in line
