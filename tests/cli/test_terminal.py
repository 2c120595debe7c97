"""Output on a terminal: texts from files and specs are printable, and JSON parses to the same text."""

import json
import os
import sys
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import pytest
import safetensors.numpy
from helpers import Run

from paramgen.cli import commands as cli
from paramgen.cli.tables import Column, print_table
from paramgen.json_text import escape_json
from paramgen.language.yaml_reader import escape_forbidden
from paramgen.sampling.devices import Device

# Controls, formats (bidirectional ones among them), separators, private and unassigned ones of each kind; surrogates.
CATEGORIES = ("Cc", "Cf", "Zl", "Zp", "Zs")
HOSTILE = [chr(code) for code in range(0x110000) if category(chr(code)) in CATEGORIES and code != 0x20]
HOSTILE += ["\u0378", "\ue000", "\U000f0000", "\U0010ffff", "\ufeff", "\U000e0041"]
SURROGATES = ["\ud800", "\udbff", "\udc80", "\udfff"]
READABLE = "é層😀ж"
TEXT = READABLE + "".join(HOSTILE)
# A spec with every character that YAML allows in its name.
NAMED: dict[str, Any] = {
    "name": READABLE + "".join(character for character in HOSTILE if escape_forbidden(character) == character),
    "operations": [{"name": "層é", "type": "prelu"}],
}


def is_safe(output: str) -> bool:
    return output.replace("\n", "").isprintable()


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Column("name", ["層", "abcdef"]), Column("n", ["1", "1,000"], is_right=True)])
    assert capsys.readouterr().out == "name        n\n層          1\nabcdef  1,000\n"


@pytest.mark.parametrize("character", ["\x7f", "\x9b", "\u202e", *SURROGATES])
def test_json_is_escaped_by_code_points(character: str) -> None:
    escaped = escape_json(json.dumps({"a": f"é{character}"}, ensure_ascii=False))
    assert escaped == f'{{"a": "é\\u{ord(character):04x}"}}'


def test_escaped_json_has_the_same_value() -> None:
    value = {TEXT + "-".join(SURROGATES): [TEXT, READABLE]}  # a high one before a low one is another character
    for indent in (None, 2):
        escaped = escape_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(escaped) == value
        assert is_safe(escaped)
        assert READABLE in escaped


@pytest.mark.parametrize("stats", [[], ["--stats"]], ids=["plain", "stats"])
def test_inspect_escapes_names_and_metadata(stats: list[str], run: Run, tmp_path: Path) -> None:
    arrays = {f"{character}{number}": np.zeros(1) for number, character in enumerate(HOSTILE)}
    safetensors.numpy.save_file({TEXT: np.ones(1), **arrays}, tmp_path / "f", {TEXT: TEXT, "k\x9b": "v\u202e"})
    done = run("inspect", "f", *stats)
    assert (done.returncode, done.stderr) == (0, "")
    assert is_safe(done.stdout)
    assert READABLE in done.stdout
    done = run("inspect", "f", "--json", *stats)
    assert (done.returncode, done.stderr) == (0, "")
    assert is_safe(done.stdout)
    assert READABLE in done.stdout
    document = json.loads(done.stdout)
    assert document["metadata"] == {TEXT: TEXT, "k\x9b": "v\u202e"}
    assert [tensor["name"] for tensor in document["tensors"]] == sorted([TEXT, *arrays])


def test_plan_escapes_the_specs_name(run: Run, tmp_path: Path) -> None:
    """Use the spec's own name: names of operations are only letters and digits."""
    name = NAMED["name"]
    assert {"\t", "\xad", "\u200f", "\u202e", "\u2066"} <= set(name)
    (tmp_path / "s.yaml").write_text(json.dumps(NAMED, ensure_ascii=False), encoding="utf-8")
    done = run("plan", "s.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert is_safe(done.stdout)
    assert READABLE in done.stdout
    done = run("plan", "s.yaml", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert is_safe(done.stdout)
    document = json.loads(done.stdout)
    assert document["name"] == name
    assert [tensor["name"] for tensor in document["parameters"]] == ["層é.alpha"]


def test_inspect_escapes_a_stored_spec(run: Run, tmp_path: Path) -> None:
    metadata = {"paramgen_stream": "philox4x32-v1", "paramgen_spec": json.dumps(NAMED)}
    safetensors.numpy.save_file({"x": np.zeros(1)}, tmp_path / "f", metadata)
    done = run("inspect", "f", "--spec", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert is_safe(done.stdout)
    assert "é層" in done.stdout  # PyYAML itself escapes emoji
    (tmp_path / "again.yaml").write_text(done.stdout, encoding="utf-8")
    assert json.loads(run("plan", "again.yaml", "--json").stdout)["name"] == NAMED["name"]


@pytest.mark.parametrize("option", ["--tree", "--hist"])
def test_inspect_escapes_names_in_other_forms(option: str, run: Run, tmp_path: Path) -> None:
    arrays = {f"{character}.{number}": np.ones(2) for number, character in enumerate(HOSTILE)}
    safetensors.numpy.save_file({TEXT: np.ones(1), **arrays}, tmp_path / "f")
    done = run("inspect", "f", option)
    assert done.returncode == 0 and is_safe(done.stderr)  # progress, on a slow machine
    assert is_safe(done.stdout)
    assert READABLE in done.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has only file names that are text")
def test_names_of_files(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(bytes(set(range(1, 256)) - set(b"./")))
    (tmp_path / name).write_text("operations: [{name: a, type: prelu}]\n")
    weights = name[1:]
    for arguments in (["plan", name], ["build", name, "-o", weights], ["inspect", weights]):
        done = run(*arguments)
        assert done.returncode == 0
        assert is_safe(done.stdout) and is_safe(done.stderr)
    for arguments, key, value in ((["plan", name], "name", name), (["inspect", weights], "files", [weights])):
        done = run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert is_safe(done.stdout)
        assert json.loads(done.stdout)[key] == value


def test_devices_escapes_names(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Device("gpu:0", TEXT + "-".join(SURROGATES), usable=False)]

    class Backend:
        @staticmethod
        def list_devices() -> list[Device]:
            return found

    monkeypatch.setattr("paramgen.sampling.devices.BACKEND_MODULES", {"gpu": "unused"})
    monkeypatch.setattr("paramgen.sampling.devices.load_backend", lambda kind: Backend)
    cli.devices(as_json=False)
    printed = capsys.readouterr().out
    assert is_safe(printed) and READABLE in printed
    cli.devices(as_json=True)
    printed = capsys.readouterr().out
    assert is_safe(printed) and READABLE in printed
    assert json.loads(printed) == [{"name": "gpu:0", "description": found[0].description, "usable": False}]
