"""The HTML of specs, plans and inspections for notebooks, and the quick start.

`python tests/test_notebook.py` runs docs/quickstart.ipynb, and writes its outputs into it.
"""

import tempfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from helpers import ROOT, plan_text

import paramgen
from paramgen.notebook_html import MAX_ROWS

QUICK_START = ROOT / "docs" / "quickstart.ipynb"
HOSTILE = "<script>alert(1)</script>\"'&\x1b\u202e"
MANY = {
    "operations": [
        {
            "name": "x${i}",
            "as": "i",
            "repeat": 50_000,
            "operations": [{"name": "norm", "type": "layer_norm", "num_channels": 4}],
        }
    ]
}
VOID = {"br", "hr", "img", "input", "meta"}


class Reader(HTMLParser):
    """It checks that tags nest, and collects tags, attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attributes}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def read(shown: Any) -> Reader:
    """Return the content of an object's HTML; it runs and loads nothing."""
    reader = Reader(shown._repr_html_())
    assert set(reader.tags) <= {"details", "div", "pre", "span", "strong", "summary", "table", "td", "th", "tr"}
    assert reader.attributes <= {"style", "open"}
    return reader


def test_a_plan_is_a_folded_tree() -> None:
    layers = "{name: model.layers, repeat: 80, operations: [{name: norm, type: layer_norm, num_channels: 4}]}"
    plan = plan_text(f"name: tiny\nseed: 7\noperations: [{layers}, {{name: head, type: prelu}}]")
    reader = read(plan)
    assert reader.texts[0] == "tiny"
    assert "161 tensors, 641 parameters, 2.56 kB, seed 7, layout canonical" in reader.texts[1]
    for text in (
        "model.layers.0-79",
        "2 tensors each",
        "norm",
        "scale",
        str(list(plan.tensors[0].shape)),
        "ones",
        "float32",
        "640",
        "2.56 kB",
    ):
        assert text in reader.texts
    assert reader.tags["details"] == 2  # the layers, and their norm


def test_a_spec_shows_its_tensors_and_its_text(tmp_path: Path) -> None:
    spec = paramgen.load_spec({"name": "tiny", "operations": [{"name": "a", "type": "prelu"}]})
    reader = read(spec)
    assert "a.alpha" in reader.text
    assert spec.to_yaml() in reader.text


@pytest.mark.parametrize("stats", [False, True])
def test_an_inspection_shows_tensors_metadata_and_statistics(stats: bool, tmp_path: Path) -> None:
    arrays = {"a.w": np.arange(6, dtype=np.float32).reshape(2, 3), "a.b": np.zeros(0, np.float16)}
    safetensors.numpy.save_file(arrays, tmp_path / "f.safetensors", {"format": "pt"})
    inspection = paramgen.inspect(tmp_path / "f.safetensors", stats=stats)
    reader = read(inspection)
    assert reader.texts[0] == "f.safetensors"
    assert {"w", "[2, 3]", "float32", "6", "24 B", "format", "pt"} <= set(reader.texts)
    assert ("1.70783" in reader.texts) is stats  # the std
    rows = {row["name"]: row for row in inspection.rows()}
    assert rows["a.w"]["shape"] == (2, 3) and "stats" not in rows["a.w"]
    assert (rows["a.w"].get("mean"), "std" in rows["a.b"]) == ((2.5, True) if stats else (None, False))
    assert [tensor.name for tensor in paramgen.inspect(tmp_path / "f.safetensors", "*.w").tensors] == ["a.w"]


def test_names_and_metadata_are_escaped(tmp_path: Path) -> None:
    safetensors.numpy.save_file(
        {HOSTILE: np.ones(1), f"a.{HOSTILE}.b": np.ones(1)}, tmp_path / HOSTILE.replace("/", ""), {HOSTILE: HOSTILE}
    )
    inspection = paramgen.inspect(tmp_path / HOSTILE.replace("/", ""), stats=True)
    reader = read(inspection)
    assert reader.text.count("<script>alert(1)</script>\"'&\\x1b\\u202e") >= 4
    spec = paramgen.load_spec({"name": HOSTILE, "operations": [{"name": "a", "type": "prelu"}]})
    for shown in (spec, spec.plan):
        reader = read(shown)
        assert reader.texts[0] == "<script>alert(1)</script>\"'&\\x1b\\u202e"
        assert "\x1b" not in reader.text and "\u202e" not in reader.text


def test_the_html_of_many_or_long_names_is_bounded(tmp_path: Path) -> None:
    spec = paramgen.load_spec(MANY)
    assert len(spec.plan.tensors) == 100_000
    html = spec._repr_html_()
    assert len(html) < 400_000
    assert f"and {50_000 - MAX_ROWS:,} more names" in html
    arrays = {f"{'x' * 100_000}{number}": np.zeros(1, np.uint8) for number in range(2 * MAX_ROWS)}
    safetensors.numpy.save_file(arrays, tmp_path / "f", {"k" * 100_000: "v" * 100_000})
    html = paramgen.inspect(tmp_path / "f", stats=True)._repr_html_()
    assert len(html) < 800_000
    assert f"and {MAX_ROWS} more names" in html and f"and {MAX_ROWS} more rows" in html
    deep = {".".join("abcdefgh" * 20) + f".{letter}": np.zeros(1, np.uint8) for letter in "xy"}
    safetensors.numpy.save_file(deep, tmp_path / "g")
    read(paramgen.inspect(tmp_path / "g"))


def read_cells() -> list[Any]:
    import nbformat

    return nbformat.read(QUICK_START, as_version=4).cells  # type: ignore[no-any-return, no-untyped-call]


def execute(cells: list[Any], folder: Path) -> list[list[Any]]:
    """Run cells in a new kernel, and return the outputs of each."""
    import nbclient
    import nbformat

    copies = [{**cell, "outputs": []} if cell.cell_type == "code" else cell for cell in cells]
    notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": copies})  # type: ignore[no-untyped-call]
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    return [cell.get("outputs", []) for cell in client.execute().cells]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's own packages
def test_the_quick_start_gives_the_output_it_shows(tmp_path: Path) -> None:
    cells = read_cells()
    outputs = execute(cells, tmp_path)
    assert sum(map(len, outputs)) >= 5
    assert [cell.get("outputs", []) for cell in cells] == outputs


def record() -> None:
    """Write the outputs of the quick start into it."""
    import nbformat

    notebook = nbformat.read(QUICK_START, as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as folder:
        outputs = execute(notebook.cells, Path(folder))
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
    for cell, shown in zip(notebook.cells, outputs, strict=True):
        if cell.cell_type == "code":
            cell.outputs = shown
    nbformat.write(notebook, QUICK_START)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    record()
