"""Verification: every byte of a build is drawn again, and each kind of difference is found."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import paramgen
from paramgen.errors import FileError, MalformedFileError, UsageError

SPEC: dict[str, Any] = {
    "seed": 3,
    "layout": "torch",
    "files": {"config.json": {"a": 1}},
    "operations": [
        {"name": "embed", "type": "embedding", "vocabulary_size": 9, "embedding_dimension": 5, "padding_index": 2},
        {"name": "lstm", "type": "lstm", "input_size": 5, "num_hidden_units": 16},
        {"name": "norm", "type": "batchnorm", "num_channels": 8},
        {"name": "head", "type": "fully_connected", "input_size": 8, "output_size": 3, "dtype": "float16"},
        {
            "name": "flags",
            "type": "custom",
            "parameters": {"f": {"shape": [5], "dtype": "bool", "initializer": "ones"}},
        },
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    paramgen.build(SPEC, tmp_path / "f")
    return tmp_path / "f"


@pytest.mark.parametrize("threads", [1, 3])
def test_every_byte_of_a_file_counts(path: Path, threads: int) -> None:
    assert paramgen.verify(path, threads=threads).holds
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for position in random.Random(1).sample(range(start, len(whole)), 40):
        changed = bytearray(whole)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        result = paramgen.verify(path, threads=threads)
        assert (result.holds, result.differing) == (False, 1), position
        assert result.first_difference is not None


def test_the_first_difference_has_both_values(path: Path) -> None:
    arrays = dict(safetensors.numpy.load_file(path))
    with safetensors.safe_open(path, "numpy") as file:  # type: ignore[no-untyped-call]
        metadata = file.metadata()
    weight = arrays["head.weight"] = arrays["head.weight"].copy()
    old, weight[1, 2], weight[2, 0] = weight[1, 2], 7, np.nan
    safetensors.numpy.save_file(arrays, path, metadata)
    result = paramgen.verify(path)
    first = result.first_difference
    assert first is not None
    assert (first.tensor, first.index, first.expected, first.found) == ("head.weight", (1, 2), float(old), 7.0)
    assert (result.differing, result.tensors) == (1, len(arrays))


def test_another_header_is_a_difference_of_the_file_only(path: Path) -> None:
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    path.write_bytes((length + 8).to_bytes(8, "little") + whole[8 : 8 + length] + b" " * 8 + whole[8 + length :])
    result = paramgen.verify(path)
    assert (result.differing, result.other) == (0, (f"{path}: the header is not what paramgen writes",))
    assert paramgen.verify(path, SPEC).holds


def test_a_spec_of_other_tensors(path: Path) -> None:
    operations = [
        {**SPEC["operations"][0], "vocabulary_size": 10},
        {**SPEC["operations"][3], "dtype": "float32"},
        {"name": "new", "type": "prelu"},
    ]
    result = paramgen.verify(path, {**SPEC, "operations": operations})
    assert result.wrong_shape == {"embed.weight": ((10, 5), (9, 5))}
    assert result.wrong_dtype == dict.fromkeys(("head.weight", "head.bias"), ("float32", "float16"))
    assert (result.missing, "lstm.weight_ih_l0" in result.extra) == (("new.weight",), True)
    assert not result.differing and not result.holds


def test_the_index_and_the_names_of_shards_count(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    paramgen.build(SPEC, f"{folder}/", max_shard_size=5000)
    assert paramgen.verify(folder).holds
    index = folder / "model.safetensors.index.json"
    text = index.read_text()
    index.write_text(text.replace("  ", "    "))
    assert paramgen.verify(folder).other == (f"{index}: the index is not what paramgen writes",)
    assert paramgen.verify(folder, SPEC).holds
    index.write_text(text)
    os.rename(folder / "model-00001-of-00002.safetensors", folder / "other.safetensors")
    index.write_text(text.replace("model-00001-of-00002", "other"))
    others = paramgen.verify(index).other
    assert f"{folder}/other.safetensors: not a file of this build" in others
    assert f"{folder}/model-00001-of-00002.safetensors: absent" in others


def test_a_file_that_changes_meanwhile(path: Path) -> None:
    with pytest.raises(FileError, match="changed while it was read"):
        paramgen.verify(path, progress=lambda count: os.utime(path, ns=(1, 1)))


def test_files_without_a_spec(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"x": np.ones(3)}, tmp_path / "x")
    with pytest.raises(MalformedFileError, match="has no spec in its metadata"):
        paramgen.verify(tmp_path / "x")


def test_a_manifest_or_a_spec(path: Path) -> None:
    with pytest.raises(UsageError, match="manifest compares digests, and spec draws again; choose one"):
        paramgen.verify(path, SPEC, manifest=path)
