"""Specs made to hurt: refused by one short error, in bounded memory. benchmarks/large_specs.py times them."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LAUNCHER, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from large_specs import HOSTILE


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_specs_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name]())
    command = [sys.executable, "-m", "paramgen", "plan", path]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=True)
    status, peak = map(int, done.stdout.split())
    lines = done.stderr.splitlines()
    assert status == 2
    assert 1 <= len(lines) <= 21
    assert all(line.startswith(str(path)) and len(line) < 400 for line in lines)
    assert peak < 500e6
