"""The report's text, and the figure: the same bytes for the same file, with everything escaped."""

import base64
import hashlib
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from helpers import Run
from safetensors.numpy import load_file, save_file
from weights import OWNED, write_hostile

from paramgen.analysis.file_report import select_tensors
from paramgen.pictures.figure import choose_patterns, draw_figure
from paramgen.pictures.measurement import Measurement, measure
from paramgen.pictures.report import make_report
from paramgen.storage.checkpoint import Checkpoint

MODEL = """\
seed: 3
layout: torch
operations:
- name: layers
  repeat: 6
  operations:
  - {name: norm, type: layer_norm, num_channels: 16}
  - {name: up, type: fully_connected, input_size: 16, output_size: 24}
"""


@pytest.fixture
def model(run: Run, tmp_path: Path) -> Path:
    (tmp_path / "model.yaml").write_text(MODEL)
    assert run("build", "model.yaml", "-o", "model.safetensors").returncode == 0
    return tmp_path / "model.safetensors"


def measure_file(path: Path, threads: int = 2) -> tuple[Measurement, bytes]:
    with Checkpoint(path) as checkpoint:
        tensors = select_tensors(checkpoint, None)
        pooled = choose_patterns([stored.entry for stored in tensors])
        measurement = measure(checkpoint, tensors, pooled=pooled, threads=threads)
        return measurement, make_report(checkpoint, measurement)


def data_of(report: bytes) -> Any:
    match = re.search(rb'id="data">([\w+/=]*)<', report)
    assert match
    return json.loads(zlib.decompress(base64.b64decode(match[1])))


def test_a_report_of_the_same_file_has_the_same_bytes(model: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = shutil.copy(model, tmp_path / "elsewhere" / model.name)
    reports = {measure_file(Path(path), threads)[1] for path in (model, copy) for threads in (1, 2, 4)}
    assert len(reports) == 1
    assert str(tmp_path).encode() not in reports.pop()


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_figure_of_the_same_file_has_the_same_bytes(suffix: str, model: Path) -> None:
    figures = {draw_figure("x", measure_file(model, threads)[0], suffix) for threads in (1, 2)}
    assert len(figures) == 1
    figure = figures.pop()
    assert figure.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    assert matplotlib.__version__.encode() not in figure


def test_statistics_are_those_of_inspect(model: Path, run: Run) -> None:
    document = json.loads(run("inspect", model, "--stats", "--json").stdout)
    data = data_of(measure_file(model)[1])
    found = dict(zip(data["names"], data["statistics"], strict=True))
    assert len(found) == 24
    for tensor in document["tensors"]:
        stats = tensor["stats"]
        assert found[tensor["name"]] == pytest.approx([*stats.values()], rel=1e-3)


def test_promises_follow_the_spec_and_not_the_file(model: Path) -> None:
    before = data_of(measure_file(model)[1])
    tensors = load_file(model)
    trained = {name: values * np.float32(3) if "up.weight" in name else values for name, values in tensors.items()}
    with Checkpoint(model) as checkpoint:
        metadata = checkpoint.metadata
    save_file(trained, model, metadata)
    after = data_of(measure_file(model)[1])
    for name, old, new in zip(before["names"], before["bars"], after["bars"], strict=True):
        if "up.weight" in name:
            assert new[1] > 2 * old[1] and new[3].count("0") > 10 > old[3].count("0")
        else:
            assert new == old
    save_file(trained, model)
    foreign = data_of(measure_file(model)[1])
    assert all(bars[3] == "" for bars in foreign["bars"]) and foreign["promises"] == [""]


def test_the_policy_permits_this_script_and_style_alone(model: Path) -> None:
    text = measure_file(model)[1].decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    blocks = [re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("style", "script")]
    hashes = [base64.b64encode(hashlib.sha256(block[1].encode()).digest()).decode() for block in blocks if block]
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'"
    assert not re.search(r"""(src|href|url)\s*[=(]""", text.replace("default-src", ""))


def test_hostile_names_and_metadata_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    write_hostile(path)
    measurement, report = measure_file(path)
    text = report.decode()
    assert f"<script>{OWNED}" not in text and "<img" not in text and "\u202e" not in text
    assert text.count("<script") == 2 and text.count("</script>") == 2
    assert "&lt;script&gt;document.title=&#x27;owned&#x27;&lt;/script&gt;{{title}}" in text
    assert draw_figure("$\\frac{", measurement, "svg").startswith(b"<?xml")


def test_dtypes_without_statistics_and_empty_tensors(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "complex": np.zeros(3, np.complex64),
        "empty": np.zeros((0, 3), np.float32),
        "nan": np.full(3, np.nan, np.float32),
        "scalar": np.array(2.5),
    }
    save_file(arrays, tmp_path / "f.safetensors")
    measurement, report = measure_file(tmp_path / "f.safetensors")
    data = data_of(report)
    assert dict(zip(data["names"], data["bars"], strict=True)) == {
        "complex": None,
        "empty": None,
        "nan": None,
        "scalar": [2.5, pytest.approx(0, abs=1e-12), "_", "", 1.0],
    }
    assert data["statistics"][0] is None and data["statistics"][2][5] == 3
    assert draw_figure("f", measurement, "png")


def test_no_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "f.safetensors")
    measurement, report = measure_file(tmp_path / "f.safetensors")
    assert data_of(report)["tree"] == [] and b"<figure>" not in report
    assert draw_figure("f", measurement, "svg")
