"""Completion, descriptions and diagnostics of specs in the YAML language server, which most editors run."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import CONFIGS, ROOT
from language_client import LanguageClient
from snippets import snippets

from paramgen.catalog.initializers import INITIALIZERS
from paramgen.catalog.operations import OPERATIONS, Conv

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
OFFLINE = r"ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH"
SCHEMA_LINE = "# yaml-language-server: $schema=paramgen.schema.json\n"
CURSOR = "^"
# A server keeps what it knows of a document, so each test opens its own.
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """Install the language server of package-lock.json, and return its command."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("server")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode and re.search(OFFLINE, done.stderr):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return ["node", folder / "node_modules/yaml-language-server/bin/yaml-language-server", "--stdio"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the schema, as docs/how-to/editors.md says."""
    folder = tmp_path_factory.mktemp("specs")
    shutil.copy(ROOT / "schemas" / "paramgen.schema.json", folder)
    return folder


@pytest.fixture(scope="module")
def editor(server: list[str | Path], folder: Path) -> Iterator[LanguageClient]:
    client = LanguageClient(server, folder)
    yield client
    client.close()


def ask(editor: LanguageClient, folder: Path, what: str, text: str) -> Any:
    """Ask about the place of the cursor in a spec that names the schema in its first line."""
    before, _, after = (SCHEMA_LINE + text).partition(CURSOR)
    path = folder / f"spec{next(NUMBERS)}.yaml"
    editor.open(path, before + after)
    return editor.ask(what, path, before.count("\n"), len(before) - before.rfind("\n") - 1)


def complete(editor: LanguageClient, folder: Path, text: str) -> dict[str, dict[str, Any]]:
    """Return the proposals at the cursor by their labels."""
    return {item["label"]: item for item in ask(editor, folder, "completion", text)["items"]}


OPERATION_TYPES = {name for model in OPERATIONS for name in model.names()}
INITIALIZER_TYPES = {name for model in INITIALIZERS for name in model.names()}
# Initializers without a field that must be given, whose names are enough.
INITIALIZER_NAMES = {"he", "kaiming", "glorot", "orthogonal", "zeros", "ones", "narrow_normal"}
CONV_FIELDS = set(Conv.fields_by_key()) - {"name", "type"}

COMPLETIONS: dict[str, tuple[str, set[str]]] = {
    "top level": ("^", {"seed", "dtype", "layout", "variables", "operations", "overrides", "files"}),
    "dtype": ("dtype: ^", {"float32", "bfloat16", "float8_e4m3fn", "int8"}),
    "layout": ("layout: ^\noperations: []\n", {"canonical", "torch", "keras", "flax"}),
    "type": ("operations:\n  - name: a\n    type: ^\n", OPERATION_TYPES),
    "type in a group": (
        "operations:\n  - name: g\n    repeat: 2\n    operations:\n      - name: a\n        type: ^\n",
        OPERATION_TYPES,
    ),
    "type in a line": ("operations:\n  - {name: a, type: ^}\n", OPERATION_TYPES),
    "after a name": ("operations:\n  - name: a\n    ^\n", {"type", "repeat", "as", "with", "when", "operations"}),
    "fields": ("operations:\n  - name: a\n    type: conv\n    ^\n", CONV_FIELDS),
    "fields in a line": ("operations:\n  - {name: a, type: conv, n^}\n", CONV_FIELDS),
    "choices of a field": (
        "operations:\n  - name: a\n    type: conv\n    bias: ^\n",
        {"per_filter", "shared", "none", "true", "false"},
    ),
    "parameters": (
        "operations:\n  - name: a\n    type: lstm\n    initializers:\n      ^\n",
        {"input_weights", "recurrent_weights", "bias"},
    ),
    "initializer": (
        "operations:\n  - name: a\n    type: conv\n    initializers:\n      weights: ^\n",
        INITIALIZER_NAMES,
    ),
    "initializer in a line": (
        "operations:\n  - {name: a, type: conv, initializers: {weights: ^}}\n",
        INITIALIZER_NAMES,
    ),
    "initializer of a custom parameter": ("parameters:\n  a: {shape: [3], initializer: ^}\n", INITIALIZER_NAMES),
    "initializer of the defaults": ("defaults:\n  conv:\n    weights: ^\n", INITIALIZER_NAMES),
    "initializer of an override": ("overrides:\n  - match: a\n    initializer: ^\n", INITIALIZER_NAMES),
    "initializer type": (
        "operations:\n  - name: a\n    type: conv\n    initializers:\n      weights: {type: ^}\n",
        INITIALIZER_TYPES,
    ),
    "fields of an initializer": (
        "operations:\n  - name: a\n    type: conv\n    initializers:\n      weights:\n        type: uniform\n        ^\n",
        {"bound", "low", "high"},
    ),
}


@pytest.mark.parametrize("case", COMPLETIONS)
def test_completion(editor: LanguageClient, folder: Path, case: str) -> None:
    text, expected = COMPLETIONS[case]
    assert expected - set(complete(editor, folder, text)) == set()


def test_fields_of_other_operations_are_not_proposed(editor: LanguageClient, folder: Path) -> None:
    proposals = complete(editor, folder, COMPLETIONS["fields"][0])
    assert not {"num_hidden_units", "vocabulary_size", "operations"} & set(proposals)


def test_proposals_are_described(editor: LanguageClient, folder: Path) -> None:
    types = complete(editor, folder, COMPLETIONS["type"][0])
    assert types["conv"]["documentation"] == "Convolution in one, two or three dimensions."
    assert types["dlconv"]["documentation"] == types["conv"]["documentation"]
    assert all(types[name]["documentation"].endswith(".") for name in OPERATION_TYPES)
    names = complete(editor, folder, COMPLETIONS["initializer"][0])
    assert names["he"]["documentation"] == "He (Kaiming) initializer: normal with variance 2/fan_in."


def test_a_new_operation_is_inserted_with_its_type(editor: LanguageClient, folder: Path) -> None:
    proposals = complete(editor, folder, "operations:\n  - ^\n")
    assert "type: fully_connected" in proposals["FullyConnected"]["insertText"]
    assert {"input_size", "output_size"} <= set(re.findall(r"\w+", proposals["FullyConnected"]["insertText"]))


HOVERS = {
    "lay^out: torch\n": "names and axis orders of the file.",
    "operations:\n  - {name: a, type: conv, num_fil^ters: 3}\n": "number of filters",
    "operations:\n  - {name: a, type: co^nv, num_filters: 3}\n": "Convolution in one, two or three dimensions.",
    "operations:\n  - {name: a, rep^eat: 3, operations: []}\n": "how often: a count",
    "operations:\n  - {name: a, type: conv, initializers: {weights: h^e}}\n": "normal with variance 2/fan",
    "operations:\n  - {name: a, type: conv, initializers: {weights: {type: uniform, bo^und: 1}}}\n": "values lie between",
}


@pytest.mark.parametrize("text", HOVERS)
def test_description_under_the_cursor(editor: LanguageClient, folder: Path, text: str) -> None:
    assert HOVERS[text] in ask(editor, folder, "hover", text)["contents"]["value"]


CONV = "operations:\n  - {name: a, type: conv, filter_size: 3, num_channels: 3, num_filters: 3"
DIAGNOSTICS: dict[str, dict[str, str]] = {
    CONV.replace("num_filters", "num_filter") + "}\n": {
        "num_filter": "Property num_filter is not allowed.",
        "{": 'Missing property "num_filters".',
    },
    CONV.replace("num_filters: 3", "num_filters: '3'") + "}\n": {"'3'": 'Incorrect type. Expected "integer".'},
    CONV.replace("type: conv", "type: cnv") + "}\n": {"cnv": 'Value is not accepted. Valid values: "batchnorm",'},
    CONV + ", initializers: {weights: hee}}\n": {"hee": 'Value is not accepted. Valid values: "glorot",'},
    CONV + ", initializers: {weights: {type: uniform, bound: 1, bond: 1}}}\n": {
        "bond": "Property bond is not allowed."
    },
    CONV + ", initializers: {weights: {type: unform}}}\n": {"unform": "Value is not accepted."},
    CONV + ", initializers: {bias: orthogonal}}\n": {"orthogonal": "Matches a schema that is not allowed."},
    CONV + "}\nseed: -3\n": {"-3": "Value is below the minimum of 0."},
    CONV + "}\ndtype: float31\n": {"float31": 'Value is not accepted. Valid values: "float64",'},
    "operations:\n  - {name: g, repeat: 3, operations: [{name: b, type: prelu, x: 1}]}\n": {
        "x": "Property x is not allowed."
    },
}


def find_messages(diagnostics: list[dict[str, Any]], text: str) -> dict[str, str]:
    """Return the messages by the text that they mark."""
    lines = text.splitlines()
    messages = {}
    for item in diagnostics:
        start, end = item["range"]["start"], item["range"]["end"]
        messages[lines[start["line"]][start["character"] : end["character"]]] = item["message"]
    return messages


@pytest.mark.parametrize("text", DIAGNOSTICS)
def test_errors_are_marked(editor: LanguageClient, folder: Path, text: str) -> None:
    text, expected = SCHEMA_LINE + text, DIAGNOSTICS[text]
    found = find_messages(editor.open(folder / f"spec{next(NUMBERS)}.yaml", text), text)
    assert set(found) == set(expected)
    assert all(found[marked].startswith(message) for marked, message in expected.items())


def test_published_specs_have_no_diagnostics(editor: LanguageClient) -> None:
    found = {path.name: editor.open(path, path.read_text(encoding="utf-8")) for path in CONFIGS}
    assert len(found) > 20
    assert {name: diagnostics for name, diagnostics in found.items() if diagnostics} == {}


@pytest.fixture(scope="module")
def documented_settings() -> dict[str, Any]:
    """Return the settings in docs/how-to/editors.md, section VS Code."""
    page = snippets(ROOT / "docs" / "how-to" / "editors.md")
    (text,) = [snippet.text for snippet in page if snippet.section == "VS Code"]
    return json.loads(text)  # type: ignore[no-any-return]


def test_settings_can_name_the_schema(
    server: list[str | Path], folder: Path, documented_settings: dict[str, Any]
) -> None:
    editor = LanguageClient(server, folder, schemas=documented_settings["yaml.schemas"])
    text = CONV.replace("num_filters: 3", "num_filters: x") + "}\n"
    found = find_messages(editor.open(folder / "specs" / "a.yaml", text), text)
    others = editor.open(folder / "others" / "a.yaml", text)
    editor.close()
    assert found == {"x": 'Incorrect type. Expected "integer".'}
    assert others == []


def test_settings_of_neovim_are_those_of_vs_code(documented_settings: dict[str, Any]) -> None:
    page = snippets(ROOT / "docs" / "how-to" / "editors.md")
    (text,) = [snippet.text for snippet in page if snippet.section == "Neovim"]
    assert dict(re.findall(r'\["(.*?)"\] = "(.*?)"', text)) == documented_settings["yaml.schemas"]


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages.pop("")["devDependencies"] == json.loads((HERE / "package.json").read_text())["devDependencies"]
    assert len(packages) > 10
    assert not any("resolved" in package for package in packages.values())
    assert all("integrity" in package for package in packages.values())
