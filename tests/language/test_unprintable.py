"""Unprintable characters anywhere in a spec: errors show them as escapes, each error on one line."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from helpers import plan_text

import paramgen
from paramgen.errors import ParamgenError, SpecError
from paramgen.language.document import from_mapping
from paramgen.language.parsed_spec import interpret, read_document
from paramgen.language.yaml_reader import from_yaml
from paramgen.planning.plan import make_plan

EVERY = [chr(code) for code in range(sys.maxunicode + 1)]
CONTROLS = [c for c in EVERY if category(c) in ("Cc", "Cf", "Zl", "Zp")]
PRIVATE = ["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd"]
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff"]
UNPRINTABLE = "".join([*CONTROLS, *PRIVATE])
STRING_KEYS = [UNPRINTABLE[start : start + 12] for start in range(0, len(UNPRINTABLE), 12)]

PRELU = {"name": "p", "type": "prelu"}
CUSTOM = {"shape": [2], "initializer": "ones"}

SPECS: dict[str, Callable[[str], dict[str, Any]]] = {
    "a key": lambda x: {"operations": [PRELU], x: 1},
    "a misspelt key": lambda x: {"operations": [PRELU], "defaults" + x: {}},
    "a value": lambda x: {"operations": [PRELU], "dtype": x, "layout": x, "conventions": x, "seed": x},
    "a name": lambda x: {"operations": [{"name": x, "type": "prelu"}]},
    "a type": lambda x: {"operations": [{"name": "p", "type": "prelu" + x}]},
    "a field": lambda x: {"operations": [{**PRELU, x: 1}, {**PRELU, "num_channels" + x: 1}]},
    "a group's name": lambda x: {"operations": [{"name": x, "operations": [PRELU]}]},
    "a name in a group": lambda x: {"operations": [{"name": "g", "operations": [{"name": x, "type": "prelu"}]}]},
    "a field in a group": lambda x: {"operations": [{"name": "g", "operations": [{**PRELU, x: 1}]}]},
    "the name of what is wrong otherwise": lambda x: {
        "operations": [{"name": "g", "operations": [{"name": x, "type": "conv", "filter_size": 0}]}]
    },
    "an index": lambda x: {"operations": [{"name": "g", "repeat": 2, "as": x, "operations": [PRELU]}]},
    "a number of repetitions": lambda x: {"operations": [{"name": "g", "repeat": x, "operations": [PRELU]}]},
    "a variable": lambda x: {"operations": [PRELU], "variables": {x: 1, "y" + x: x}},
    "a variable beside one that is not there": lambda x: {
        "operations": [PRELU],
        "variables": {"hidden" + x: 1, "hiddem": "${hidden}"},
    },
    "an expression": lambda x: {"operations": [PRELU], "seed": f"${{{x}}}", "name": f"${{1 + a{x}}}"},
    "an expression that does not close": lambda x: {"operations": [PRELU], "seed": f"${{{x}"},
    "a text with an expression": lambda x: {"operations": [PRELU], "dtype": f"{x}${{1}}"},
    "an expression in a repetition": lambda x: {
        "operations": [{"name": "g", "repeat": 2, "as": "i", "operations": [{"name": f"p{x}${{i}}", "type": "prelu"}]}]
    },
    "a pattern": lambda x: {"operations": [PRELU], "overrides": [{"match": x, "dtype": "float16"}]},
    "a field of an override": lambda x: {"operations": [PRELU], "overrides": [{"match": "*", "dtype" + x: "float16"}]},
    "an initializer": lambda x: {"operations": [{**PRELU, "initializers": {"alpha": x}}]},
    "an initializer's type": lambda x: {"operations": [{**PRELU, "initializers": {"alpha": {"type": x}}}]},
    "an initializer's field": lambda x: {"operations": [{**PRELU, "initializers": {"alpha": {"type": "he", x: x}}}]},
    "an initializer's parameter": lambda x: {"operations": [{**PRELU, "initializers": {x: "ones"}}]},
    "defaults": lambda x: {"operations": [PRELU], "defaults": {x: {}, "prelu": {x: "ones"}}},
    "a parameter": lambda x: {"operations": [{"name": "c", "type": "custom", "parameters": {x: CUSTOM}}]},
    "a parameter's field": lambda x: {
        "operations": [{"name": "c", "type": "custom", "parameters": {"w": {**CUSTOM, x: 1, "shape": [x]}}}]
    },
    "a list": lambda x: {"operations": [[x, x], x, {x: x}]},
    "the whole": lambda x: {x: x},
}


def lines_of(error: ParamgenError) -> list[str]:
    """Return the lines of an error; check that each is printable."""
    lines = str(error).split("\n")
    assert all(line.isprintable() for line in lines), lines
    return lines


def check(make: Callable[[], Any]) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert len(lines_of(caught.value)) == len(caught.value.diagnostics) == caught.value.total
    assert all(problem.message.isprintable() and problem.path.isprintable() for problem in caught.value.diagnostics)


def quote(value: Any) -> str:
    """Return a value in YAML, with unprintable characters as escapes in double quotes."""
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(key)}: {quote(entry)}" for key, entry in value.items()) + "}"
    return f"[{', '.join(map(quote, value))}]" if isinstance(value, list) else str(value)


@pytest.mark.parametrize("name", SPECS)
def test_errors_are_printable(name: str) -> None:
    for text in STRING_KEYS:
        check(lambda text=text: make_plan(interpret(from_mapping(SPECS[name](text), text))))
        check(lambda text=text: make_plan(interpret(from_yaml(quote(SPECS[name](text)).encode(), text))))
    for text in SURROGATES:
        check(lambda text=text: from_mapping(SPECS[name](text), text))


def unprintable_texts() -> Iterator[str]:
    """Yield YAML texts with a literal unprintable character."""
    for c in [*CONTROLS, *PRIVATE]:
        yield f"a: *x{c}"
        yield f"a: &x{c} [*x{c}]"
        yield f"a: !x{c} b"
        yield f"{c}a{c}: 1\n{c}a{c}: 2\noperations: 1"
        yield f"%{c}\n--- a"
        yield f"a: [{c}"


def test_errors_of_yaml_are_printable() -> None:
    for text in unprintable_texts():
        with pytest.raises(SpecError) as caught:
            plan_text(text)
        lines_of(caught.value)


@pytest.mark.parametrize("text", [*STRING_KEYS, *SURROGATES])
def test_names_of_files_and_variables_are_printable(text: str, tmp_path: Path) -> None:
    text = text.replace("\0", "")
    with pytest.raises(ParamgenError) as caught:
        paramgen.load_spec(tmp_path / text)
    assert len(lines_of(caught.value)) == 1
    if text not in SURROGATES:
        path = tmp_path / f"{text}.yaml"
        path.write_text("operations: 1")
        with pytest.raises(SpecError) as caught:
            make_plan(interpret(read_document(path)))
        assert len(lines_of(caught.value)) == 1
    spec = {"variables": {"hidden" + text: 1}, "operations": [PRELU]}
    for name in ("hiddem", text):
        with pytest.raises(ParamgenError) as caught:
            paramgen.load_spec(spec, variables={name: 1})
        assert len(lines_of(caught.value)) == 1
    with pytest.raises(ParamgenError) as caught:
        paramgen.initialize("gaussian", [2], std=1e39, name=text)
    assert len(lines_of(caught.value)) == 1
