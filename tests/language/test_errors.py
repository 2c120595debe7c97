"""Mistakes in a spec: each with its line and column, its path, its value, and what would be right."""

import pytest
from conftest import problems_of

HEAD = "operations:\n"
CONV = "{name: c, type: conv, filter_size: 3, num_channels: 3, num_filters: 8"
LSTM = "{name: l, type: lstm, input_size: 3, num_hidden_units: 8"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1: a spec is a mapping; it needs at least operations"]),
        ("- a\n", ["1:1: a spec is a mapping"]),
        ("seed: 1\n", ["1:1: operations: missing; a spec needs it"]),
        (
            "operatoins: [{name: a, type: b}]\n",
            ["1:1: operatoins: unknown field of the spec; did you mean operations?"],
        ),
        ("operations: 3\n", ["1:13: operations: 3 is not a list of operations"]),
        ("operations: []\n", ["1:13: operations: [] is not a list of operations, at least one"]),
        ("operations:\n", ["1:12: operations: null is not a list"]),
        ("operations: [a]\n", ["1:14: operations[0]: 'a' is not an operation: a mapping with name and type"]),
        ("operations: [{}]\n", ["1:14: operations[0]: has no type; expected an operation"]),
        (
            HEAD + "- {name: a, type: cnv}\n",
            ["2:19: operations[0].type: 'cnv' is none of the types", "did you mean conv?"],
        ),
        (HEAD + "- {name: a, type: 3}\n", ["2:19: operations[0].type: 3 is none of the types"]),
        (HEAD + "- {name: a, type: [conv]}\n", ["2:19: operations[0].type: ['conv'] is none of the types"]),
        (
            HEAD + "- {type: batchnorm, num_channels: 3}\n",
            ["2:3: operations[0].name: missing; batchnorm needs it: name of"],
        ),
        (
            HEAD + f"- {CONV}, bias: nun}}\n",
            ["operations[0].bias: 'nun' is not one of per_filter, shared, none, true, false"],
        ),
        (HEAD + f"- {CONV}, bias: 1}}\n", ["operations[0].bias: 1 is not one of per_filter"]),
        (HEAD + f"- {CONV}, bias: 1.0}}\n", ["operations[0].bias: 1.0 is not one of per_filter"]),
        (
            HEAD + f"- {CONV}, num_groups: chanel}}\n",
            ["num_groups: 'chanel' is not a positive integer or 'channel-wise'"],
        ),
        (HEAD + f"- {CONV}, num_groups: null}}\n", ["num_groups: null is not a positive integer or 'channel-wise'"]),
        (
            HEAD + f"- {CONV}, num_filter: 8}}\n",
            ["2:74: operations[0].num_filter: unknown field of conv; did you mean num_filters?"],
        ),
        (HEAD + f"- {CONV}, dtype: float33}}\n", ["dtype: 'float33' is not a dtype: float64, float32"]),
        (HEAD + f"- {CONV}, dtype: null}}\n", ["dtype: null is not a dtype"]),
        (
            HEAD + f"- {CONV}, initializers: {{bias: {{type: ones, x: 1}}}}}}\n",
            ["initializers.bias.x: unknown field of ones"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weight: he}}}}\n",
            ["initializers.weight: no parameter of conv", "did you mean weights?"],
        ),
        (
            HEAD + "- {name: a, type: multihead_attention, input_size: 12, num_heads: 5}\n",
            ["2:52: operations[0].input_size: 12 is not a multiple of num_heads, 5"],
        ),
        (
            HEAD
            + "- {name: a, type: multihead_attention, input_size: 8, num_heads: 2, num_value_channels: 6, projections: fused}\n",
            ["operations[0].num_value_channels: fused projections have as many channels for values as for keys, 8"],
        ),
        (
            HEAD + f"- {CONV}, input_size: 5}}\n",
            ["operations[0].input_size: unknown field of conv; it has name, dtype, initializers, filter_size,"],
        ),
        ("operations: [[1]]\n", ["1:14: operations[0]: [1] is not an operation: a mapping with name and type"]),
        (
            "defaults: {conv: {weights: uniform}}\noperations: [{name: p, type: prelu}]\n",
            ["1:28: defaults.conv.weights.bound: missing; uniform needs it"],
        ),
        (
            HEAD + "- {name: p, type: prelu, size: 3}\n",
            ["operations[0].size: unknown field of prelu; it has name, dtype, initializers, type, num_channels"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: hee}}}}\n",
            ["initializers.weights: 'hee' is none of the types", "did you mean he?"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: hee}}}}}}\n",
            ["initializers.weights.type: 'hee' is none of"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{std: 1}}}}}}\n",
            ["initializers.weights: has no type; expected an initializer"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: 3}}}}\n",
            ["initializers.weights: 3 is not an initializer: a name, or"],
        ),
        (HEAD + f"- {CONV}, initializers: [he]}}\n", ["initializers: ['he'] is not a mapping of parameter names"]),
        (
            HEAD + f"- {CONV}, initializers: {{weights: uniform}}}}\n",
            ["initializers.weights.bound: missing; uniform needs it"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: uniform, bound: 0}}}}}}\n",
            ["bound: 0 is not a finite number above 0"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, std: -1}}}}}}\n",
            ["std: -1 is not a finite number of at least 0"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, std: .inf}}}}}}\n",
            ["std: .inf is not a finite number"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: .nan}}}}}}\n",
            ["mean: .nan is not a finite number"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: '0'}}}}}}\n",
            ["mean: '0' is not a finite number"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: true}}}}}}\n",
            ["mean: true is not a finite number"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{weights: {{type: orthogonal, gain: x}}}}}}\n",
            ["gain: 'x' is not a finite number"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{bias: orthogonal}}}}\n",
            ["initializers.bias: orthogonal makes matrices; this parameter is a"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{bias: glorot}}}}\n",
            ["initializers.bias: glorot needs fan_in and fan_out, which"],
        ),
        (HEAD + f"- {CONV}, initializers: {{bias: he}}}}\n", ["initializers.bias: he needs fan_in, which"]),
        (
            HEAD + f"- {CONV}, bias: none, initializers: {{bias: ones}}}}\n",
            ["initializers.bias: this conv has no bias"],
        ),
        (
            HEAD + f"- {CONV}, initializers: {{bias: unit_forget_gate}}}}\n",
            ["unit_forget_gate fills the bias of an LSTM only"],
        ),
        (HEAD + f"- {LSTM}, initializers: {{input_weights: unit_forget_gate}}}}\n", ["fills the bias of an LSTM only"]),
        (
            HEAD
            + "- {name: g, type: gru, input_size: 1, num_hidden_units: 4, initializers: {bias: unit_forget_gate}}\n",
            ["fills the bias of an LSTM only"],
        ),
        (
            HEAD
            + "- {name: b, type: batchnorm, num_channels: 4, initializers: {scale: orthogonal, offset: orthogonal}}\n",
            ["initializers.scale: orthogonal makes", "initializers.offset: orthogonal makes"],
        ),
        (
            f"defaults: {{lstm: {{bias: orthogonal}}}}\n{HEAD}- {LSTM}}}\n",
            ["1:25: defaults.lstm.bias: orthogonal makes matrices"],
        ),
        (
            f"defaults: {{lsmt: {{bias: ones}}}}\n{HEAD}- {LSTM}}}\n",
            ["1:12: defaults.lsmt: no operation type", "did you mean lstm?"],
        ),
        (
            f"defaults: {{custom: {{w: ones}}}}\n{HEAD}- {LSTM}}}\n",
            ["1:12: defaults.custom: no operation type with defaults"],
        ),
        (
            f"defaults: {{lstm: {{biass: ones}}}}\n{HEAD}- {LSTM}}}\n",
            ["1:19: defaults.lstm.biass: no parameter of lstm"],
        ),
        (f"defaults: {{lstm: ones}}\n{HEAD}- {LSTM}}}\n", ["1:18: defaults.lstm: 'ones' is not a mapping"]),
        (
            f"defaults: {{conv: {{}}, dlconv: {{}}}}\n{HEAD}- {LSTM}}}\n",
            ["defaults.dlconv: conv and dlconv are one type"],
        ),
        (f"defaults: {{gru: {{bias: he}}}}\n{HEAD}- {LSTM}}}\n", ["1:24: defaults.gru.bias: he needs fan_in"]),
        (f"seed: -1\n{HEAD}- {LSTM}}}\n", ["1:7: seed: -1 is not an integer from 0 to 2^64 - 1"]),
        (f"seed: 18446744073709551616\n{HEAD}- {LSTM}}}\n", ["seed: 18446744073709551616 is not an integer from 0"]),
        (f"seed: 1.0\n{HEAD}- {LSTM}}}\n", ["seed: 1.0 is not an integer"]),
        (f"seed: true\n{HEAD}- {LSTM}}}\n", ["seed: true is not an integer"]),
        (f"paramgen: 2\n{HEAD}- {LSTM}}}\n", ["paramgen: 2 is not 1, the version"]),
        (f"paramgen: true\n{HEAD}- {LSTM}}}\n", ["paramgen: true is not 1, the version"]),
        (f"layout: pytorch\n{HEAD}- {LSTM}}}\n", ["1:9: layout: 'pytorch' is not a layout: canonical, torch, keras"]),
        (f"conventions: jax\n{HEAD}- {LSTM}}}\n", ["conventions: 'jax' is not conventions: matlab, torch, keras"]),
        (f"name: 3\n{HEAD}- {LSTM}}}\n", ["name: 3 is not a text; write it in quotes to make it one"]),
        (
            HEAD + "- {name: __metadata__, type: batchnorm, num_channels: 3}\n",
            ["2:10: operations[0].name: '__metadata__' is the file's own name for its metadata; choose another"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {__metadata__: {shape: [1], initializer: ones}}}\n",
            ["2:40: operations[0].parameters.__metadata__: '__metadata__' is the file's own name"],
        ),
        (
            "dtype: float8_e4m3fn\ndefaults: {conv: {weights: {type: gaussian, std: 1000}}}\n"
            + HEAD
            + f"- {CONV}}}\n- {CONV.replace('c,', 'd,')}}}\n",
            ["2:28: defaults.conv.weights: c.weights has values up to 6340, beyond 448"],
        ),
        (HEAD + "- {name: 12, type: batchnorm, num_channels: 3}\n", ["12 is not a name: ", "; write it in quotes"]),
        (
            HEAD + "- {name: 'a b', type: batchnorm, num_channels: 3}\n",
            ["'a b' is not a name: ", ": U+0020 is none of these"],
        ),
        (f"dtyp: float16\n{HEAD}- {LSTM}}}\n", ["1:1: dtyp: unknown field of the spec; did you mean dtype?"]),
        (
            HEAD + f"- {LSTM}}}\n- {LSTM}}}\n",
            ["3:10: operations[1].name: operations[0] has a tensor l.input_weights already"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {}}\n",
            ["parameters: {} is not a mapping of names to parameters, at"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: 3}}\n",
            ["parameters.w: 3 is not a mapping; a custom parameter is one"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {a.b: {shape: [1], initializer: ones}}}\n",
            ["2:40: operations[0].parameters.a.b: 'a.b' is not a name"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [2, 0], initializer: ones}}}\n",
            ["2:55: operations[0].parameters.w.shape[1]: 0 is not a positive integer"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: 4, initializer: ones}}}\n",
            ["shape: 4 is not a list of at most 32"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4]}}}\n",
            ["parameters.w.initializer: missing; a custom"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4, 4], initializer: glorot, fan_in: 4}}}\n",
            ["glorot needs fan_out,"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: orthogonal}}}\n",
            ["[4] has fewer than two"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: unit_forget_gate}}}\n",
            ["an LSTM only"],
        ),
        (
            HEAD
            + "- {name: c, type: custom, dtype: float16, parameters: {w: {shape: [4], initializer: {type: uniform, bound: 65505}}}}\n",
            ["parameters.w.initializer: c.w has values up to 65505, beyond 65504, the largest float16"],
        ),
        (
            HEAD
            + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: {type: gaussian, std: 1e38}}}}\n",
            ["c.w has values up to 6.34e+38, beyond 3.40282e+38, the largest float32"],
        ),
        (
            HEAD + "- {name: c, type: custom, parameters: {w: {shape: [9223372036854775807], initializer: ones}}}\n",
            ["the file would pass 2^63 - 1 bytes"],
        ),
    ],
)
def test_mistake(text: str, expected: list[str]) -> None:
    lines = problems_of(text)
    assert lines
    for part in expected:
        assert any(part in line for line in lines), lines
    assert len(lines) <= max(2, len(expected))


@pytest.mark.parametrize("size", ["0", "-5", "4.0", "true", "'4'", "null", "[4]", "x", "1e3", "{}"])
@pytest.mark.parametrize("field", ["input_size", "output_size"])
def test_sizes_are_exact_positive_integers(field: str, size: str) -> None:
    other = "output_size" if field == "input_size" else "input_size"
    lines = problems_of(f"operations:\n  - name: d\n    type: fully_connected\n    {other}: 4\n    {field}: {size}\n")
    assert len(lines) == 1
    assert lines[0].startswith(f"5:{len(field) + 7}: operations[0].{field}: ")
    assert lines[0].endswith(" is not a positive integer")


def test_sizes_beyond_the_largest() -> None:
    lines = problems_of("operations:\n- {name: b, type: batchnorm, num_channels: 9223372036854775808}\n")
    assert lines == ["2:44: operations[0].num_channels: 9223372036854775808 is not a positive integer below 2^63"]


@pytest.mark.parametrize("size", ["0", "[]", "[3, 3, 3, 3]", "'3'", "3.0", "true", "null", "{}"])
def test_filter_sizes(size: str) -> None:
    lines = problems_of(
        f"operations:\n- {{name: c, type: conv, filter_size: {size}, num_channels: 1, num_filters: 1}}\n"
    )
    assert len(lines) == 1
    assert lines[0].startswith("2:38: operations[0].filter_size: ")
    assert "positive integer" in lines[0]


@pytest.mark.parametrize("name", ["", "-a", "a.b", "a b", "a/b", "$i", "a\\n", "½", "क्ष", "a\\u0000"])
def test_names_that_are_none(name: str) -> None:
    lines = problems_of(f'operations:\n- {{name: "{name}", type: batchnorm, num_channels: 1}}\n')
    assert len(lines) == 1
    assert lines[0].startswith("2:10: operations[0].name: '")
    assert "is not a name: letters, digits, _ and -" in lines[0]


@pytest.mark.parametrize("name", ["a", "_", "7", "a-b", "層", "Größe_1", "é", "e\u0301".replace("\u0301", "x"), "٣"])
def test_names_that_are(name: str) -> None:
    assert problems_of(f"operations:\n- {{name: '{name}', type: batchnorm, num_channels: 1}}\n") == []


def test_all_mistakes_at_once_in_the_order_of_lines() -> None:
    text = (
        "seed: x\n"
        "operations:\n"
        "- {name: a, type: batchnorm, num_channels: 0}\n"
        "- {name: b, type: batchnorm, num_channels: 1, initializers: {scale: he}}\n"
        "- {name: c, typ: batchnorm}\n"
        "- {name: b, type: batchnorm, num_channels: 1}\n"
    )
    assert [line.split(": ")[0] for line in problems_of(text)] == ["1:7", "3:44", "4:69", "5:3", "6:10"]


def test_at_most_twenty_are_printed() -> None:
    lines = problems_of("operations:\n" + "- {name: a, type: batchnorm, num_channels: 0}\n" * 33)
    assert len(lines) == 21
    assert lines[-1] == " and 13 more errors"


def test_very_many_are_not_all_looked_for() -> None:
    lines = problems_of("operations:\n" + "- 1\n" * 30_000)
    assert lines[-1] == " and at least 980 more errors"


def test_long_values_are_shortened_and_control_characters_escaped() -> None:
    long = problems_of(f"operations: [{{name: a, type: {'x' * 10_000}}}]")[0]
    assert len(long) < 400
    escaped = problems_of('operations: [{name: "\\e[31m", type: batchnorm, num_channels: 1, "\\a": 1}]')
    assert "'\\x1b[31m' is not a name" in escaped[0]
    assert "operations[0].\\x07: unknown field" in escaped[1]


def test_one_mistake_is_told_once() -> None:
    conv = "operations: [{name: c, type: conv, filter_size: [3], num_channels: 3, num_filters: 4, num_groups: true}]"
    assert problems_of(conv) == ["1:99: operations[0].num_groups: true is not a positive integer or 'channel-wise'"]
    attention = "operations: [{name: a, type: multihead_attention, input_size: 512, num_heads: 18446744073709551616}]"
    assert problems_of(attention) == [
        "1:79: operations[0].num_heads: 18446744073709551616 is not a positive integer below 2^63"
    ]


@pytest.mark.parametrize("key", ["conventions: torch", "layout: torch", "seed: 1"])
def test_a_spec_without_operations(key: str) -> None:
    assert problems_of(key) == ["1:1: operations: missing; a spec needs it: a list of operations"]
