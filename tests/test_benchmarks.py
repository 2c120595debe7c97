"""Reports of the benchmarks of drawing in memory, at small sizes."""

import importlib

import pytest
from conftest import KERNELS, ROOT


@pytest.mark.skipif(not KERNELS, reason="needs the compiled kernels")
def test_each_instruction_set_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    kernels = importlib.import_module("kernels")
    monkeypatch.setattr(kernels, "REST", 0.0)
    monkeypatch.setattr(kernels, "found", lambda name: False)
    rows = [line.strip("| ").split(" | ") for line in kernels.kernels(4096, runs=1) if line.startswith("| ")]
    names = [backend.name for backend in KERNELS]
    assert rows[0] == ["distribution", "dtype", *names, "PyTorch", "NumPy"]
    normal = next(row for row in rows if row[:2] == ["normal", "float32"])
    assert all(float(figure) > 0 for figure in normal[2 : 2 + len(names)])
    assert normal[2 + len(names)] == "-"
