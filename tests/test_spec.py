"""Specs from files and as YAML: both give the plan that they came from."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CONFIGS, SMALL
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import paramgen
from paramgen.folder_build import build_folder
from paramgen.language.yaml_reader import from_yaml
from paramgen.language.yaml_writer import to_yaml
from paramgen.planning.files import FolderLayout

SPEC: dict[str, Any] = {"seed": 3, "operations": [{"name": "a", "type": "prelu"}]}
STREAM = {"paramgen_stream": "philox4x32-v1"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_spec_survives_its_file_and_its_yaml(path: Path, tmp_path: Path) -> None:
    spec = paramgen.load_spec(path, seed=9, layout="canonical", variables=SMALL.get(path.stem))
    paramgen.build(spec, tmp_path / "p")
    stored = paramgen.Spec.from_file(tmp_path / "p")
    (tmp_path / "again.yaml").write_text(spec.to_yaml(), encoding="utf-8")
    again = paramgen.load_spec(tmp_path / "again.yaml")
    assert spec.plan.files[0].header == stored.plan.files[0].header == again.plan.files[0].header
    assert spec.plan.rows() == again.plan.rows()
    in_any_order = {row["name"]: row for row in spec.plan.rows()}
    assert (stored.seed, {row["name"]: row for row in stored.plan.rows()}) == (9, in_any_order)


TRICKY = [
    "1e5",
    "-.5",
    "010",
    "0o17",
    "0x1F",
    "no",
    "on",
    "1:30",
    "null",
    "~",
    "",
    " x ",
    "true",
    "a: b",
    "# c",
    "${i}",
]
TEXTS = st.one_of(st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"])))


@given(
    st.recursive(
        st.one_of(TEXTS, st.booleans(), st.none(), st.integers(-(2**64), 2**64), st.floats(allow_nan=False)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
        max_leaves=8,
    )
)
def test_the_reader_reads_what_the_writer_wrote(value: Any) -> None:
    data = {"value": value}
    found = from_yaml(to_yaml(data).encode(), "s").data
    assert found == data
    assert json.dumps(found) == json.dumps(data)  # 1 is not 1.0, nor true


def test_yaml_is_what_an_author_would_write() -> None:
    text = paramgen.load_spec({**SPEC, "variables": {"n": 2}, "dtype": "float16"}).to_yaml()
    assert text == "seed: 3\noperations:\n- {name: a, type: prelu}\nvariables: {n: 2}\ndtype: float16\n"


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (None, "has no spec in its metadata; choose a file that paramgen wrote"),
        ({"paramgen_spec": "{"}, "has no spec in its metadata; choose a file that paramgen wrote"),
        (
            {"paramgen_spec": "{}", "paramgen_stream": "v9\n"},
            "paramgen_stream must be philox4x32-v1, got v9\\n",
        ),
        ({"paramgen_spec": "{", **STREAM}, "paramgen_spec must be valid JSON"),
        ({"paramgen_spec": "[" * 100_000, **STREAM}, "paramgen_spec must be valid JSON"),
        ({"paramgen_spec": "[]", **STREAM}, "paramgen_spec must be a mapping, got []"),
    ],
    ids=["none", "no stream", "another stream", "no JSON", "deep", "a list"],
)
def test_other_files_have_no_spec(metadata: dict[str, str] | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    save_file({"x": np.zeros(3, np.float32)}, path, metadata)
    with pytest.raises(paramgen.FileError) as caught:
        paramgen.Spec.from_file(path)
    assert str(caught.value) == f"{path}: {problem}"


def test_a_stored_spec_with_mistakes_is_reported_in_one_line(tmp_path: Path) -> None:
    stored = json.dumps({"operations": [{"name": "a", "type": "of the future"}, {"name": "b", "type": "c"}]})
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "f", {"paramgen_spec": stored, **STREAM})
    with pytest.raises(paramgen.FileError, match=r"paramgen_spec: operations\[0\].type: ") as caught:
        paramgen.Spec.from_file(tmp_path / "f")
    assert len(str(caught.value).splitlines()) == 1


def test_a_stored_text_is_not_read_as_a_path(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("operations: [{name: a, type: prelu}]")
    metadata = {"paramgen_spec": json.dumps(str(tmp_path / "spec.yaml")), **STREAM}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "f", metadata)
    with pytest.raises(paramgen.FileError, match="paramgen_spec must be a mapping"):
        paramgen.Spec.from_file(tmp_path / "f")
    with pytest.raises(paramgen.UsageError, match="was not written by paramgen"):
        paramgen.build(SPEC, tmp_path / "f")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(paramgen.FileError, match=r"none: No such file or directory$"):
        paramgen.Spec.from_file(tmp_path / "none")


def test_to_torch_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(paramgen.UsageError, match=r"^to_torch: PyTorch is not installed; run pip install torch$"):
        paramgen.to_torch({})


def test_a_folder_has_the_spec_of_its_shards(tmp_path: Path) -> None:
    matrix = {"shape": [30, 50], "initializer": "gaussian"}
    operations = [{"name": name, "type": "custom", "parameters": {"w": matrix}} for name in "ba"]
    plan = paramgen.plan({"operations": operations}).split(FolderLayout(limit=8000))
    build_folder(plan, f"{tmp_path}/d/")
    for name in ("d", "d/model.safetensors.index.json", "d/model-00002-of-00002.safetensors"):
        found = paramgen.Spec.from_file(tmp_path / name).plan
        assert [file.header for file in found.files] == [file.header for file in plan.files]
