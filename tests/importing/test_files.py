"""Importing files: weights, folders, headers; fits; errors; the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden
from helpers import Run, plan_text
from safetensors.numpy import save_file

import paramgen
from paramgen.errors import FileError, SpecError
from paramgen.importing.fitting import fit_tensors
from paramgen.importing.model import ImportedTensor
from paramgen.importing.sources import import_weights
from paramgen.storage.checkpoint import Checkpoint

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write a file of twelve layers, as other libraries write them: sorted by dtype and name."""
    generator = np.random.default_rng(1)
    tensors: dict[str, Any] = {"embed.weight": generator.normal(0, 0.02, (100, 64)).astype(np.float32)}
    for layer in range(12):
        tensors[f"layers.{layer}.up.weight"] = generator.uniform(-0.1, 0.1, (256, 64)).astype(np.float32)
        tensors[f"layers.{layer}.up.bias"] = np.zeros(256, np.float32)
        tensors[f"layers.{layer}.norm.weight"] = np.full(64, 0.5, np.float16)
        tensors[f"layers.{layer}.position_ids"] = np.arange(32)[None]
    tensors["steps"] = np.array([3, 5, 7, 9])
    tensors["table"] = np.array([[3, 1, 4], [1, 5, 9]], np.int32)
    save_file(tensors, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_a_file_gives_its_tensors(weights: Path) -> None:
    spec = paramgen.import_file(weights)
    with Checkpoint(weights) as checkpoint:
        expected = {name: (stored.entry.dtype, stored.entry.shape) for name, stored in checkpoint.tensors.items()}
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in spec.plan.tensors} == expected
    layers = [int(tensor.name.split(".")[1]) for tensor in spec.plan.tensors if tensor.name.startswith("layers.")]
    assert layers == sorted(layers)


def test_fits_describe_the_values(weights: Path, golden: Golden) -> None:
    done: list[int] = []
    imported = import_weights(weights, fit=True, progress=done.append)
    assert sum(done) == sum(array.nbytes for array in paramgen.load(weights)["layers"]["0"]["up"].values()) * 12 + sum(
        (100 * 64 * 4, 12 * 64 * 2, 12 * 32 * 8, 4 * 8, 6 * 4)
    )
    golden(imported.text)


def test_fitted_statistics_are_those_of_the_source(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    source = {
        "normal": generator.normal(0.3, 0.05, (200, 200)),
        "uniform": generator.uniform(1, 2, (100, 100)),
        "layers.0.w": generator.normal(0, 0.1, (100, 100)),
        "layers.1.w": generator.normal(0, 0.2, (100, 100)),
        "layers.2.w": generator.normal(0, 0.4, (100, 100)),
        "coins": generator.random((50, 50)) < 0.25,
        "codes": generator.integers(0, 15, (50, 50), dtype=np.uint8, endpoint=True),
    }
    arrays = {name: array.astype(np.float32) if array.dtype == np.float64 else array for name, array in source.items()}
    save_file(arrays, tmp_path / "a.safetensors")
    built: Any = paramgen.sample(paramgen.import_file(tmp_path / "a.safetensors", fit=True), flat=True)
    for name, array in arrays.items():
        assert built[name].dtype == array.dtype
        assert built[name].mean() == pytest.approx(array.mean(), abs=0.05 * float(array.std()))
        assert built[name].std() == pytest.approx(array.std(), rel=0.05)


def test_fits_read_a_part_at_a_time(weights: Path) -> None:
    with Checkpoint(weights) as checkpoint:
        (fitted,) = fit_tensors(checkpoint, [ImportedTensor("steps", "int64", (4,))], lambda count: None)
    assert fitted.initializer == {"type": "arange", "start": 3, "step": 2}


def test_close_numbers_are_shared(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    arrays = {f"layers.{i}.w": generator.normal(0, 0.02, (64, 64)).astype(np.float32) for i in range(8)}
    save_file(arrays, tmp_path / "a.safetensors")
    text = import_weights(tmp_path / "a.safetensors", fit=True).text
    assert text.count("std") == 2  # the comment and one initializer
    assert "repeat: " in text


def test_the_stored_spec_is_preferred(tmp_path: Path, tiny: Path) -> None:
    paramgen.build(tiny, tmp_path / "t.safetensors")
    imported = import_weights(tmp_path / "t.safetensors")
    assert imported.text.startswith("# The spec that t.safetensors was built from.\n")
    assert (imported.tensors, imported.patterns) == (2, 2)
    assert paramgen.import_file(tmp_path / "t.safetensors").plan.files == paramgen.plan(tiny).files
    assert "gaussian" not in import_weights(tmp_path / "t.safetensors").text


def test_headers_are_read_in_every_form(tmp_path: Path, tiny: Path) -> None:
    paramgen.build(tiny, tmp_path / "t.safetensors")
    data = (tmp_path / "t.safetensors").read_bytes()
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    (tmp_path / "header.json").write_bytes(header)
    (tmp_path / "header.bin").write_bytes(data[:8] + header)
    fields = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
    (tmp_path / "plain.json").write_text(json.dumps(fields))
    for name in ("header.json", "header.bin", "plain.json"):
        planned = paramgen.import_file(tmp_path / name).plan
        assert {tensor.name: list(tensor.shape) for tensor in planned.tensors} == {
            name: entry["shape"] for name, entry in fields.items()
        }


def test_folders_and_indexes_are_read(tmp_path: Path) -> None:
    parameter = {"shape": [300, 300], "initializer": "ones"}
    operations = [{"name": name, "parameters": {"w": parameter}} for name in "ab"]
    paramgen.build({"operations": operations}, f"{tmp_path}/m/", max_shard_size="400KB")
    for path in (tmp_path / "m", tmp_path / "m" / "model.safetensors.index.json"):
        imported = import_weights(path)
        assert [tensor.name for tensor in plan_text(imported.text).tensors] == ["a.w", "b.w"]
    (tmp_path / "m" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileError, match=r"model-00002-of-00002.safetensors: listed in the index, but absent"):
        import_weights(tmp_path / "m")


BAD: dict[str, str] = {
    "duplicate names": f'{{"a": {json.dumps(ENTRY)}, "a": {json.dumps(ENTRY)}}}',
    "no JSON": "{",
    "a list": "[]",
    "no tensors": '{"__metadata__": {"format": "pt"}}',
    "a configuration": '{"architectures": ["Llama"]}',
    "an unknown dtype": '{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
    "a dtype below a byte": '{"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}',
    "a negative size": '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
    "wrong offsets": '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
    "a hole": '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
    "some offsets": json.dumps({"a": ENTRY, "b": {"dtype": "F32", "shape": [1]}}),
    "a name with a slash": json.dumps({"a/b": ENTRY}),
    "a deep list": "[" * 100_000,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_headers_are_refused_on_one_line(name: str, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "h.json").write_text(BAD[name])
    with pytest.raises(FileError) as caught:
        paramgen.import_file(tmp_path / "h.json")
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, SpecError)
    golden(caught.value)


def test_a_header_has_nothing_to_fit(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps({"a": ENTRY}))
    with pytest.raises(FileError, match="a header has no data to fit"):
        paramgen.import_file(tmp_path / "h.json", fit=True)


def test_values_that_are_not_finite_are_not_fitted(tmp_path: Path) -> None:
    save_file({"a": np.array([1, np.nan], np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(FileError, match="a: has NaN or infinities"):
        paramgen.import_file(tmp_path / "a.safetensors", fit=True)


def test_the_command_writes_specs(tmp_path: Path, run: Run, golden: Golden) -> None:
    (tmp_path / "h.json").write_text(json.dumps({"model.a.weight": ENTRY}))
    printed = run("import", "h.json")
    written = run("import", "h.json", "-o", "h.yaml")
    refused = run("import", "h.json", "-o", "h.yaml")
    forced = run("import", "h.json", "-o", "h.yaml", "--force", "--json")
    missing = run("import", "none.safetensors")
    assert (tmp_path / "h.yaml").read_text() == printed.stdout
    assert [result.returncode for result in (printed, written, refused, forced, missing)] == [0, 0, 2, 0, 3]
    assert json.loads(forced.stdout) == {
        "tensors": 1,
        "patterns": 1,
        "lines": len(printed.stdout.splitlines()),
        "source": "h.json",
        "uninitialized": [],
    }
    assert run("build", "h.yaml").returncode == 0
    golden(printed.stdout, written.stdout, refused.stderr, missing.stderr)
