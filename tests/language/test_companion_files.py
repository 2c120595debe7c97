"""The key `files` of a spec: what it evaluates and stores, and its errors."""

import json
from typing import Any

import pytest
from golden import Golden
from helpers import list_problems

import paramgen
from paramgen.planning.plan import metadata
from paramgen.spec import Spec

OPERATIONS = [{"name": "a", "type": "prelu"}]
TAIL = "operations:\n  - {name: a, type: prelu}\n"


def load(files: Any, **variables: Any) -> Spec:
    return paramgen.load_spec({"variables": variables, "files": files, "operations": OPERATIONS})


def test_values_are_evaluated_over_the_variables() -> None:
    content = {"hidden": "${2 * n}", "sizes": "${l}", "text": "a-${n}", "nested": [{"x": "${l[1]}"}, None, True]}
    spec = load({"config.json": content, "tokens.json": "${t}/tokens.json"}, n=4, l=[1, 2], t="words")
    assert spec.source["files"] == {
        "config.json": {"hidden": 8, "sizes": [1, 2], "text": "a-4", "nested": [{"x": 2}, None, True]},
        "tokens.json": "words/tokens.json",
    }


def test_keys_of_the_spec_language_have_no_meaning_in_files() -> None:
    """Evaluate below keys that are evaluated later elsewhere, and keep numbers below keys that are strings elsewhere."""
    content = {"name": "${n}", "match": "${n}", "type": "formula", "value": "${n}", "operations": {"files": "${n}"}}
    spec = load({"a.json": content, "operations": {"parameters": "${n}", "variables": ["${n}"]}}, n=4)
    assert spec.source["files"] == {
        "a.json": {"name": 4, "match": 4, "type": "formula", "value": 4, "operations": {"files": 4}},
        "operations": {"parameters": 4, "variables": [4]},
    }


def test_the_stored_spec_has_the_evaluated_files_and_gives_the_same_plan() -> None:
    spec = load({"config.json": {"b": 1e-7, "a": "${n}", "é": "\u2028"}, "x": "y"}, n=2**70)
    stored = json.loads(spec.plan.metadata.single["paramgen_spec"])
    assert stored["files"] == {"config.json": {"b": 1e-7, "a": 2**70, "é": "\u2028"}, "x": "y"}
    again = paramgen.load_spec(stored)
    assert (again.plan.files, again.plan.companions) == (spec.plan.files, spec.plan.companions)


def test_a_spec_without_files_stores_none() -> None:
    spec = paramgen.load_spec({"operations": OPERATIONS})
    assert "files" not in metadata(spec._parsed)["paramgen_spec"]
    assert spec.plan.companions == ()


@pytest.mark.parametrize("text", ["${t}", "a${t}", "${l}"])
def test_long_variables_are_not_multiplied_without_limit(text: str, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        load({"a.json": {"x": [text] * 1000}}, t="x" * 2**20, l=["x" * 2**16] * 16)
    golden(caught.value)


LONG = "é" * 128
NAMES = ["a/b", "a\\b", "..", ".", ".hidden", "", "a\x07", "a\x85", LONG, "MODEL.safetensors"]
NAMES += ["model-00001-of-00002.safetensors", "adapter_model.safetensors.index.json"]


@pytest.mark.parametrize("name", NAMES)
def test_refused_names(name: str) -> None:
    problems = list_problems(f"files: {{{json.dumps(name)}: {{}}}}\n{TAIL}")
    assert len(problems) == 1 and problems[0].startswith("1:9: files.")


@pytest.mark.parametrize("name", ["config.json", "a b", "é" * 127, "x..y", "safetensors", "a.safetensors.json"])
def test_accepted_names(name: str) -> None:
    assert list_problems(f"files: {{{json.dumps(name)}: {{}}}}\n{TAIL}") == []


MISTAKES = {
    "a slash": "{a/b.json: {}}",
    "a backslash": "{'a\\b.json': {}}",
    "the folder above": "{..: {}}",
    "hidden": "{.gitattributes: x}",
    "empty": "{'': {}}",
    "a control character": '{"a\\x07.json": {}}',
    "too long": f"{{{LONG}: {{}}}}",
    "weights": "{model.safetensors: {}}",
    "an index": "{model.safetensors.index.json: x.json}",
    "equal names": "{config.json: {}, Config.JSON: {}}",
    "a list": "{config.json: [1]}",
    "null": "{config.json: }",
    "no mapping": "[config.json]",
    "nothing": "",
    "an absolute path": "{a.json: /etc/passwd}",
    "a path that leaves the folder": "{a.json: b/../../c.json}",
    "an empty path": "{a.json: ''}",
    "a control character in a path": '{a.json: "b\\0"}',
    "not a number": "{a.json: {x: [1, {y: .nan}]}}",
    "infinity": "{a.json: {x: -.inf}}",
    "an unknown variable": "{a.json: {x: '${width}'}}",
    "a path with a wrong expression": "{a.json: '${1 +}'}",
    "an expression that gives an expression": "{a.json: {x: \"${'$'}{y}\"}, b.json: \"${'$'}{y}\"}",
}


def test_mistakes(golden: Golden) -> None:
    found = {name: list_problems(f"files: {text}\n{TAIL}") for name, text in MISTAKES.items()}
    assert all(found.values())
    golden(*(f"{name}:\n  " + "\n  ".join(problems) for name, problems in found.items()))
