"""Fixtures and hooks: the command as a process, a short spec, simulated and real GPUs, markers."""

import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import NEEDS, ROOT, TINY, Run

pytest_plugins = ["golden", "pytester"]

SIMULATED = ROOT / "tests" / "simulated"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as quick that need no extra, start no command, simulate no GPU and are not slow."""
    costly_markers, costly_fixtures = {*NEEDS, "gpu", "slow"}, {"gpu", "run", "simulated_gpus"}
    for item in items:
        markers = {mark.name for mark in item.iter_markers()}
        if not costly_markers & markers and not costly_fixtures.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("quick")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test if a package of its marker is not installed.

    Only markers skip for a package, so `-m "cupy or dask or docs or frameworks or remote or torch"` selects all tests that a run without them skipped.
    """
    for name, (extra, packages) in NEEDS.items():
        if mark := item.get_closest_marker(name):
            for package in mark.args or packages:
                spec = importlib.util.find_spec(package)
                if not spec or not spec.origin:  # without an origin: the folder tests/distributed
                    pytest.skip(f"{package} is not installed (the {extra} extra)")


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> Iterator[None]:
    """Give child processes default signal dispositions, even under nohup or in a shell's background.

    An ignored signal stays ignored in a child; one with a handler does not.
    """
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    inherited = [number for number in ignored if number not in (signal.SIGPIPE, signal.SIGXFSZ)]  # ignored by Python
    for number in inherited:
        signal.signal(number, lambda number, frame: None)
    yield
    for number in inherited:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `paramgen ARGUMENTS` in tmp_path; stdout and stderr are text. Keywords go to subprocess.run."""

    def call(*arguments: str | Path, **keywords: Any) -> subprocess.CompletedProcess[str]:
        keywords = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 120, **keywords}
        keywords["env"] = {**os.environ, "PYTHONWARNINGS": "error", **keywords.get("env", {})}
        return subprocess.run([sys.executable, "-m", "paramgen", *map(str, arguments)], check=False, **keywords)

    return call


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Write a spec of one dense layer, and return its path."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def simulated_gpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return environment variables with which `import cupy` finds two simulated GPUs."""
    if not shutil.which("gcc"):
        pytest.skip("simulated GPUs need gcc")
    return {"PYTHONPATH": str(SIMULATED), "SIMULATED_FOLDER": str(tmp_path_factory.mktemp("simulated"))}


@pytest.fixture
def simulated(simulated_gpus: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Yield paramgen.sampling.cuda.devices with simulated GPUs."""
    monkeypatch.setenv("SIMULATED_FOLDER", simulated_gpus["SIMULATED_FOLDER"])
    monkeypatch.syspath_prepend(SIMULATED)
    with reimport("cupy", "cupyx", "paramgen.sampling.cuda"):
        yield importlib.import_module("paramgen.sampling.cuda.devices")


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Yield paramgen.sampling.cuda.devices with simulated GPUs and, if available, with real ones."""
    if request.param == "simulated":
        yield request.getfixturevalue("simulated")
        return
    module = importlib.import_module("paramgen.sampling.cuda.devices")
    if problem := module.why_unusable():
        pytest.skip(problem)
    yield module


@contextmanager
def reimport(*names: str) -> Iterator[None]:
    """Import these modules again inside the block, and restore the old ones after it."""
    within = lambda module: any(module == name or module.startswith(name + ".") for name in names)  # noqa: E731
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if within(name)}
    try:
        yield
    finally:
        for name in list(sys.modules):
            if within(name):
                del sys.modules[name]
        sys.modules.update(before)
