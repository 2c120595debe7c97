"""Time and peak memory of whole processes."""

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PARAMGEN = [str(Path(sys.executable).with_name("paramgen"))]

# A process's peak memory includes that of its parent at the fork, so a small process starts the measured one.
LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - began
assert status == int(sys.argv[1]), status
unit = 1 if sys.platform == "darwin" else 1024
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)
"""


class Measurement(NamedTuple):
    """The time of a process, its CPU time, its peak memory in bytes, and its messages."""

    seconds: float
    cpu_seconds: float
    peak: float
    stderr: str


def measure(*command: str | Path, status: int = 0) -> Measurement:
    """Run a process, and check its exit status."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(status), *map(str, command)]
    done = subprocess.run(launcher, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
    return Measurement(*map(float, done.stdout.split()), stderr=done.stderr)


def measure_in_turn(first: Callable[[], float], second: Callable[[], float], runs: int) -> tuple[float, float, float]:
    """Return the medians of two calls that take turns after a warm-up, and of the ratio of each pair."""
    first(), second()
    pairs = [(first(), second()) for _ in range(runs)]
    medians = (statistics.median(column) for column in zip(*pairs, strict=True))
    return *medians, statistics.median(a / b for a, b in pairs)  # type: ignore[return-value]


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def describe_machine() -> str:
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("numpy", "torch", "jax", "safetensors", "pydantic")
        if is_installed(name)
    ]
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), processor)
    return f"{processor}, {os.cpu_count()} CPUs; Python {platform.python_version()}, {', '.join(versions)}."
