"""Weights in files, indexes and folders, against those that huggingface_hub writes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from paramgen.errors import FileError, MalformedFileError
from paramgen.storage.checkpoint import Checkpoint

INDEX = "model.safetensors.index.json"
ARRAYS = {f"layer.{i}": np.full((i + 1, 3), i, np.float32) for i in range(6)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six tensors in three shards."""
    weight_map = {}
    for number in range(3):
        name = f"model-{number + 1:05d}-of-00003.safetensors"
        part = dict(list(ARRAYS.items())[2 * number :][:2])
        safetensors.numpy.save_file(part, tmp_path / name)
        weight_map |= dict.fromkeys(part, name)
    total = sum(array.nbytes for array in ARRAYS.values())
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    return tmp_path


def edit(folder: Path, change: Callable[[Any], None]) -> None:
    document = json.loads((folder / INDEX).read_text())
    change(document)
    (folder / INDEX).write_text(json.dumps(document))


def read_all(path: Path, **options: Any) -> dict[str, Any]:
    with Checkpoint(path, **options) as checkpoint:
        arrays = {}
        for name, stored in checkpoint.tensors.items():
            data = np.empty(stored.entry.nbytes, np.uint8)
            checkpoint.read_into(stored, 0, data.data)
            arrays[name] = data.view(stored.entry.dtype.numpy_dtype()).reshape(stored.entry.shape)
        return arrays


@pytest.mark.parametrize("name", [".", INDEX])
def test_a_folder_and_its_index_have_all_tensors(name: str, folder: Path) -> None:
    arrays = read_all(folder / name)
    assert arrays.keys() == ARRAYS.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[key])


def test_more_shards_than_may_be_open_at_once(folder: Path) -> None:
    arrays = read_all(folder, max_open_files=1)
    assert all(np.array_equal(arrays[key], array) for key, array in ARRAYS.items())


def test_a_shard_alone_is_a_file(folder: Path) -> None:
    with Checkpoint(folder / "model-00002-of-00003.safetensors") as checkpoint:
        assert [*checkpoint.tensors] == ["layer.2", "layer.3"]


def test_a_single_file_is_preferred_over_an_index(folder: Path) -> None:
    safetensors.numpy.save_file({"x": np.zeros(1)}, folder / "model.safetensors")
    with Checkpoint(folder) as checkpoint:
        assert [*checkpoint.tensors] == ["x"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["weight_map"].pop("layer.0"), "layer.0: not listed in the index"),
        (lambda d: d["weight_map"].update(x="model-00001-of-00003.safetensors"), "x: listed in the index, but absent"),
        (
            lambda d: d["weight_map"].update({"layer.0": "model-00003-of-00003.safetensors"}),
            "layer.0: listed in the index, but in model-00001-of-00003.safetensors",
        ),
        (lambda d: d["weight_map"].update(x="y.safetensors"), "y.safetensors: listed in the index, but absent"),
        (lambda d: d["metadata"].update(total_size=1), "total_size must be 252, got 1"),
    ],
    ids=["omitted", "absent", "elsewhere", "absent file", "total"],
)
def test_a_contradiction_is_raised(change: Callable[[Any], None], problem: str, folder: Path) -> None:
    edit(folder, change)
    with pytest.raises(MalformedFileError) as caught:
        Checkpoint(folder)
    assert problem in str(caught.value)
    with Checkpoint(folder, allow_inconsistencies=True) as checkpoint:
        assert len(checkpoint.inconsistencies) == 1


def test_a_tensor_in_two_files_is_a_contradiction(folder: Path) -> None:
    arrays = {"layer.0": ARRAYS["layer.0"], "layer.2": ARRAYS["layer.2"], "layer.3": ARRAYS["layer.3"]}
    safetensors.numpy.save_file(arrays, folder / "model-00002-of-00003.safetensors")
    with pytest.raises(MalformedFileError, match=r"layer\.0: also in model-00001-of-00003\.safetensors"):
        Checkpoint(folder)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "has no .safetensors file"),
        (["model-00001-of-00002.safetensors"], "has shards, but no index"),
        (["a.safetensors", "b.safetensors"], "several models; choose one of a.safetensors, b.safetensors"),
    ],
)
def test_a_folder_needs_the_weights_of_one_model(names: list[str], problem: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(FileError) as caught:
        Checkpoint(tmp_path)
    assert problem in str(caught.value)


def test_a_file_that_changes_is_noticed(folder: Path) -> None:
    path = folder / "model-00001-of-00003.safetensors"
    with Checkpoint(folder, max_open_files=1) as checkpoint:
        checkpoint.raise_if_changed()
        os.utime(path, ns=(1, 1))
        with pytest.raises(FileError, match="changed while it was read"):
            checkpoint.raise_if_changed()


def test_metadata_are_those_that_all_files_share(folder: Path) -> None:
    for number, metadata in enumerate(({"a": "1", "b": "2", "c": "3"}, {"b": "2", "a": "1"}, {"a": "1", "b": "4"})):
        path = folder / f"model-{number + 1:05d}-of-00003.safetensors"
        safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, metadata)
    with Checkpoint(folder) as checkpoint:
        assert checkpoint.metadata == {"a": "1"}


def test_elements_are_read_with_few_open_files(folder: Path) -> None:
    with Checkpoint(folder, max_open_files=2) as checkpoint:
        for _ in range(2):
            for name, tensor in checkpoint.tensors.items():
                np.testing.assert_array_equal(checkpoint.read(tensor, 1, 3), ARRAYS[name].reshape(-1)[1:3])


@pytest.mark.parametrize("path", ["a\0.json", "a\ud800.json"])
def test_a_path_that_no_file_can_have(path: str) -> None:
    with pytest.raises(FileError, match="not a valid file name"):
        Checkpoint(path)
