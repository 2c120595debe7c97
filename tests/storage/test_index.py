"""Indexes: the text that huggingface_hub writes, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from paramgen.errors import FileError, MalformedFileError
from paramgen.storage.index import MAX_INDEX_BYTES, index_text, read_index


def test_text_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(index_text({"b": "2.safetensors", "a": "1.safetensors"}, 80, 20))
    index = read_index(str(path))
    assert (dict(index.weight_map), index.files) == (
        {"a": "1.safetensors", "b": "2.safetensors"},
        ["1.safetensors", "2.safetensors"],
    )
    assert (index.total_size, index.total_parameters) == (80, 20)


def test_totals_may_be_floats_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text(json.dumps({"metadata": {"total_size": 80.0}, "weight_map": {"a": "f"}}))
    assert (read_index(str(path)).total_size, read_index(str(path)).total_parameters) == (80, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "needs a weight_map"),
        ("{", "must be valid JSON"),
        ("[" * 100_000, "must be valid JSON"),
        ('{"weight_map": {}}', "needs a weight_map"),
        ('{"weight_map": {"a": 1}}', "the name of a file beside the index, got 1"),
        ('{"weight_map": {"a": "../f"}}', "the name of a file beside the index, got '../f'"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "the name of a file beside the index, got '/etc/passwd'"),
        ('{"weight_map": {"a": ".."}}', "the name of a file beside the index, got '..'"),
        ('{"weight_map": {"a": "b\\u0000"}}', "the name of a file beside the index"),
    ],
)
def test_other_texts_are_malformed(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text(text)
    with pytest.raises(MalformedFileError) as caught:
        read_index(str(path))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_enormous_index_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    with path.open("wb") as file:
        file.truncate(MAX_INDEX_BYTES + 1)
    with pytest.raises(MalformedFileError, match="must have at most 100,000,000 bytes"):
        read_index(str(path))


def test_an_absent_index_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_index(str(tmp_path / "i.json"))


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "i.json")
    with pytest.raises(FileError, match="must be a regular file"):
        read_index(str(tmp_path / "i.json"))
