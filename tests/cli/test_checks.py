"""The commands that check: `verify`, `check`, `digest` and `diff`, with their documents and exit statuses."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from golden import Golden

from paramgen.cli import commands

SPEC = """\
seed: 3
layout: torch
operations:
- {name: first, type: fully_connected, input_size: 30, output_size: 20}
- {name: second, type: fully_connected, input_size: 20, output_size: 10}
"""
INDEX = "model.safetensors.index.json"
ONE, TWO = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
HOSTILE = "\x1b[2J\u202eevil\n"


class Done(NamedTuple):
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"[{self.status}]\n{self.out}{self.err}".rstrip("\n")


Call = Callable[..., Done]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process, in tmp_path, where spec.yaml, the file f and the folder d are built from it."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["paramgen", *arguments])
        status = commands.run()
        return Done(status, *capsys.readouterr())

    Path("spec.yaml").write_text(SPEC)
    for arguments in (["f"], ["d/", "--max-shard-size", "3KB"]):
        assert call("build", "spec.yaml", "-o", *arguments).status == 0
    assert sorted(path.name for path in Path("d").iterdir()) == [ONE, TWO, INDEX]
    return call


def load(path: str = "f") -> dict[str, Any]:
    return safetensors.numpy.load_file(path)


def save(arrays: dict[str, Any], path: str, like: str = "f") -> None:
    """Write arrays with the metadata of another file."""
    with safetensors.safe_open(like, "np") as file:  # type: ignore[no-untyped-call]
        safetensors.numpy.save_file(arrays, path, file.metadata())


def change(name: str, index: tuple[int, ...], value: float, path: str = "f") -> None:
    """Change one element in place."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    array = load(path)[name]
    array[index] = value
    start += header[name]["data_offsets"][0]
    data[start : start + array.nbytes] = array.tobytes()
    Path(path).write_bytes(data)


# verify


@pytest.mark.parametrize("path", ["f", "d", f"d/{INDEX}"])
def test_a_build_verifies(path: str, call: Call) -> None:
    done = call("verify", path)
    assert (done.status, done.out, done.err) == (0, f"{path}: holds, 4 tensors compared\n", "")
    assert call("verify", path, "--spec", "spec.yaml").status == 0
    document = call("verify", path, "--json").document
    expected = {"holds": True, "tensors": 4, "differing": 0, "missing": [], "extra": [], "first_difference": None}
    assert document.items() >= expected.items()
    assert document["files"] == ([path] if path == "f" else [f"d/{ONE}", f"d/{TWO}"])


def test_verify_reports_the_first_difference(call: Call, golden: Golden) -> None:
    expected = float(load()["second.weight"][3, 7])
    change("second.weight", (3, 7), 0.25)
    change("second.weight", (4, 0), 0.5)
    change("second.bias", (9,), np.nan)
    done = call("verify", "f", "--json")
    assert done.status == 1
    assert done.document["differing"] == 2
    assert done.document["first_difference"] in (
        {"tensor": "second.weight", "index": [3, 7], "expected": expected, "found": 0.25},
        {"tensor": "second.bias", "index": [9], "expected": 0.0, "found": "nan"},
    )
    change("second.bias", (9,), 0)
    golden(call("verify", "f"))


def test_verify_reports_each_kind_of_difference(call: Call, golden: Golden) -> None:
    arrays = load()
    arrays["first.bias"] = arrays["first.bias"].astype(np.float16)
    arrays["second.weight"] = arrays["second.weight"].reshape(20, 10)
    arrays[HOSTILE] = arrays.pop("second.bias")
    save(arrays, "g")
    done = call("verify", "g", "--spec", "spec.yaml", "--json")
    assert done.status == 1
    document = done.document
    assert (document["holds"], document["missing"], document["extra"]) == (False, ["second.bias"], [HOSTILE])
    assert document["wrong_dtype"] == {"first.bias": ["float32", "float16"]}
    assert document["wrong_shape"] == {"second.weight": [[10, 20], [20, 10]]}
    golden(call("verify", "g", "--spec", "spec.yaml"))


def test_verify_takes_the_options_of_build(call: Call, golden: Golden) -> None:
    options = ["--seed", "9", "--layout", "keras", "--dtype", "float16"]
    call("build", "spec.yaml", "-o", "g", *options)
    assert call("verify", "g", "--spec", "spec.yaml", *options).status == 0
    golden(call("verify", "g", "--spec", "spec.yaml", "--layout", "keras", "--dtype", "float16"))


def test_verify_of_weights_without_a_spec(call: Call, golden: Golden) -> None:
    safetensors.numpy.save_file(load(), "g")
    assert call("verify", "g", "--spec", "spec.yaml").status == 0
    golden(call("verify", "g"))


def cut(path: str) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:-1])


def write_index(**weight_map: str) -> None:
    Path("d", INDEX).write_text(json.dumps({"weight_map": weight_map}))


def wrong_total() -> None:
    document = json.loads(Path("d", INDEX).read_text())
    document["metadata"]["total_size"] += 1
    Path("d", INDEX).write_text(json.dumps(document))


BAD_WEIGHTS: dict[str, tuple[str, Callable[[], object]]] = {
    "absent": ("none", lambda: None),
    "a text": ("text", lambda: Path("text").write_text("no tensors")),
    "truncated": ("f", lambda: cut("f")),
    "truncated shard": ("d", lambda: cut(f"d/{TWO}")),
    "missing shard": ("d", Path("d", TWO).unlink),
    "no index": ("d", Path("d", INDEX).unlink),
    "empty folder": ("e", Path("e").mkdir),
    "outside": ("d", lambda: write_index(x="../f")),
    "absolute": ("d", lambda: write_index(x="/dev/zero")),
    "folder as shard": ("d", lambda: (Path("d/x").mkdir(), write_index(x="x"))),
    "unlisted tensor": ("d", lambda: write_index(x=ONE)),
    "total": ("d", wrong_total),
}


@pytest.mark.parametrize(("path", "damage"), BAD_WEIGHTS.values(), ids=list(BAD_WEIGHTS))
def test_weights_that_cannot_be_read(path: str, damage: Callable[[], object], call: Call, golden: Golden) -> None:
    """Report one line and status 3, except `check`, whose findings these are if a file can be read."""
    shutil.copytree("d", "copy")
    damage()
    done = [call(*arguments) for arguments in (["verify", path], ["diff", path, "copy"], ["diff", "copy", path])]
    assert {(status, out) for status, out, _ in done} == {(3, "")}
    (line,) = {err for _, _, err in done}
    assert line.count("\n") == 1
    checked = call("check", path)
    assert (checked.status, bool(checked.out)) in ((1, True), (3, False))
    golden(line, checked)


# check


@pytest.mark.parametrize("path", ["f", "d", f"d/{INDEX}", f"d/{TWO}"])
def test_a_build_is_sound(path: str, call: Call) -> None:
    done = call("check", path)
    assert (done.status, done.out, done.err) == (0, f"{path}: sound\n", "")
    document = call("check", path, "--json").document
    files = {"d": [f"d/{ONE}", f"d/{TWO}"], f"d/{INDEX}": [f"d/{ONE}", f"d/{TWO}"]}.get(path, [path])
    assert document == {"sound": True, "files": files, "findings": []}


def test_check_lists_findings(call: Call, golden: Golden) -> None:
    change("first.weight", (0, 0), np.inf, f"d/{ONE}")
    Path("d", "model-00003-of-00003.safetensors").touch()
    wrong_total()
    done = call("check", "d", "--json")
    assert done.status == 1
    assert done.document["sound"] is False
    assert done.document["findings"] == [
        {"file": INDEX, "tensor": None, "finding": "total_size must be 3,320, got 3,321"},
        {"file": "model-00003-of-00003.safetensors", "tensor": None, "finding": "not listed in the index"},
        {"file": ONE, "tensor": "first.weight", "finding": "has 1 infinite value"},
    ]
    golden(call("check", "d"))


def test_check_of_a_foreign_file(call: Call, golden: Golden) -> None:
    arrays = {HOSTILE: np.array([np.nan, 1, np.nan]), "zeros": np.zeros((3, 4)), "fine": np.zeros(3)}
    safetensors.numpy.save_file(arrays, "g")
    golden(call("check", "g"))


# digest


def test_digests_are_those_of_a_build(call: Call) -> None:
    built = hashlib.sha256(Path("f").read_bytes()).hexdigest()
    assert call("digest", "spec.yaml", "-o", "f") == (0, f"{built}  f\n", "")
    document = call("digest", "spec.yaml", "-o", "f", "--json").document
    assert (document["sha256"], document["files"]) == (built, [{"file": "f", "sha256": built}])
    arrays = load()
    assert {tensor["name"]: tensor["sha256"] for tensor in document["tensors"]} == {
        name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()
    }


def test_digest_writes_nothing_and_takes_the_options_of_build(call: Call, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = call("digest", "spec.yaml", "--seed", "4", "--dtype", "float16", "--json")
    assert sorted(tmp_path.rglob("*")) == before
    built = call("build", "spec.yaml", "-o", "g", "--seed", "4", "--dtype", "float16", "--json").document
    assert done.document["sha256"] == built["sha256"]


def test_digest_of_a_spec_with_mistakes(call: Call, golden: Golden) -> None:
    Path("wrong.yaml").write_text(SPEC.replace("30", "-30"))
    golden(call("digest", "wrong.yaml"), call("digest", "none.yaml"), call("digest", "d"))


# diff


@pytest.mark.parametrize("a", ["f", "d", f"d/{INDEX}", "spec.yaml"])
@pytest.mark.parametrize("b", ["f", "d", "spec.yaml"])
def test_the_same_tensors_are_equal_in_every_form(a: str, b: str, call: Call) -> None:
    assert call("diff", a, b) == (0, "equal, 4 common tensors\n", "")
    document = call("diff", a, b, "--json").document
    assert document == {"equal": True, "only_in_a": [], "only_in_b": [], "changed": [], "values": []}


def test_differences_of_two_files(call: Call, golden: Golden) -> None:
    arrays = load()
    arrays["first.bias"] = arrays["first.bias"].astype(np.float16)
    arrays["second.weight"] = arrays["second.weight"].reshape(20, 10)
    arrays["first.weight"][1, 2] += 0.5
    arrays[HOSTILE] = arrays.pop("second.bias")
    save(arrays, "g")
    done = call("diff", "f", "g", "--json")
    assert done.status == 1
    document = done.document
    (value,) = document.pop("values")
    assert document == {
        "equal": False,
        "only_in_a": ["second.bias"],
        "only_in_b": [HOSTILE],
        "changed": [
            {"name": "first.bias", "dtype": ["float32", "float16"], "shape": [[20], [20]]},
            {"name": "second.weight", "dtype": ["float32", "float32"], "shape": [[10, 20], [20, 10]]},
        ],
    }
    assert (value["name"], value["elements"], value["differing"]) == ("first.weight", 600, 1)
    assert value["max_abs"] == pytest.approx(0.5)
    assert 0.9 < value["cosine"] < 1
    golden(call("diff", "f", "g"))


def test_names_may_be_ignored(call: Call) -> None:
    arrays = load()
    arrays["first.weight"] += 1
    arrays["extra.x"] = arrays.pop("second.bias")
    save(arrays, "g")
    ignored = ["--ignore", "first.*", "--ignore", "*.bias", "--ignore", "extra.?"]
    assert call("diff", "f", "g", *ignored) == (0, "equal, 1 common tensor\n", "")
    assert call("diff", "f", "g", *ignored[:4]).status == 1


def test_differences_within_a_tolerance_are_none(call: Call) -> None:
    arrays = load()
    arrays["first.weight"] *= np.float32(1.001)
    save(arrays, "g")
    assert call("diff", "f", "g", "--tolerance", "0.01").status == 0
    assert call("diff", "f", "g", "--tolerance", "1e-4").status == 1


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf", "x"])
def test_a_tolerance_that_is_not_one(tolerance: str, call: Call, golden: Golden) -> None:
    done = call("diff", "f", "f", "--tolerance", tolerance)
    assert done.status == 2
    golden(done)


def test_differences_of_two_specs(call: Call, golden: Golden) -> None:
    other = SPEC.replace("output_size: 10", "output_size: 11").replace("seed: 3", "seed: 4")
    Path("other.yaml").write_text(other + "- {name: third, type: prelu}\n")
    done = call("diff", "spec.yaml", "other.yaml")
    assert done.status == 1
    golden(done, call("diff", "spec.yaml", "none.yaml"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "f", "--seed", "1"],
        ["verify", "f", "--set", "a=1"],
        ["verify"],
        ["verify", "f", "--spec", "wrong.yaml"],
        ["diff", "f"],
        ["diff", "f", "wrong.yaml"],
        ["check", "f", "--spec", "spec.yaml"],
        ["digest"],
    ],
    ids=" ".join,
)
def test_wrong_command_lines(arguments: list[str], call: Call, golden: Golden) -> None:
    Path("wrong.yaml").write_text(SPEC.replace("30", "-30"))
    done = call(*arguments)
    assert (done.status, done.out) == (2, "")
    golden(done)
