"""Specs made to hurt: refused by one short report, with bounded work. benchmarks/large_specs.py times them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import LAUNCHER, ROOT, problems_of

from paramgen import limits
from paramgen.errors import SpecError
from paramgen.language import expressions, groups
from paramgen.language.model import interpret
from paramgen.language.yaml_reader import from_yaml
from paramgen.planning.plan import make_plan

sys.path.insert(0, str(ROOT / "benchmarks"))

from large_specs import HOSTILE, nested

DIFFERENT = "more than 100,000 different operations and groups (the limit)"
TERMS = "expressions are too many or repeat too often: more than 5,000,000 numbers, variables and operators in all"
COMPARISONS = "more than 5,000,000 patterns times tensors (the limit), those with several * counted several times"
NODES = "the spec is larger than the limit of 2,000,000 keys, values and ends of lists and mappings"
OPERATIONS = "operations[0].repeat: expands to more than 1,000,000 operations (the limit)"
TENSORS = "more than 200,000 different tensors (the limit)"
HEADER = "choose fewer tensors: the file's header would pass 100,000,000 bytes, the format's limit"

# What the first line of each one's report says.
MESSAGES = {
    "a million brackets": "not valid YAML: exceeded maximum nesting depth",
    "eight million values": NODES,
    "two million values, none an operation": DIFFERENT,
    "150,000 operations with four mistakes each": DIFFERENT,
    "240,000 operations of one name": DIFFERENT,
    "a mapping of 32,000 wrong entries": "1 is not a mapping; a custom parameter is one",
    "aliases that stand for 10^12 values": NODES,
    "a text of 30 million characters": "is none of the types",
    "1.5 million anchors": DIFFERENT,
    "32,000 misspelt fields": "unknown field of conv; did you mean num_filters?",
    "32,000 parameters, each with a misspelt field": "unknown field of a custom parameter; did you mean initializer?",
    "a name of 10 MB for a hundred tensors": "at most 256 characters",
    "300 operations that share a name of 5 MB": "at most 256 characters",
    "a million repetitions of a million wrong groups": OPERATIONS,
    "1,000 overrides that search 2,500 long names": "matches no parameter",
    "1,000 overrides that search 238 long names for sets": "matches no parameter",
    "1,000 overrides that search 5,000 long names": COMPARISONS,
    "1,000 overrides of 49 pieces": COMPARISONS,
    "1,000 overrides that match nothing": "matches no parameter",
    "1,000 variables that are not there": "is no variable; did you mean long_name_of_a_layer_number_0?",
    "31 long expressions, repeated 40,000 times": TERMS,
    "26 groups that share a name of 9 MB": "nested more than 32 levels deep",
    "34 MB of comments": "the spec is larger than the limit of 33,554,432 bytes",
    "groups that repeat a thousand times, six deep": OPERATIONS,
    "a million operations of two tensors with long names": HEADER,
    "a million mistakes in one line": "-1 is not a positive integer (${-1 - i}, i = 0, in g.0.b)",
    "a million operations, each other than the one before": DIFFERENT,
    "a thousand overrides of a million tensors": COMPARISONS,
    "30,000 variables, each of the next": "operations: missing",
    "a thousand variables, each of the next": "v1 stands after v0; move it before",
    "9,000 long expressions": TERMS,
    "a million short expressions": DIFFERENT,
    "19 groups that repeat twice, one in another": "nested more than 32 levels deep",
    "a million repetitions of 13 groups, one in another": "the file's header, which holds every name and the spec",
    "a million repetitions of groups that repeat by an index": TERMS,
    "32,000 parameters that an index makes different": TENSORS,
    "30 MB of expressions that divide by zero": TERMS,
    "expressions of 30 million characters": "an expression of 30,000,001 characters; at most 1,000 are allowed",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_specs_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name]())
    command = [sys.executable, "-m", "paramgen", "plan", path]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=True, timeout=600
    )
    status, peak = map(int, done.stdout.split())
    lines = done.stderr.splitlines()
    assert status == 2
    assert MESSAGES[name] in lines[0]
    assert 1 <= len(lines) <= 21
    assert all(line.startswith(str(path)) and len(line) < 400 for line in lines)
    assert peak < 1.1e9


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[None]:
    """A list that grows by one with each call of a function or method."""
    calls: list[None] = []
    original = getattr(owner, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return calls


def refuse(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        make_plan(interpret(from_yaml(text.encode(), "s"), "s"))
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "9,000 long expressions",
        "31 long expressions, repeated 40,000 times",
        "a thousand overrides of a million tensors",
    ],
)
def test_what_is_evaluated_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TERMS", 100_000)
    evaluated = counted(monkeypatch, expressions, "_evaluate")
    assert MESSAGES[name].replace("5,000,000 numbers", "100,000 numbers") in refuse(HOSTILE[name]())
    assert len(evaluated) <= 100_000


def test_each_expression_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = counted(monkeypatch, expressions._Parser, "parse")
    operation = "{name: 'p${i}', type: fully_connected, input_size: '${2 * n}', output_size: '${i // 3 + n}'}"
    group = f"{{name: g, repeat: '${{3 * n}}', as: i, operations: [{operation}]}}"
    text = f"variables: {{n: 4}}\noperations: [{group}, {{name: q, type: batchnorm, num_channels: '${{2 * n}}'}}]"
    assert len(make_plan(interpret(from_yaml(text.encode(), "s"), "s")).tensors) == 26
    assert len(parsed) == 4


def test_operations_are_counted_before_any_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = counted(monkeypatch, groups.Tree, "_reading")
    (line,) = problems_of(nested(14, "repeat: 1000"))
    assert OPERATIONS in line
    assert len(readings) == 14


def test_groups_that_are_always_the_same_are_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = counted(monkeypatch, groups.Tree, "_visit")
    text = (
        f"operations: [{{name: g, repeat: 1000, {nested(10, '')}}}, {{name: h, repeat: 10, {nested(6, 'repeat: 2')}}}]"
    )
    names = [tensor.name for tensor in make_plan(interpret(from_yaml(text.encode(), "s"), "s")).tensors]
    assert names[:2] == ["g.0.g.g.g.g.g.g.g.g.g.g.p.alpha", "g.1.g.g.g.g.g.g.g.g.g.g.p.alpha"]
    assert names[1000:1003] == [f"h.0.g.0.g.0.g.0.g.0.g.{last}.p.alpha" for last in ("0.g.0", "0.g.1", "1.g.0")]
    assert len(names) == 1000 + 10 * 2**6
    assert len(walked) == 1 + 1000 + 10


def test_limits_of_different_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DIFFERENT_TENSORS", 12)
    lstm = "{name: l, type: lstm, input_size: '${i + 1}', num_hidden_units: 2}"
    assert problems_of(f"operations: [{{name: g, repeat: 4, as: i, operations: [{lstm}]}}]") == []
    (line,) = problems_of(f"operations: [{{name: g, repeat: 5, as: i, operations: [{lstm}]}}]")
    assert line == (
        "1:55: operations[0].operations[0]: more than 12 different tensors (the limit), "
        "counting those that an index makes different"
    )
    assert (
        problems_of(f"operations: [{{name: g, repeat: 50, as: i, operations: [{lstm.replace('i + 1', '3')}]}}]") == []
    )
