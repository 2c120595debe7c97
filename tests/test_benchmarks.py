"""Reports of the benchmarks, at small sizes, and their page."""

import importlib
import re

import pytest
from helpers import COMPILED_BACKENDS, ROOT


@pytest.mark.skipif(not COMPILED_BACKENDS, reason="needs the compiled kernels")
def test_each_instruction_set_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = importlib.import_module("kernels")
    monkeypatch.setattr(kernels, "REST", 0.0)
    monkeypatch.setattr(kernels, "is_installed", lambda package: False)
    rows = [line.strip("| ").split(" | ") for line in kernels.measure_kernels(4096, runs=1) if line.startswith("| ")]
    names = [backend.name for backend in COMPILED_BACKENDS]
    assert rows[0] == ["distribution", "dtype", *names, "PyTorch", "NumPy"]
    normal = next(row for row in rows if row[:2] == ["normal", "float32"])
    assert all(float(figure) > 0 for figure in normal[2 : 2 + len(names)])
    assert normal[2 + len(names)] == "-"


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_every_large_spec_is_on_the_page_or_named_as_missing(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    large_specs = importlib.import_module("large_specs")
    measured, _, missing = page.partition("## Missing")
    rows = re.findall(r"^\| (.*?) \|", measured, re.MULTILINE)
    named = re.findall(r"^\| [^|]* \| (.*?) \|", missing, re.MULTILINE)
    assert [name for name in [*large_specs.HOSTILE, *large_specs.AT_THE_LIMITS] if name not in rows + named] == []


def test_the_page_states_the_runs_that_are_made(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = importlib.import_module("run").RUNS
    titles = {
        "startup": "Starting up",
        "kernels": "Drawing in memory",
        "builds": "Builds of gigabytes",
        "orthogonal": "Orthogonal matrices",
        "layouts": "Layouts",
        "headers": "Large headers",
        "proofs": "Proofs",
    }
    sections = dict(re.findall(r"^## (.*)\n([^#]*)", page, re.MULTILINE))
    stated = {
        name: int(re.findall(r"\b(\d+)\s+runs\s+in\s+turn", sections[title])[0])
        for name, title in titles.items()
        if title in sections
    }
    assert len(stated) >= len(runs) - 2
    assert stated == {name: runs[name] for name in stated}
