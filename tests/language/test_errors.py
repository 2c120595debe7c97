"""Mistakes in a spec: each is reported with its line and column, its path, its value and a fix."""

import pytest
from golden import Golden
from helpers import expect_spec_error, list_locations, list_problems

HEAD = "operations:\n"
CONV = "{name: c, type: conv, filter_size: 3, num_channels: 3, num_filters: 8"
LSTM = "{name: l, type: lstm, input_size: 3, num_hidden_units: 8"


MISTAKES: dict[str, tuple[str, list[str]]] = {
    "an empty spec": ("", ["1:1"]),
    "a list for a spec": ("- a\n", ["1:1"]),
    "no operations": ("seed: 1\n", ["1:1: operations"]),
    "operations misspelt": ("operatoins: [{name: a, type: b}]\n", ["1:1: operatoins"]),
    "a number for operations": ("operations: 3\n", ["1:13: operations"]),
    "an empty list of operations": ("operations: []\n", ["1:13: operations"]),
    "null for operations": ("operations:\n", ["1:12: operations"]),
    "a text for an operation": ("operations: [a]\n", ["1:14: operations[0]"]),
    "an empty mapping for an operation": ("operations: [{}]\n", ["1:14: operations[0]"]),
    "a type misspelt": (HEAD + "- {name: a, type: cnv}\n", ["2:19: operations[0].type"]),
    "a number for a type": (HEAD + "- {name: a, type: 3}\n", ["2:19: operations[0].type"]),
    "a list for a type": (HEAD + "- {name: a, type: [conv]}\n", ["2:19: operations[0].type"]),
    "an operation without a name": (HEAD + "- {type: batchnorm, num_channels: 3}\n", ["2:3: operations[0].name"]),
    "a bias misspelt": (HEAD + f"- {CONV}, bias: nun}}\n", ["2:80: operations[0].bias"]),
    "an integer for a bias": (HEAD + f"- {CONV}, bias: 1}}\n", ["2:80: operations[0].bias"]),
    "a float for a bias": (HEAD + f"- {CONV}, bias: 1.0}}\n", ["2:80: operations[0].bias"]),
    "num_groups misspelt": (HEAD + f"- {CONV}, num_groups: chanel}}\n", ["2:86: operations[0].num_groups"]),
    "null for num_groups": (HEAD + f"- {CONV}, num_groups: null}}\n", ["2:86: operations[0].num_groups"]),
    "a field misspelt": (HEAD + f"- {CONV}, num_filter: 8}}\n", ["2:74: operations[0].num_filter"]),
    "a dtype misspelt": (HEAD + f"- {CONV}, dtype: float33}}\n", ["2:81: operations[0].dtype"]),
    "null for a dtype": (HEAD + f"- {CONV}, dtype: null}}\n", ["2:81: operations[0].dtype"]),
    "an initializer's unknown field": (
        HEAD + f"- {CONV}, initializers: {{bias: {{type: ones, x: 1}}}}}}\n",
        ["2:108: operations[0].initializers.bias.x"],
    ),
    "a parameter misspelt": (
        HEAD + f"- {CONV}, initializers: {{weight: he}}}}\n",
        ["2:89: operations[0].initializers.weight"],
    ),
    "an input_size that num_heads does not divide": (
        HEAD + "- {name: a, type: multihead_attention, input_size: 12, num_heads: 5}\n",
        ["2:52: operations[0].input_size"],
    ),
    "fused projections of different sizes": (
        HEAD
        + "- {name: a, type: multihead_attention, input_size: 8, num_heads: 2, num_value_channels: 6, projections: fused}\n",
        ["2:89: operations[0].num_value_channels"],
    ),
    "a field of another type": (HEAD + f"- {CONV}, input_size: 5}}\n", ["2:74: operations[0].input_size"]),
    "a list for an operation": ("operations: [[1]]\n", ["1:14: operations[0]"]),
    "a default without what it needs": (
        "defaults: {conv: {weights: uniform}}\noperations: [{name: p, type: prelu}]\n",
        ["1:28: defaults.conv.weights.bound"],
    ),
    "a field unlike all others": (HEAD + "- {name: p, type: prelu, size: 3}\n", ["2:26: operations[0].size"]),
    "an initializer misspelt": (
        HEAD + f"- {CONV}, initializers: {{weights: hee}}}}\n",
        ["2:98: operations[0].initializers.weights"],
    ),
    "an initializer's type misspelt": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: hee}}}}}}\n",
        ["2:105: operations[0].initializers.weights.type"],
    ),
    "an initializer without a type": (
        HEAD + f"- {CONV}, initializers: {{weights: {{std: 1}}}}}}\n",
        ["2:98: operations[0].initializers.weights"],
    ),
    "a number for an initializer": (
        HEAD + f"- {CONV}, initializers: {{weights: 3}}}}\n",
        ["2:98: operations[0].initializers.weights"],
    ),
    "a list for initializers": (HEAD + f"- {CONV}, initializers: [he]}}\n", ["2:88: operations[0].initializers"]),
    "an initializer without what it needs": (
        HEAD + f"- {CONV}, initializers: {{weights: uniform}}}}\n",
        ["2:98: operations[0].initializers.weights.bound"],
    ),
    "zero for a bound": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: uniform, bound: 0}}}}}}\n",
        ["2:121: operations[0].initializers.weights.bound"],
    ),
    "a negative std": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, std: -1}}}}}}\n",
        ["2:120: operations[0].initializers.weights.std"],
    ),
    "an infinite std": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, std: .inf}}}}}}\n",
        ["2:120: operations[0].initializers.weights.std"],
    ),
    "nan for a mean": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: .nan}}}}}}\n",
        ["2:121: operations[0].initializers.weights.mean"],
    ),
    "a text for a mean": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: '0'}}}}}}\n",
        ["2:121: operations[0].initializers.weights.mean"],
    ),
    "a boolean for a mean": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: gaussian, mean: true}}}}}}\n",
        ["2:121: operations[0].initializers.weights.mean"],
    ),
    "a text for a gain": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: orthogonal, gain: x}}}}}}\n",
        ["2:123: operations[0].initializers.weights.gain"],
    ),
    "orthogonal for a bias": (
        HEAD + f"- {CONV}, initializers: {{bias: orthogonal}}}}\n",
        ["2:95: operations[0].initializers.bias"],
    ),
    "glorot for a bias": (
        HEAD + f"- {CONV}, initializers: {{bias: glorot}}}}\n",
        ["2:95: operations[0].initializers.bias"],
    ),
    "he for a bias": (HEAD + f"- {CONV}, initializers: {{bias: he}}}}\n", ["2:95: operations[0].initializers.bias"]),
    "an initializer of no bias": (
        HEAD + f"- {CONV}, bias: none, initializers: {{bias: ones}}}}\n",
        ["2:101: operations[0].initializers.bias"],
    ),
    "unit_forget_gate for conv": (
        HEAD + f"- {CONV}, initializers: {{bias: unit_forget_gate}}}}\n",
        ["2:95: operations[0].initializers.bias"],
    ),
    "unit_forget_gate for weights of lstm": (
        HEAD + f"- {LSTM}, initializers: {{input_weights: unit_forget_gate}}}}\n",
        ["2:91: operations[0].initializers.input_weights"],
    ),
    "unit_forget_gate for gru": (
        HEAD + "- {name: g, type: gru, input_size: 1, num_hidden_units: 4, initializers: {bias: unit_forget_gate}}\n",
        ["2:81: operations[0].initializers.bias"],
    ),
    "two parameters that do not fit": (
        HEAD + "- {name: b, type: batchnorm, num_channels: 4, initializers: {scale: orthogonal, offset: orthogonal}}\n",
        ["2:69: operations[0].initializers.scale", "2:89: operations[0].initializers.offset"],
    ),
    "a default that does not fit": (
        f"defaults: {{lstm: {{bias: orthogonal}}}}\n{HEAD}- {LSTM}}}\n",
        ["1:25: defaults.lstm.bias"],
    ),
    "defaults of a type misspelt": (f"defaults: {{lsmt: {{bias: ones}}}}\n{HEAD}- {LSTM}}}\n", ["1:12: defaults.lsmt"]),
    "defaults of custom": (f"defaults: {{custom: {{w: ones}}}}\n{HEAD}- {LSTM}}}\n", ["1:12: defaults.custom"]),
    "defaults of a parameter misspelt": (
        f"defaults: {{lstm: {{biass: ones}}}}\n{HEAD}- {LSTM}}}\n",
        ["1:19: defaults.lstm.biass"],
    ),
    "a text for defaults of a type": (f"defaults: {{lstm: ones}}\n{HEAD}- {LSTM}}}\n", ["1:18: defaults.lstm"]),
    "defaults of a type and its alias": (
        f"defaults: {{conv: {{}}, dlconv: {{}}}}\n{HEAD}- {LSTM}}}\n",
        ["1:22: defaults.dlconv"],
    ),
    "a default that needs fan_in": (
        f"defaults: {{gru: {{bias: he}}}}\n{HEAD}- {LSTM}}}\n",
        ["1:24: defaults.gru.bias"],
    ),
    "a negative seed": (f"seed: -1\n{HEAD}- {LSTM}}}\n", ["1:7: seed"]),
    "a seed beyond the largest": (f"seed: 18446744073709551616\n{HEAD}- {LSTM}}}\n", ["1:7: seed"]),
    "a float for a seed": (f"seed: 1.0\n{HEAD}- {LSTM}}}\n", ["1:7: seed"]),
    "a boolean for a seed": (f"seed: true\n{HEAD}- {LSTM}}}\n", ["1:7: seed"]),
    "another version": (f"paramgen: 2\n{HEAD}- {LSTM}}}\n", ["1:11: paramgen"]),
    "a boolean for the version": (f"paramgen: true\n{HEAD}- {LSTM}}}\n", ["1:11: paramgen"]),
    "an unknown layout": (f"layout: pytorch\n{HEAD}- {LSTM}}}\n", ["1:9: layout"]),
    "unknown conventions": (f"conventions: jax\n{HEAD}- {LSTM}}}\n", ["1:14: conventions"]),
    "a number for the spec's name": (f"name: 3\n{HEAD}- {LSTM}}}\n", ["1:7: name"]),
    "an operation named __metadata__": (
        HEAD + "- {name: __metadata__, type: batchnorm, num_channels: 3}\n",
        ["2:10: operations[0].name"],
    ),
    "a parameter named __metadata__": (
        HEAD + "- {name: c, type: custom, parameters: {__metadata__: {shape: [1], initializer: ones}}}\n",
        ["2:40: operations[0].parameters.__metadata__"],
    ),
    "a default beyond the dtype": (
        "dtype: float8_e4m3fn\ndefaults: {conv: {weights: {type: gaussian, std: 1000}}}\n"
        + HEAD
        + f"- {CONV}}}\n- {CONV.replace('c,', 'd,')}}}\n",
        ["2:28: defaults.conv.weights"],
    ),
    "a number for a name": (HEAD + "- {name: 12, type: batchnorm, num_channels: 3}\n", ["2:10: operations[0].name"]),
    "a name with a space": (HEAD + "- {name: 'a b', type: batchnorm, num_channels: 3}\n", ["2:10: operations[0].name"]),
    "a field of the spec misspelt": (f"dtyp: float16\n{HEAD}- {LSTM}}}\n", ["1:1: dtyp"]),
    "two operations of one name": (HEAD + f"- {LSTM}}}\n- {LSTM}}}\n", ["3:10: operations[1].name"]),
    "custom without parameters": (
        HEAD + "- {name: c, type: custom, parameters: {}}\n",
        ["2:39: operations[0].parameters"],
    ),
    "a number for a parameter": (
        HEAD + "- {name: c, type: custom, parameters: {w: 3}}\n",
        ["2:43: operations[0].parameters.w"],
    ),
    "a parameter's name that ends with a dot": (
        HEAD + "- {name: c, type: custom, parameters: {a.: {shape: [1], initializer: ones}}}\n",
        ["2:40: operations[0].parameters.a."],
    ),
    "a negative size in a shape": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [2, -1], initializer: ones}}}\n",
        ["2:55: operations[0].parameters.w.shape[1]"],
    ),
    "an empty shape for random numbers": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [2, 0], initializer: {type: gaussian, std: 1}}}}\n",
        ["2:72: operations[0].parameters.w.initializer"],
    ),
    "a number for a shape": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: 4, initializer: ones}}}\n",
        ["2:51: operations[0].parameters.w.shape"],
    ),
    "a parameter without an initializer": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4]}}}\n",
        ["2:43: operations[0].parameters.w.initializer"],
    ),
    "a parameter without fan_out": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4, 4], initializer: glorot, fan_in: 4}}}\n",
        ["2:72: operations[0].parameters.w.initializer"],
    ),
    "orthogonal for a vector": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: orthogonal}}}\n",
        ["2:69: operations[0].parameters.w.initializer"],
    ),
    "unit_forget_gate for a parameter": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: unit_forget_gate}}}\n",
        ["2:69: operations[0].parameters.w.initializer"],
    ),
    "a bound beyond the dtype": (
        HEAD
        + "- {name: c, type: custom, dtype: float16, parameters: {w: {shape: [4], initializer: {type: uniform, bound: 65505}}}}\n",
        ["2:85: operations[0].parameters.w.initializer"],
    ),
    "a std beyond the dtype": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [4], initializer: {type: gaussian, std: 1e38}}}}\n",
        ["2:69: operations[0].parameters.w.initializer"],
    ),
    "integers without limits": (
        HEAD + f"- {CONV}, initializers: {{weights: integers}}}}\n",
        ["2:98: operations[0].initializers.weights.low", "2:98: operations[0].initializers.weights.high"],
    ),
    "integers whose low is above high": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: integers, low: 3, high: 2}}}}}}\n",
        ["2:120: operations[0].initializers.weights.low"],
    ),
    "a fraction for an integer": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: integers, low: 0.5, high: 2.0}}}}}}\n",
        [
            "2:120: operations[0].initializers.weights.low",
            "2:131: operations[0].initializers.weights.high",
        ],
    ),
    "an integer beyond 64 bits": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: integers, low: 0, high: {2**64}}}}}}}\n",
        ["2:129: operations[0].initializers.weights.high"],
    ),
    "a probability above 1": (
        HEAD + f"- {CONV}, initializers: {{weights: {{type: bernoulli, p: 1.5}}}}}}\n",
        ["2:119: operations[0].initializers.weights.p"],
    ),
    "a dtype narrower than a byte": (HEAD + f"- {CONV}, dtype: float4_e2m1fn}}\n", ["2:81: operations[0].dtype"]),
    "a shape beyond the largest file": (
        HEAD + "- {name: c, type: custom, parameters: {w: {shape: [9223372036854775807], initializer: ones}}}\n",
        ["2:3: operations[0]"],
    ),
}


@pytest.mark.parametrize(("text", "places"), MISTAKES.values(), ids=list(MISTAKES))
def test_errors_have_their_places(text: str, places: list[str], golden: Golden) -> None:
    error = expect_spec_error(text)
    assert list_locations(error) == places
    golden(error)


@pytest.mark.parametrize("size", ["0", "-5", "4.0", "true", "'4'", "null", "[4]", "x", "1e3", "{}"])
@pytest.mark.parametrize("field", ["input_size", "output_size"])
def test_sizes_are_exact_positive_integers(field: str, size: str, golden: Golden) -> None:
    other = "output_size" if field == "input_size" else "input_size"
    error = expect_spec_error(
        f"operations:\n  - name: d\n    type: fully_connected\n    {other}: 4\n    {field}: {size}\n"
    )
    assert list_locations(error) == [f"5:{len(field) + 7}: operations[0].{field}"]
    golden(error)


def test_sizes_beyond_the_largest(golden: Golden) -> None:
    error = expect_spec_error("operations:\n- {name: b, type: batchnorm, num_channels: 9223372036854775808}\n")
    assert list_locations(error) == ["2:44: operations[0].num_channels"]
    golden(error)


@pytest.mark.parametrize("size", ["0", "[]", "[3, 3, 3, 3]", "'3'", "3.0", "true", "null", "{}"])
def test_a_wrong_filter_size_is_one_error(size: str, golden: Golden) -> None:
    error = expect_spec_error(
        f"operations:\n- {{name: c, type: conv, filter_size: {size}, num_channels: 1, num_filters: 1}}\n"
    )
    assert list_locations(error) == ["2:38: operations[0].filter_size"]
    golden(error)


@pytest.mark.parametrize("name", ["", "-a", "a..b", ".a", "a.-b", "a b", "a/b", "$i", "a\\n", "½", "क्ष", "a\\u0000"])
def test_invalid_names_are_refused(name: str, golden: Golden) -> None:
    error = expect_spec_error(f'operations:\n- {{name: "{name}", type: batchnorm, num_channels: 1}}\n')
    assert list_locations(error) == ["2:10: operations[0].name"]
    golden(error)


@pytest.mark.parametrize("name", ["a", "_", "7", "a-b", "層", "Größe_1", "é", "e\u0301".replace("\u0301", "x"), "٣"])
def test_valid_names_are_accepted(name: str) -> None:
    assert list_problems(f"operations:\n- {{name: '{name}', type: batchnorm, num_channels: 1}}\n") == []


def test_all_mistakes_are_reported_in_the_order_of_lines(golden: Golden) -> None:
    text = (
        "seed: x\n"
        "operations:\n"
        "- {name: a, type: batchnorm, num_channels: 0}\n"
        "- {name: b, type: batchnorm, num_channels: 1, initializers: {scale: he}}\n"
        "- {name: c, typ: batchnorm}\n"
        "- {name: b, type: batchnorm, num_channels: 1}\n"
    )
    error = expect_spec_error(text)
    assert [place.split(": ")[0] for place in list_locations(error)] == ["1:7", "3:44", "4:69", "5:3", "6:10"]
    golden(error)


def test_at_most_twenty_errors_are_printed(golden: Golden) -> None:
    error = expect_spec_error("operations:\n" + "- {name: a, type: batchnorm, num_channels: 0}\n" * 33)
    lines = str(error).splitlines()
    assert (len(lines), error.total) == (21, 33)
    golden(lines[-1])


def test_the_search_stops_at_a_thousand_errors(golden: Golden) -> None:
    error = expect_spec_error("operations:\n" + "- 1\n" * 30_000)
    lines = str(error).splitlines()
    assert (len(lines), error.total, error.is_lower_bound) == (21, 1000, True)
    golden(lines[-1])


def test_long_values_are_shortened_and_control_characters_escaped(golden: Golden) -> None:
    long = expect_spec_error(f"operations: [{{name: a, type: {'x' * 10_000}}}]")
    assert len(str(long)) < 400
    escaped = expect_spec_error('operations: [{name: "\\e[31m", type: batchnorm, num_channels: 1, "\\a": 1}]')
    assert "'\\x1b[31m'" in escaped.diagnostics[0].message
    assert escaped.diagnostics[1].path == "operations[0].\\x07"
    golden(long, escaped)


def test_each_mistake_is_reported_once(golden: Golden) -> None:
    conv = expect_spec_error(
        "operations: [{name: c, type: conv, filter_size: [3], num_channels: 3, num_filters: 4, num_groups: true}]"
    )
    assert list_locations(conv) == ["1:99: operations[0].num_groups"]
    attention = expect_spec_error(
        "operations: [{name: a, type: multihead_attention, input_size: 512, num_heads: 18446744073709551616}]"
    )
    assert list_locations(attention) == ["1:79: operations[0].num_heads"]
    golden(conv, attention)


@pytest.mark.parametrize("key", ["conventions: torch", "layout: torch", "seed: 1"])
def test_a_spec_without_operations(key: str, golden: Golden) -> None:
    error = expect_spec_error(key)
    assert list_locations(error) == ["1:1: operations"]
    golden(error)
