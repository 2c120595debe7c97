"""The suite itself: ignored signals, the page of guarantees, markers."""

import re
import subprocess
import sys

import pytest
from golden import UNUSED
from helpers import NEEDS, ROOT

IGNORING = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
PYTEST = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]


@pytest.mark.slow
def test_signals_that_the_starter_ignores_reach_child_processes() -> None:
    test = f"{ROOT / 'tests' / 'cli' / 'test_commands.py'}::test_an_interrupted_build_keeps_the_old_file"
    done = subprocess.run([sys.executable, "-c", IGNORING, *PYTEST, test], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_page_of_guarantees_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_only_markers_skip_for_a_package() -> None:
    """Keep CI's selection by markers complete: it must select every test that needs an extra."""
    marked = re.compile(rf"^pytestmark = pytest\.mark\.({'|'.join(NEEDS)})\b", re.MULTILINE)
    found = 0
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            if re.search(r"\b(importorskip|find_spec)\(", line):
                found += 1
                assert not line.startswith(" ") and marked.search(text), f"{path}: {line}"
    assert found
    assert f'pytest -m "{" or ".join(NEEDS)}"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_no_test_imports_a_test_module() -> None:
    """Keep shared cases in modules of their own, which pytest doesn't collect."""
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in re.findall(r"^\s*(?:from|import) test_\w+.*", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == []


def test_every_recorded_text_belongs_to_a_test(pytestconfig: pytest.Config) -> None:
    """Check the modules that this run collected; `pytest --update-golden` removes unused texts."""
    assert pytestconfig.getoption("--update-golden") or pytestconfig.stash[UNUSED] == []


def test_classifiers_name_versions_of_python_that_ci_runs() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"for version in (.*); do", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert found
    named = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text))
    assert "3.12" in named
    assert named <= {"3.11", *found[1].split()}
