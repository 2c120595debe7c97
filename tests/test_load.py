"""paramgen.load of unsupported or damaged files: a FileError of one line for each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import ROOT

import paramgen
from paramgen.storage import checkpoint


def write(path: Path, *tensors: tuple[str, str, list[int], int]) -> Path:
    """Write a sparse file of tensors: name, dtype, shape, bytes."""
    fields, begin = {}, 0
    for name, dtype, shape, size in tensors:
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}
        begin += size
    header = json.dumps(fields).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + begin)
        except OSError as error:
            pytest.skip(f"this file system has no sparse files of {begin} bytes: {error.strerror}")
    return path


UNLOADABLE: dict[str, list[tuple[str, str, list[int], int]]] = {
    "a dimension beyond NumPy's": [("a", "U8", [2**64 - 1, 0], 0)],
    "dimensions whose product is": [("a", "U8", [0, 2**62, 2**62], 0)],
    "too many dimensions": [("a", "F32", [1] * 70, 4)],
    "a dtype that NumPy lacks": [("b", "F32", [1], 4), ("a", "F4", [2], 1)],
    "names that do not nest": [("a.b", "U8", [1], 1), ("a", "U8", [1], 1)],
    "long names that do not nest": [("\n" * 5000, "U8", [1], 1), ("\n" * 5000 + ".x", "U8", [1], 1)],
}


@pytest.mark.parametrize("tensors", UNLOADABLE.values(), ids=list(UNLOADABLE))
def test_files_that_cannot_be_loaded_are_refused(tensors: Any, tmp_path: Path, golden: Golden) -> None:
    path = write(tmp_path / "f", *tensors)
    with pytest.raises(paramgen.FileError) as refused:
        paramgen.load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable() and len(message) < len(str(path)) + 500
    golden(refused.value)


@pytest.mark.parametrize("second", ["b", "a.b"])
def test_arrays_beyond_memory(second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    def refuse(size: int, dtype: Any) -> None:
        raise MemoryError(f"Unable to allocate {size} bytes")

    path = write(tmp_path / "f", ("a", "BF16", [3, 5], 30), (second, "U8", [1], 1))
    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(paramgen.FileError) as refused:
        paramgen.load(path)
    # Names that do not nest are reported before anything is read.
    assert ("Unable to allocate 30 bytes" in str(refused.value)) is (second == "b")
    golden(refused.value)


def test_no_memory_for_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    def refuse(path: str) -> None:
        raise MemoryError

    path = write(tmp_path / "f", ("a", "U8", [1], 1))
    monkeypatch.setattr(checkpoint, "TensorFile", refuse)
    with pytest.raises(paramgen.FileError) as caught:
        paramgen.load(path)
    golden(caught.value)


def test_a_file_cut_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    path = write(tmp_path / "f", ("a", "F32", [100], 400))

    class Cut(checkpoint.TensorFile):
        def __init__(self, path: str) -> None:
            super().__init__(path)
            Path(path).write_bytes(Path(path).read_bytes()[:-1])

    monkeypatch.setattr(checkpoint, "TensorFile", Cut)
    with pytest.raises(paramgen.FileError) as caught:
        paramgen.load(path)
    golden(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_an_address_space_that_is_too_small_for_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "f", ("a", "F32", [2**30], 2**32))
    code = (
        "import resource, sys, numpy, ml_dtypes, paramgen\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)\n"
        "try: paramgen.load(sys.argv[1])\n"
        "except paramgen.FileError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.stdout.startswith(f"{path}: "), done.stderr) == (True, "")
    assert done.stdout.count("\n") == 1


def test_a_folder_is_loaded_as_a_whole(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.safetensors", (f"x.{name}", "F32", [2, 3], 24))
    index = {"weight_map": {"x.a": "a.safetensors", "x.b": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    params = paramgen.load(tmp_path / "model.safetensors.index.json")
    assert {name: array.shape for name, array in params["x"].items()} == {"a": (2, 3), "b": (2, 3)}
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(paramgen.FileError, match=r"b\.safetensors: listed in the index, but absent"):
        paramgen.load(tmp_path / "model.safetensors.index.json")
