"""The command `inspect`: files, indexes and folders, as tables, trees, histograms, JSON and specs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from golden import Golden
from helpers import Run, refuse

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


def test_a_tree_folds_equal_layers(run: Run, folder: Path, golden: Golden) -> None:
    whole = run("inspect", "model", "--tree")
    filtered = run("inspect", "model", "--tree", "--filter", "*.norm.*")
    assert (whole.returncode, whole.stderr, filtered.returncode, filtered.stderr) == (0, "", 0, "")
    assert max(map(len, whole.stdout.splitlines()[5:])) <= 80
    golden(whole.stdout, "", *filtered.stdout.splitlines()[5:])


def test_a_tree_of_several_dtypes_shows_them(run: Run, tmp_path: Path, golden: Golden) -> None:
    arrays: dict[str, Any] = {f"blocks.{i}.w": np.zeros((2, 3), np.float16) for i in range(11)}
    arrays |= {"blocks.4.w": np.zeros((2, 3), np.int8), "blocks": np.zeros((), np.float32)}
    safetensors.numpy.save_file(arrays, tmp_path / "f")
    golden(run("inspect", "f", "--tree").stdout)


def test_nothing_may_match(run: Run, folder: Path, golden: Golden) -> None:
    texts = []
    for options in ([], ["--tree"], ["--hist"], ["--stats"]):
        done = run("inspect", "model", "--filter", "z", *options)
        assert (done.returncode, done.stderr) == (0, "")
        texts += done.stdout.splitlines()[5:]
    golden(*texts)


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """Write tensors whose histograms are easy to see."""
    normal = np.random.default_rng(0).normal(0, 1, 10_000)
    arrays = {
        "constant": np.full((3, 4), 7.5, np.float32),
        "empty": np.zeros((0, 3)),
        "integers": np.arange(16, dtype=np.uint64) + 2**63,
        "nan": np.array([np.nan, -1, 1, np.inf]),
        "normal": normal.clip(-3.2, 3.2).astype(np.float32),
        "one large": np.append(np.zeros(999), 1e300),
        "steps": np.repeat(np.arange(16.0), np.arange(16)),
        "complex": np.zeros(3, np.complex64),
    }
    safetensors.numpy.save_file(arrays, tmp_path / "f")
    return tmp_path / "f"


def test_histograms(run: Run, values: Path, golden: Golden) -> None:
    blocks = run("inspect", "f", "--hist", env={"PYTHONIOENCODING": "utf-8"})
    plain = run("inspect", "f", "--hist", env={"PYTHONIOENCODING": "ascii"})
    both = run("inspect", "f", "--hist", "--stats", "--filter", "[ns]*", env={"PYTHONIOENCODING": "utf-8"})
    assert [(done.returncode, done.stderr) for done in (blocks, plain, both)] == [(0, "")] * 3
    assert plain.stdout.isascii()
    golden(blocks.stdout, "", plain.stdout, "", both.stdout)


def test_percentiles_are_numpys(run: Run, values: Path) -> None:
    shown = run("inspect", "f", "--hist", "--filter", "normal").stdout.splitlines()[1].split()[1:8]
    array = safetensors.numpy.load_file(values)["normal"]
    np.testing.assert_allclose(
        [float(text) for text in shown], np.percentile(array, [0, 1, 25, 50, 75, 99, 100]), atol=2e-3, rtol=5e-3
    )


@pytest.mark.parametrize("path", ["model", f"model/{INDEX}", "model/model-00002-of-00002.safetensors", "single"])
def test_the_stored_spec_builds_the_same_files(path: str, run: Run, folder: Path, tmp_path: Path) -> None:
    if path == "single":
        run("build", "model.yaml", "-o", "single")
    done = run("inspect", path, "--spec")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "again.yaml").write_text(done.stdout)
    if path == "single":
        run("build", "again.yaml", "-o", "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "single").read_bytes()
        return
    run("build", "again.yaml", "-o", "again/", "--max-shard-size", "4KB")
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_the_stored_spec_as_text(run: Run, folder: Path, values: Path, golden: Golden) -> None:
    done, none = run("inspect", "model", "--spec"), run("inspect", "f", "--spec")
    assert (done.returncode, none.returncode, none.stdout) == (0, 3, "")
    golden(done.stdout, "", none.stderr)


@pytest.mark.parametrize(
    "options",
    [
        *(["--spec", option] for option in ("--tree", "--stats", "--hist", "--json", "--filter=*")),
        *(["--tree", option] for option in ("--stats", "--hist", "--json")),
        ["--json", "--hist"],
    ],
    ids=" ".join,
)
def test_options_that_exclude_each_other(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], golden: Golden
) -> None:
    golden(refuse(["inspect", "absent", *options], monkeypatch, capsys))


def test_packed_elements_of_the_official_writer_are_counted(run: Run, tmp_path: Path, golden: Golden) -> None:
    """Write 4-bit floats as PyTorch holds them: two in each byte of the last axis."""
    data = np.zeros(48, np.uint8)
    tensors = {
        name: safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=size)
        for name, dtype, shape, size in (
            ("packed", "float4_e2m1fn_x2", [3, 16], 48),
            ("scale", "float8_e8m0fnu", [3], 3),
        )
    }
    safetensors.serialize_file(tensors, tmp_path / "f")
    document = json.loads(run("inspect", "f", "--json").stdout)
    found = [(tensor["shape"], tensor["parameters"], tensor["bytes"]) for tensor in document["tensors"]]
    assert found == [([3, 32], 96, 48), ([3], 3, 3)]
    assert (document["total_parameters"], document["total_bytes"]) == (99, 51)
    golden(*(run("inspect", "f", option).stdout for option in ("--stats", "--tree", "--hist")))


def test_six_bit_elements_that_the_official_parser_accepts_are_counted(run: Run, tmp_path: Path) -> None:
    """Write the header by hand: the official writer in Python has no 6-bit floats."""
    fields = {
        "a": {"dtype": "F6_E2M3", "shape": [4, 8], "data_offsets": [0, 24]},
        "b": {"dtype": "F6_E3M2", "shape": [4], "data_offsets": [24, 27]},
    }
    header = json.dumps(fields).encode()
    (tmp_path / "f").write_bytes(len(header).to_bytes(8, "little") + header + bytes(27))
    with safetensors.safe_open(tmp_path / "f", "np") as official:  # type: ignore[no-untyped-call]
        assert official.get_slice("a").get_shape() == [4, 8]
    document = json.loads(run("inspect", "f", "--json").stdout)
    found = [(tensor["dtype"], tensor["parameters"], tensor["bytes"]) for tensor in document["tensors"]]
    assert found == [("f6_e2m3", 32, 24), ("f6_e3m2", 4, 3)]
    assert (document["total_parameters"], document["total_bytes"]) == (36, 27)
