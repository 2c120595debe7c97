"""Measure paramgen as whole processes beside its peers, and write docs/performance.md.

    python benchmarks/run.py            all of it, some minutes
    python benchmarks/run.py --quick    fewer repetitions, no file written

Needs the test extra (safetensors is a peer) and PyTorch for its row; each pair of commands runs in turn, so that a
change of the machine's speed meets both, and figures are medians. Run it with paramgen installed as users have it
(pip install ".[test]", not -e: an editable install starts some 10 ms later).
"""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PARAMGEN = [str(Path(sys.executable).with_name("paramgen"))]

# A process's peak memory includes that of the process it was forked from: a small one starts what is measured.
LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)
"""

TORCH_NORMAL = """
import sys, torch
from safetensors.torch import save_file
save_file({f"w{i}": torch.empty(4096, 4096).normal_(0, 0.02) for i in range(int(sys.argv[1]))}, sys.argv[2])
"""


def measure(*command: str | Path) -> tuple[float, float]:
    """Seconds of a whole process, and its peak memory in bytes."""
    run = [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)]
    seconds, peak = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(peak)


def paired(one: Callable[[], float], other: Callable[[], float], runs: int) -> tuple[float, float, float]:
    """Medians of both, run in turn after one warm-up each, and of their ratio pair by pair."""
    one(), other()
    pairs = [(one(), other()) for _ in range(runs)]
    medians = (statistics.median(column) for column in zip(*pairs, strict=True))
    return *medians, statistics.median(a / b for a, b in pairs)  # type: ignore[return-value]


def startup(scratch: Path, runs: int) -> list[str]:
    tiny, bare, ratio = paired(
        lambda: measure(*PARAMGEN, "build", HERE / "tiny.yaml", "--quiet", "-o", scratch / "tiny.safetensors")[0],
        lambda: measure(sys.executable, HERE / "bare.py", scratch / "bare.safetensors")[0],
        runs,
    )
    helped, empty, _ = paired(
        lambda: measure(*PARAMGEN, "--help")[0], lambda: measure(sys.executable, "-c", "pass")[0], runs
    )
    return [
        "## Starting up",
        "",
        "Five small layers (`benchmarks/tiny.yaml`) beside a bare script of NumPy and safetensors that draws the same",
        f"sizes (`benchmarks/bare.py`); whole processes, medians of {runs} runs in turn.",
        "",
        "| process | seconds | ratio | aim |",
        "|---|---|---|---|",
        f"| `paramgen build tiny.yaml` | {tiny:.3f} | {ratio:.2f} × the bare script | at most 3 × |",
        f"| bare script | {bare:.3f} | 1 | |",
        f"| `paramgen --help` | {helped:.3f} | | at most 0.25 s |",
        f"| `python -c pass` | {empty:.3f} | | |",
        "",
        "What was tried: pydantic builds a model's validator when it is first used (`defer_build`), not at import; its",
        "search for plugins is turned off; NumPy, Rich and ml_dtypes are imported by the code that needs them; the",
        "garbage collector is off, as nothing here makes garbage in cycles; the check for forbidden characters reuses",
        "the expression that PyYAML has compiled anyway.",
        "",
    ]


def specs(scratch: Path, sizes: list[int]) -> list[str]:
    rows = []
    for count in sizes:
        path = scratch / f"{count}.yaml"
        with path.open("w") as file:
            file.write("operations:\n")
            for i in range(count):
                file.write(
                    f"  - name: conv{i}\n    type: conv\n    filter_size: [3, 3]\n    num_channels: 64\n"
                    "    num_filters: 64\n    bias: none\n"
                )
        seconds, peak = measure(*PARAMGEN, "plan", path)
        per = f"{seconds / count * 1e6:.0f} µs"
        rows.append(f"| {count:,} | {6 * count + 1:,} | {seconds:.2f} | {per} | {peak / 1e6:.0f} MB |")
    return [
        "## Large specs",
        "",
        "`paramgen plan` of a generated spec, text output included. The time is linear in the number of operations.",
        "",
        "| operations | lines of YAML | seconds | an operation | peak memory |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def builds(scratch: Path, matrices: int) -> list[str]:
    spec = scratch / "normal.yaml"
    shape = [matrices * 4096, 4096]
    spec.write_text(
        "operations: [{name: w, type: custom, parameters: {w: "
        f"{{shape: {shape}, initializer: {{type: gaussian, std: 0.02}}}}}}}}]\n"
    )
    target = scratch / "out.safetensors"
    size = matrices * 4096 * 4096 * 4
    rows = []

    def row(name: str, command: list[str | Path]) -> None:
        seconds, peak = measure(*command)
        rows.append(f"| {name} | {seconds:.2f} | {size / seconds / 1e6:.0f} MB/s | {peak / 1e6:.0f} MB |")
        target.unlink()

    row("`paramgen build` (the NumPy reference, one thread)", [*PARAMGEN, "build", spec, "--quiet", "-o", target])
    if importlib.util.find_spec("torch"):
        row("PyTorch `normal_` and `save_file`", [sys.executable, "-c", TORCH_NORMAL, str(matrices), target])
    else:
        rows.append("| PyTorch | not installed | | |")
    began = time.perf_counter()
    with target.open("wb", buffering=0) as file:
        block = os.urandom(2**20)
        for _ in range(size // len(block)):
            file.write(block)
        os.fsync(file.fileno())
    rows.append(f"| plain durable write of as many bytes | {time.perf_counter() - began:.2f} | | |")
    target.unlink()
    return [
        f"## A build of {size / 1e9:.1f} GB",
        "",
        "Normal values of float32, whole processes. Drawing is by the NumPy reference, which is written to be read and",
        "to be the oracle; a compiled kernel is to come, and takes over with the same interface.",
        "",
        "| process | seconds | rate | peak memory |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def machine() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pydantic", "typer", "pyyaml")]
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), processor)
    return f"{processor}, {os.cpu_count()} CPUs; Python {platform.python_version()}, {', '.join(versions)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; write no file")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        lines = [
            "# Performance",
            "",
            "Made by `python benchmarks/run.py`; ratios within one run are what to compare. The machine: " + machine(),
            "",
            *startup(scratch, 5 if quick else 21),
            *specs(scratch, [2_500, 5_000] if quick else [25_000, 50_000, 100_000]),
            *builds(scratch, 2 if quick else 15),
        ]
    text = "\n".join(lines)
    print(text)
    if not quick:
        (ROOT / "docs" / "performance.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
