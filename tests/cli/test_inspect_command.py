"""The command `inspect`: files, indexes and folders, as tables, trees, histograms, JSON and specs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from golden import Golden
from helpers import Run

pytestmark = pytest.mark.slow

INDEX = "model.safetensors.index.json"
# Layers 0, 1 and 3 are equal.
MODEL = """\
seed: 5
layout: torch
dtype: bfloat16
variables: {sizes: [16, 16, 24, 16]}
operations:
- {name: embed, type: embedding, vocabulary_size: 100, embedding_dimension: 16}
- name: layers
  repeat: 4
  as: i
  operations:
  - {name: norm, type: layer_norm, num_channels: 16}
  - {name: mlp.up, type: fully_connected, input_size: 16, output_size: "${sizes[i]}"}
"""


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """Build a folder of several shards."""
    (tmp_path / "model.yaml").write_text(MODEL)
    assert run("build", "model.yaml", "-o", "model/", "--max-shard-size", "4KB").returncode == 0
    assert len(list((tmp_path / "model").glob("*.safetensors"))) == 2
    return tmp_path / "model"


def test_a_folder_and_its_index_show_the_same_tensors(run: Run, folder: Path, golden: Golden) -> None:
    shown = run("inspect", "model")
    by_index = run("inspect", f"model/{INDEX}", "--filter", "layers.2.*", "--stats")
    assert (shown.returncode, shown.stderr, by_index.returncode, by_index.stderr) == (0, "", 0, "")
    golden(shown.stdout, "", by_index.stdout)


def test_json_names_each_tensors_file(run: Run, folder: Path) -> None:
    document = json.loads(run("inspect", "model", "--json").stdout)
    files = [f"model/model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    assert document["files"] == files
    assert {tensor["name"]: tensor["file"] for tensor in document["tensors"]} == {
        name: f"model/{file}" for name, file in weight_map.items()
    }
    assert document["total_bytes"] == 2 * document["total_parameters"] == 2 * (100 * 16 + 3 * 304 + 440)


def test_metadata_are_those_that_all_shards_share(run: Run, folder: Path) -> None:
    shard = json.loads(run("inspect", "model/model-00001-of-00002.safetensors", "--json").stdout)["metadata"]
    whole = json.loads(run("inspect", "model", "--json").stdout)["metadata"]
    assert json.loads(shard.pop("paramgen_shard"))["number"] == 1
    assert whole == shard
    assert [*whole] == ["format", "paramgen_seed", "paramgen_spec", "paramgen_stream"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("model", lambda folder: (folder / "model-00002-of-00002.safetensors").unlink()),
        ("model", lambda folder: (folder / INDEX).unlink()),
        ("model", lambda folder: (folder / INDEX).write_text('{"weight_map": {"x": "../x.safetensors"}}')),
        ("model", lambda folder: (folder / INDEX).write_text('{"weight_map": {"x": "/etc/passwd"}}')),
        ("model/model.yaml", lambda folder: None),
        ("empty", lambda folder: (folder.parent / "empty").mkdir()),
    ],
    ids=["missing shard", "no index", "outside", "absolute", "absent", "empty"],
)
def test_weights_that_cannot_be_shown(
    path: str, change: Callable[[Path], object], run: Run, folder: Path, golden: Golden
) -> None:
    change(folder)
    done = run("inspect", path)
    assert (done.returncode, done.stdout) == (3, "")
    golden(done.stderr)
