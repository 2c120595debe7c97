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

HERE = Path(__file__).resolve().parent
PARAMGEN = [str(Path(sys.executable).with_name("paramgen"))]

# A process's peak memory includes that of its parent, so a small process starts the measured one.
LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - began
assert status == int(sys.argv[1]), status
unit = 1 if sys.platform == "darwin" else 1024
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)
"""


def measure(*command: str | Path, status: int = 0, processor: bool = False) -> tuple[float, float]:
    """Return the seconds (or CPU time) of a process and its peak memory in bytes; check its exit status."""
    run = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(status), *map(str, command)]
    seconds, used, peak = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return float(used if processor else seconds), float(peak)


def paired(one: Callable[[], float], other: Callable[[], float], runs: int) -> tuple[float, float, float]:
    """Return the medians of two calls that take turns after a warm-up, and of the ratio of each pair."""
    one(), other()
    pairs = [(one(), other()) for _ in range(runs)]
    medians = (statistics.median(column) for column in zip(*pairs, strict=True))
    return *medians, statistics.median(a / b for a, b in pairs)  # type: ignore[return-value]


def found(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def machine() -> str:
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("numpy", "torch", "jax", "safetensors", "pydantic")
        if found(name)
    ]
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), processor)
    return f"{processor}, {os.cpu_count()} CPUs; Python {platform.python_version()}, {', '.join(versions)}."
