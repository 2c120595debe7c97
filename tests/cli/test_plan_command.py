"""The command `plan`: trees, tables, filters and JSON, on wide and narrow terminals."""

import json
from pathlib import Path

import pytest
from golden import Golden
from helpers import CONFIGS, ROOT, SMALL, Run

pytestmark = pytest.mark.slow

LLAMA_70B = [
    ROOT / "configs" / "llama.yaml",
    *("--set", "width=8192", "--set", "layers=80", "--set", "heads=64", "--set", "inner=28672", "--set", "tie=false"),
]
# Layers that differ in shape, and such that differ only in values.
MIXED = """\
seed: 5
layout: torch
variables: {sizes: [16, 16, 24, 16]}
operations:
- {name: embed, type: embedding, vocabulary_size: 100, embedding_dimension: 16, padding_index: 0, dtype: bfloat16}
- name: layers
  repeat: 4
  as: i
  operations:
  - {name: norm, type: batchnorm, num_channels: 16}
  - name: mlp.up
    type: fully_connected
    input_size: 16
    output_size: ${sizes[i]}
    initializers: {weights: {type: gaussian, std: "${0.1 / (i + 1)}"}}
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED)
    return path


def test_a_large_model_fits_one_screen(run: Run, golden: Golden) -> None:
    done = run("plan", *LLAMA_70B)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    *table, _, _ = lines
    assert len(lines) <= 24 and max(map(len, table)) <= 80
    golden(done.stdout)


def test_layers_that_differ_in_shape_stay_apart(run: Run, mixed: Path, golden: Golden) -> None:
    golden(run("plan", "mixed.yaml").stdout)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_tree_fits_80_columns(path: Path, run: Run) -> None:
    done = run("plan", path, "--max-shard-size", "1GB")
    assert (done.returncode, done.stderr) == (0, "")
    *table, _, _ = done.stdout.splitlines()
    assert max(map(len, table)) <= 80


def test_other_widths(run: Run, mixed: Path, golden: Golden) -> None:
    texts = []
    for width in (120, 60, 45, 30):
        shown = run("plan", "mixed.yaml", env={"COLUMNS": str(width)}).stdout
        *table, _, _ = shown.splitlines()
        assert max(map(len, table)) <= width
        texts += [f"{width} columns", shown, ""]
    golden(*texts[:-1])


def test_options_of_trees(run: Run, mixed: Path, golden: Golden) -> None:
    texts = []
    for options in (
        ["--depth", "1"],
        ["--sort", "bytes"],
        ["--filter", "*.bias"],
        ["--filter", "none"],
        ["--max-shard-size", "3KB"],
        ["--flat", "--filter", "*.bias", "--sort", "bytes", "--max-shard-size", "3KB"],
        ["--flat", "--filter", "none"],
    ):
        done = run("plan", "mixed.yaml", *options)
        assert (done.returncode, done.stderr) == (0, "")
        texts += [" ".join(options), done.stdout, ""]
    golden(*texts[:-1])


def test_json_lists_what_the_filter_selects(run: Run, mixed: Path) -> None:
    whole = json.loads(run("plan", "mixed.yaml", "--json").stdout)
    part = json.loads(run("plan", "mixed.yaml", "--filter", "layers.2.*", "--json").stdout)
    expected = [tensor for tensor in whole["parameters"] if tensor["name"].startswith("layers.2.")]
    assert part["parameters"] == expected and 0 < len(expected) < len(whole["parameters"])
    assert part["total_bytes"] == sum(tensor["bytes"] for tensor in expected)
    assert part["total_parameters"] == 16 + 16 + 24 * 16 + 24


def test_wrong_options(run: Run, tiny: Path, golden: Golden) -> None:
    texts = []
    for options in (
        ["--json", "--flat"],
        ["--json", "--sort", "bytes"],
        ["--flat", "--depth", "2"],
        ["--depth", "0"],
        ["--sort", "name"],
    ):
        done = run("plan", "tiny.yaml", *options)
        assert (done.returncode, done.stdout) == (2, "")
        texts.append(done.stderr)
    golden(*texts)


@pytest.mark.parametrize("name", ["whisper", "convnext"])
def test_trees_of_configs(name: str, run: Run, golden: Golden) -> None:
    variables = [f"--set={key}={json.dumps(value)}" for key, value in SMALL[name].items()]
    golden(run("plan", ROOT / "configs" / f"{name}.yaml", *variables).stdout)
