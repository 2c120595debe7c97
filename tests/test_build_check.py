"""A build replaces what paramgen wrote, and asks before it replaces anything else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from golden import Golden
from safetensors.numpy import load_file, save_file

import paramgen
from paramgen.build_check import is_unchanged_build
from paramgen.errors import UsageError

SPEC: dict[str, Any] = {
    "seed": 7,
    "operations": [
        {"name": "conv", "type": "conv", "filter_size": [3, 3], "num_channels": 4, "num_filters": 8},
        {"name": "lstm", "type": "lstm", "input_size": 6, "num_hidden_units": 5},
    ],
}


@pytest.fixture
def built_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.safetensors"
    paramgen.build(SPEC, path)
    return path


@pytest.mark.parametrize(
    "change",
    [{}, {"seed": 8}, {"dtype": "bfloat16"}, {"operations": [SPEC["operations"][1]]}],
    ids=["the same", "seed", "dtype", "operations"],
)
def test_a_file_of_another_build_is_replaced(built_file: Path, change: dict[str, Any]) -> None:
    paramgen.build({**SPEC, **change}, built_file)
    paramgen.build(SPEC, built_file)


@pytest.mark.parametrize("place", [0, -1, "middle"])
@pytest.mark.parametrize("name", ["conv.weights", "conv.bias", "lstm.recurrent_weights"])
def test_a_model_that_was_trained_further_is_kept(
    built_file: Path, name: str, place: int | str, golden: Golden
) -> None:
    """Change one value; metadata, order and sizes remain as paramgen wrote them."""
    before = built_file.read_bytes()
    changed = change_value(built_file, name, place)
    with pytest.raises(UsageError) as caught:
        paramgen.build(SPEC, built_file)
    assert built_file.read_bytes() == changed != before
    paramgen.build(SPEC, built_file, force=True)
    assert built_file.read_bytes() == before
    golden(caught.value)


def test_a_file_that_the_official_writer_made_of_ours_is_kept(built_file: Path, golden: Golden) -> None:
    with safetensors.safe_open(built_file, "np") as file:
        metadata = file.metadata()
    tensors = load_file(built_file)
    save_file({name: array * np.float32(0.5) for name, array in tensors.items()}, built_file, metadata)
    with pytest.raises(UsageError) as caught:
        paramgen.build(SPEC, built_file)
    golden(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"paramgen_spec": "{", "paramgen_stream": "philox4x32-v1"},
        {"paramgen_spec": "[" * 100_000},
        {"paramgen_spec": '{"operations": [{"name": "x", "type": "of the future"}]}'},
        {"paramgen_spec": json.dumps(SPEC)},
    ],
    ids=["none", "another's", "no JSON", "deep", "unknown type", "other tensors"],
)
def test_other_files_are_kept(tmp_path: Path, metadata: dict[str, str] | None, golden: Golden) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, path, metadata)
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        paramgen.build(SPEC, path)
    assert path.read_bytes() == before
    golden(caught.value)


@pytest.mark.parametrize("content", [b"", b"text"], ids=["empty", "text"])
def test_files_that_are_not_safetensors_are_kept(tmp_path: Path, content: bytes, golden: Golden) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        paramgen.build(SPEC, path)
    assert path.read_bytes() == content
    golden(caught.value)


def test_a_large_matrix_is_not_drawn_to_check_a_file(built_file: Path) -> None:
    change_value(built_file, "lstm.recurrent_weights", 0)
    plan = paramgen.plan(SPEC)
    assert not is_unchanged_build(str(built_file), plan)
    assert is_unchanged_build(str(built_file), plan, sampled_seconds=0.0)


def test_a_large_norm_is_not_drawn_for_a_look(tmp_path: Path) -> None:
    dense = {"name": "d", "type": "fully_connected", "input_size": 30, "output_size": 20}
    spec = {"operations": [{**dense, "weight_norm": {"axis": "outputs"}}]}
    path = tmp_path / "x.safetensors"
    paramgen.build(spec, path)
    change_value(path, "d.magnitude", 0)
    assert not is_unchanged_build(str(path), paramgen.plan(spec), sampled_seconds=60.0)
    assert is_unchanged_build(str(path), paramgen.plan(spec), sampled_seconds=0.0)


def change_value(path: Path, name: str, place: int | str) -> bytes:
    """Change one value of a tensor in a file, and nothing else."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + length])[name]["data_offsets"]
    elements = (end - begin) // 4
    element = {0: 0, -1: elements - 1, "middle": elements // 2}[place]
    data[8 + length + begin + 4 * element + 3] ^= 1
    path.write_bytes(data)
    return bytes(data)
