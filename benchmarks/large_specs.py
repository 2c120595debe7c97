"""Plans of specs at the limits, and refusals of hostile ones: the promises of docs/spec.md.

python benchmarks/large_specs.py
"""

import tempfile
from pathlib import Path

from measuring import PARAMGEN, measure


def nested(levels: int, fields: str) -> str:
    """Return nested groups with one operation inside."""
    if not levels:
        return "operations: [{name: p, type: prelu}]"
    return f"operations: [{{name: g, {fields}{', ' if fields else ''}{nested(levels - 1, fields)}}}]"


def searches(pattern: str, names: int) -> str:
    """Return a spec with long names, each compared with a pattern a thousand times."""
    operation = f"{{name: {'a' * 240}, repeat: {names}, operations: [{{name: p, type: prelu}}]}}"
    return f"operations: [{operation}]\noverrides: [&o {{match: '{pattern}', dtype: float32}}{', *o' * 999}]"


# Invalid specs near the limits. Each must be refused in seconds.
HOSTILE = {
    "a million brackets": lambda: "[" * 1_000_000,
    "eight million values": lambda: "operations:\n" + "- a\n" * 8_000_000,
    "two million values, none an operation": lambda: "operations:\n" + "- a\n" * 1_990_000,
    "150,000 operations with four mistakes each": lambda: (
        "operations:\n"
        + "".join(f"- {{name: a{i}, type: conv, x: 1, y: 2, num_filters: -1}}\n" for i in range(150_000))
    ),
    "240,000 operations of one name": lambda: (
        "operations:\n" + "- {name: a, type: batchnorm, num_channels: 3}\n" * 240_000
    ),
    "a mapping of 32,000 wrong entries": lambda: (
        "operations: [{name: a, type: custom, parameters: {" + ", ".join(f"a{i}: 1" for i in range(32_000)) + "}}]"
    ),
    "aliases that stand for 10^12 values": lambda: (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(12))
    ),
    "a text of 30 million characters": lambda: "operations: [{type: " + "x" * 30_000_000 + "}]",
    "1.5 million anchors": lambda: "operations:\n" + "".join(f"- &a{i} x\n" for i in range(1_500_000)),
    "32,000 misspelt fields": lambda: (
        "operations: [{name: c, type: conv, filter_size: 3, "
        + ", ".join(f"num_filters{i}: 1" for i in range(32_000))
        + "}]"
    ),
    "32,000 parameters, each with a misspelt field": lambda: (
        "operations: [{name: c, type: custom, parameters: {"
        + ", ".join(f"p{i}: {{initializr{i}: ones, shap{i}: [1]}}" for i in range(32_000))
        + "}}]"
    ),
    "a name of 10 MB for a hundred tensors": lambda: (
        "operations: [{type: custom, parameters: {"
        + ", ".join(f"p{i}: {{shape: [1], initializer: ones}}" for i in range(100))
        + "}, name: "
        + "n" * 10_000_000
        + "}]"
    ),
    "300 operations that share a name of 5 MB": lambda: (
        "operations:\n- {name: &n "
        + "n" * 5_000_000
        + ", type: batchnorm, num_channels: 1}\n"
        + "- {name: *n, type: batchnorm, num_channels: 1}\n" * 300
    ),
    "a million repetitions of a million wrong groups": lambda: (
        "operations: [{name: a, repeat: 1000000, operations: [{name: b, repeat: 1000000, operations: "
        "[{name: c, operations: []}]}]}]"
    ),
    "1,000 overrides that search 2,500 long names": lambda: searches(f"*{'a' * 45}b{'a' * 45}*", 2500),
    "1,000 overrides that search 238 long names for sets": lambda: searches(f"*{'[ab]' * 23}b*", 238),
    "1,000 overrides that search 5,000 long names": lambda: searches(f"*{'a' * 45}b{'a' * 45}*", 5000),
    "1,000 overrides of 49 pieces": lambda: searches("*a" * 48 + "*b*", 5000),
    "1,000 overrides that match nothing": lambda: (
        "operations: [{name: encoder_layers_attention, repeat: 1000, operations: [{name: attn, type: prelu}]}]\n"
        "overrides: ["
        + ", ".join(f"{{match: encoder.layer.{i}.attention.weight, dtype: float32}}" for i in range(1000))
        + "]"
    ),
    "1,000 variables that are not there": lambda: (
        "variables: {" + ", ".join(f"long_name_of_a_layer_number_{i}: 1" for i in range(1000)) + "}\n"
        "operations: [{name: c, type: custom, parameters: {"
        + ", ".join(
            f"p{i}: {{shape: ['${{lung_names_of_layer_number_{i}}}'], initializer: zeros}}" for i in range(1000)
        )
        + "}}]"
    ),
    "31 long expressions, repeated 40,000 times": lambda: (
        "operations: [{name: g, repeat: 40000, as: i, operations: [{name: c, type: custom, parameters: "
        f"{{w: {{shape: [&e '${{1+0*(i{'+1' * 490})}}'{', *e' * 31}], initializer: zeros}}}}}}]}}]"
    ),
    "26 groups that share a name of 9 MB": lambda: (
        f"operations: [{{name: &n {'n' * 9_000_000}, operations: ["
        + "{name: *n, operations: [" * 25
        + "{name: p, type: prelu}"
        + "]}" * 25
        + "]}]"
    ),
    "34 MB of comments": lambda: "#\n" * 17_000_000,
    "groups that repeat a thousand times, six deep": lambda: (
        "operations:\n"
        + "".join(f"{' ' * i}- name: g\n{' ' * i}  repeat: 1000\n{' ' * i}  operations:\n" for i in range(0, 12, 2))
        + " " * 12
        + "- {name: b, type: batchnorm, num_channels: 1}\n"
    ),
    "a million operations of two tensors with long names": lambda: (
        "operations: [{name: "
        + "n" * 200
        + ", repeat: 1000000, operations: [{name: b, type: batchnorm, num_channels: 1}]}]"
    ),
    "a million mistakes in one line": lambda: (
        "operations: [{name: g, repeat: 1000000, as: i, operations: "
        "[{name: b, type: batchnorm, num_channels: '${-1 - i}'}]}]"
    ),
    "a million operations, each other than the one before": lambda: (
        "operations: [{name: g, repeat: 1000000, as: i, operations: "
        "[{name: b, type: batchnorm, num_channels: '${1 + i}'}]}]"
    ),
    "a thousand overrides of a million tensors": lambda: (
        "operations: [{name: g, repeat: 500000, operations: [{name: b, type: batchnorm, num_channels: 1}]}]\n"
        "overrides:\n" + "- {match: '*[a-z]*?*.*x', dtype: float16}\n" * 1000
    ),
    "30,000 variables, each of the next": lambda: (
        "variables:\n" + "".join(f"  v{i}: ${{v{i + 1}}}\n" for i in range(30_000))
    ),
    "a thousand variables, each of the next": lambda: (
        "variables:\n" + "".join(f"  v{i}: ${{v{i + 1}}}\n" for i in range(1_000))
    ),
    "9,000 long expressions": lambda: (
        "operations:\n"
        + "".join(
            f"- {{name: b{i}, type: batchnorm, num_channels: '${{{'+'.join(['1'] * 440)} + {i}}}'}}\n"
            for i in range(9000)
        )
    ),
    "a million short expressions": lambda: "operations:\n" + "".join(f"- '${{{i}}}'\n" for i in range(990_000)),
    "19 groups that repeat twice, one in another": lambda: nested(19, "repeat: 2"),
    "a million repetitions of 13 groups, one in another": lambda: (
        f"operations: [{{name: g, repeat: 1000000, {nested(13, '')}}}]"
    ),
    "a million repetitions of groups that repeat by an index": lambda: (
        "operations: [{name: g, repeat: 1000000, as: i, operations: [{name: g, repeat: '${1 + 0 * i}', "
        "operations: [{name: p, type: prelu}]}]}]"
    ),
    "32,000 parameters that an index makes different": lambda: (
        "operations: [{name: g, repeat: 31, as: i, operations: [{name: c, type: custom, parameters: {"
        + ", ".join(f"p{i}: {{shape: [1], initializer: {{type: gaussian, std: '${{i}}'}}}}" for i in range(32_000))
        + "}}]}]"
    ),
    "30 MB of expressions that divide by zero": lambda: (
        "operations:\n"
        + "".join(
            f"- {{name: b{i}, type: batchnorm, num_channels: '${{{'+'.join(['1'] * 450)} + 1 // 0}}'}}\n"
            for i in range(30_000)
        )
    ),
    "a formula of 65,536 values, repeated 1,000 times": lambda: (
        "operations: [{name: a, repeat: 1000, as: i, type: custom, parameters: "
        "{w: {shape: [65536], initializer: {type: formula, value: '${k + i}'}}}}]"
    ),
    "a formula of 65,536 logarithms, repeated 1,000 times": lambda: (
        "operations: [{name: a, repeat: 1000, as: i, type: custom, parameters: "
        "{w: {shape: [65536], initializer: {type: formula, value: '${log(k + i / 7 + 1)}'}}}}]"
    ),
    "an arange of a million numbers, repeated 300 times": lambda: (
        "operations: [{name: a, repeat: 300, as: i, type: custom, parameters: "
        "{w: {shape: [1048576], initializer: {type: arange, start: '${i}'}}}}]"
    ),
    "expressions of 30 million characters": lambda: "seed: ${" + "1+" * 15_000_000 + "1}\noperations: []\n",
}


# Valid specs that take longest to plan.
AT_THE_LIMITS = {
    "a million tensors": lambda: "operations: [{name: g, repeat: 1000000, operations: [{name: p, type: prelu}]}]",
    "700,000 tensors in 14 groups, named by an expression": lambda: (
        "operations: [{name: g, repeat: 700000, as: i, " + nested(13, "").replace("name: p", "name: 'p${i}'") + "}]"
    ),
    "200,000 tensors that an index makes different": lambda: (
        "operations: [{name: g, repeat: 66666, as: i, operations: "
        "[{name: l, type: lstm, input_size: '${i + 1}', num_hidden_units: '${i + 1}'}]}]"
    ),
    "the same in PyTorch's layout": lambda: (
        "layout: torch\n" + AT_THE_LIMITS["200,000 tensors that an index makes different"]()
    ),
}


def measure_large_specs(scratch: Path, sizes: list[int]) -> list[str]:
    rows = []
    for count in sizes:
        path = scratch / f"{count}.yaml"
        with path.open("w") as file:
            file.write("operations:\n")
            for i in range(count):
                file.write(
                    f"  - name: conv{i}\n    type: conv\n    filter_size: [3, 3]\n    num_channels: 64\n"
                    "    num_filters: 64\n    bias: none\n"
                )
        measured = measure(*PARAMGEN, "plan", path, "--flat")
        per = f"{measured.seconds / count * 1e6:.0f} µs"
        rows.append(
            f"| {count:,} | {6 * count + 1:,} | {measured.seconds:.2f} | {per} | {measured.peak / 1e6:.0f} MB |"
        )
    repeated = []
    for count in sizes:
        path = scratch / "repeated.yaml"
        dense = "{name: dense, type: fully_connected, input_size: 64, output_size: 64}"
        path.write_text(f"operations: [{{name: block, repeat: {5 * count}, operations: [{dense}]}}]\n")
        for arguments in (["--flat"], ["--json"]):
            measured = measure(*PARAMGEN, "plan", path, *arguments)
            what = "JSON" if "--json" in arguments else "text"
            repeated.append(f"| {10 * count:,} | {what} | {measured.seconds:.2f} | {measured.peak / 1e6:.0f} MB |")
    largest = []
    for name, text in AT_THE_LIMITS.items():
        path = scratch / "largest.yaml"
        path.write_text(text())
        measured = measure(*PARAMGEN, "plan", path, "--flat")
        largest.append(f"| {name} | {measured.seconds:.2f} | {measured.peak / 1e6:.0f} MB |")
    refused = []
    for name, text in HOSTILE.items():
        path = scratch / "hostile.yaml"
        path.write_text(text())
        measured = measure(*PARAMGEN, "plan", path, status=2)
        refused.append(f"| {name} | {measured.seconds:.2f} | {measured.peak / 1e6:.0f} MB |")
    return [
        "## Large specs",
        "",
        "`paramgen plan --flat` takes time linear in the number of operations. Figures include printing the table:",
        "",
        "| operations | lines of YAML | seconds | per operation | peak memory |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "A spec of one line that repeats (target: a million tensors within 2 GB):",
        "",
        "| tensors | output | seconds | peak memory |",
        "|---|---|---|---|",
        *repeated,
        "",
        "The valid specs that take longest:",
        "",
        "| spec | seconds | peak memory |",
        "|---|---|---|",
        *largest,
        "",
        "Hostile specs, refused with exit status 2:",
        "",
        "| spec | seconds | peak memory |",
        "|---|---|---|",
        *refused,
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(measure_large_specs(Path(folder), sizes=[25_000, 50_000, 100_000])))
