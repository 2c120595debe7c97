"""Hostile specs: one short report each, and bounded work. benchmarks/large_specs.py times them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from golden import Golden
from helpers import expect_spec_error, list_locations, list_problems, plan_text
from large_specs import HOSTILE, nested
from measuring import measure

from paramgen import limits
from paramgen.language import expressions, items


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_specs_are_refused(name: str, tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name]())
    measured = measure(sys.executable, "-m", "paramgen", "plan", path, status=2)
    lines = measured.stderr.splitlines()
    assert 1 <= len(lines) <= 21
    assert all(line.startswith(str(path)) and len(line) < 400 for line in lines)
    assert measured.peak < 1.1e9
    golden(lines[0])


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[None]:
    """Return a list that grows by one with each call of a function or method."""
    calls: list[None] = []
    original = getattr(owner, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return calls


@pytest.mark.parametrize(
    "name",
    [
        "9,000 long expressions",
        "31 long expressions, repeated 40,000 times",
        "a thousand overrides of a million tensors",
    ],
)
def test_evaluation_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_TERMS", 100_000)
    evaluated = count_calls(monkeypatch, expressions.Expression, "value")
    error = expect_spec_error(HOSTILE[name]())
    assert len(evaluated) <= 100_000
    golden(str(error).splitlines()[0])


def test_each_expression_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = count_calls(monkeypatch, expressions._Parser, "parse")
    operation = "{name: 'p${i}', type: fully_connected, input_size: '${2 * n}', output_size: '${i // 3 + n}'}"
    group = f"{{name: g, repeat: '${{3 * n}}', as: i, operations: [{operation}]}}"
    text = f"variables: {{n: 4}}\noperations: [{group}, {{name: q, type: batchnorm, num_channels: '${{2 * n}}'}}]"
    assert len(plan_text(text).tensors) == 26
    assert len(parsed) == 4


def test_operations_are_counted_before_any_is_validated(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    validated = count_calls(monkeypatch, items.OperationItem, "check")
    error = expect_spec_error(nested(14, "repeat: 1000"))
    assert (error.total, error.diagnostics[0].path, len(validated)) == (1, "operations[0].repeat", 0)
    golden(error)


def test_constant_groups_are_visited_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = count_calls(monkeypatch, items.Item, "visit")
    text = (
        f"operations: [{{name: g, repeat: 1000, {nested(10, '')}}}, {{name: h, repeat: 10, {nested(6, 'repeat: 2')}}}]"
    )
    names = [tensor.name for tensor in plan_text(text).tensors]
    assert names[:2] == ["g.0.g.g.g.g.g.g.g.g.g.g.p.alpha", "g.1.g.g.g.g.g.g.g.g.g.g.p.alpha"]
    assert names[1000:1003] == [f"h.0.g.0.g.0.g.0.g.0.g.{last}.p.alpha" for last in ("0.g.0", "0.g.1", "1.g.0")]
    assert len(names) == 1000 + 10 * 2**6
    assert len(walked) < 50


def test_limits_of_different_tensors(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_DISTINCT_TENSORS", 12)
    lstm = "{name: l, type: lstm, input_size: '${i + 1}', num_hidden_units: 2}"
    assert list_problems(f"operations: [{{name: g, repeat: 4, as: i, operations: [{lstm}]}}]") == []
    error = expect_spec_error(f"operations: [{{name: g, repeat: 5, as: i, operations: [{lstm}]}}]")
    assert list_locations(error) == ["1:55: operations[0].operations[0]"]
    golden(error)
    assert (
        list_problems(f"operations: [{{name: g, repeat: 50, as: i, operations: [{lstm.replace('i + 1', '3')}]}}]") == []
    )
