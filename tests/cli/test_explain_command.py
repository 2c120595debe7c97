"""The command `explain`: the formula, the numbers and the sources of one tensor."""

import json
from pathlib import Path

import pytest
from golden import Golden
from helpers import Run

pytestmark = pytest.mark.slow

SPEC = """\
# A model with a setting from every place of a spec.
seed: 42
layout: torch
variables: {size: 100, head: true}
defaults:
  conv: {weights: {type: he, mode: fan_out}}
operations:
  - {name: embed, type: embedding, vocabulary_size: "${size}", embedding_dimension: 8, padding_index: 3, dtype: bfloat16}
  - {name: conv, type: conv, filter_size: [5, 5], num_channels: 3, num_filters: 128}
  - name: blocks
    repeat: 3
    as: i
    operations:
      - name: dense
        type: fully_connected
        input_size: 8
        output_size: ${size}
        initializers: {weights: {type: gaussian, std: "${0.1 / (i + 1)}"}}
      - {name: extra, type: fully_connected, when: "${i > 1}", input_size: 3, output_size: 3, weight_norm: {axis: outputs}}
  - {name: attention, type: multihead_attention, input_size: 8, num_heads: 2}
  - {name: norm, type: batchnorm, num_channels: 4}
  - {name: lstm, type: lstm, input_size: 4, num_hidden_units: 5}
  - name: own
    type: custom
    parameters:
      steps: {shape: [400], dtype: float64, initializer: ssm_dt_bias}
      waves: {shape: [3], dtype: complex64, initializer: {type: gaussian}}
  - {name: head, type: fully_connected, when: "${head}", input_size: 8, output_size: "${size}", bias: false,
     tie: {weights: embed.weights}}
overrides:
  - {match: "attention.query_weights", initializer: {type: glorot, gain: 2}}
  - {match: "attention.*_weights", dtype: float16}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(SPEC)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv.weight", []),
        ("conv.weights", ["--layout", "canonical", "--seed", "7", "--dtype", "float64"]),
        ("embed.weight", []),
        ("blocks.1.dense.weight", ["--set", "size=20"]),
        ("blocks.2.extra.parametrizations.weight.original0", []),
        ("attention.in_proj_weight", []),
        ("attention.key_weights", []),
        ("norm.running_var", []),
        ("lstm.bias_ih_l0", []),
        ("lstm.weight_hh_l0", []),
        ("own.steps", []),
        ("own.waves", []),
        ("head.weight", []),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_explanations(name: str, options: list[str], run: Run, spec: Path, golden: Golden) -> None:
    done = run("explain", "model.yaml", name, *options, env={"PYTHONIOENCODING": "utf-8"})
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    golden(done.stdout)


def test_names_without_a_tensor(run: Run, spec: Path, golden: Golden) -> None:
    texts = []
    for name, *options in (
        ["conv.wieght"],
        ["zzz"],
        ["head.weight", "--set", "head=false"],
        ["blocks.0.extra.bias"],
        ["blocks.1.extra.weight"],
    ):
        done = run("explain", "model.yaml", name, *options)
        assert (done.returncode, done.stdout) == (2, "")
        texts.append(done.stderr)
    golden(*texts)


def test_a_spec_from_standard_input(run: Run, spec: Path) -> None:
    done = run("explain", "-", "conv.weight", input=SPEC)
    assert "he (<stdin>:6: defaults.conv.weights)" in done.stdout


def test_other_terminals(run: Run, spec: Path, golden: Golden) -> None:
    narrow = run("explain", "model.yaml", "conv.weight", env={"COLUMNS": "60", "PYTHONIOENCODING": "utf-8"})
    plain = run("explain", "model.yaml", "conv.weight", env={"PYTHONIOENCODING": "ascii"})
    assert (narrow.returncode, narrow.stderr, plain.returncode, plain.stderr) == (0, "", 0, "")
    assert max(map(len, narrow.stdout.splitlines())) <= 60 and plain.stdout.isascii()
    golden(narrow.stdout, "", plain.stdout)


def test_json_has_the_same_facts(run: Run, spec: Path) -> None:
    document = json.loads(run("explain", "model.yaml", "conv.weight", "--json").stdout)
    planned = json.loads(run("plan", "model.yaml", "--filter", "conv.weight", "--json").stdout)["parameters"][0]
    assert [document[key] for key in ("name", "canonical_name", "shape", "dtype", "bytes")] == [
        planned[key] for key in ("name", "canonical_name", "shape", "dtype", "bytes")
    ]
    (parameter,) = document["parameters"]
    for key in ("fan_in", "fan_out", "initializer", "distribution"):
        assert parameter[key] == planned[key]
    assert parameter["stream"] == {
        "version": "philox4x32-v1",
        "seed": 42,
        "name": "conv.weights",
        "id": 0x8B13380F8A5A547F,
    }
    assert parameter["settings"][1] == {
        "setting": "initializer",
        "value": "he",
        "source": "defaults.conv.weights",
        "line": 6,
    }
