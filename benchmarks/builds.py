"""Whole builds of gigabytes, compared with PyTorch and with a plain write of the same size.

python benchmarks/builds.py
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from gpt2 import operations
from measuring import HERE, PARAMGEN, is_installed, measure

# GPT-2-like stacks of 1 GB and 6 GB: vocabulary, positions, width, layers.
Model = tuple[int, int, int, int]
MODELS = [(50257, 1024, 1024, 16), (50257, 1024, 1600, 48)]


MEMORY = Path("/dev/shm")
INITIALIZERS = {"normal": "{type: gaussian, std: 0.02}", "zeros": "zeros", "ones": "ones"}


def make_spec(model: Model) -> str:
    lines = ["seed: 1", "operations:"]
    for name, parameters in operations(*model):
        listed = (
            f"{key}: {{shape: {shape}, initializer: {INITIALIZERS[how]}}}" for key, (shape, how) in parameters.items()
        )
        lines.append(f"  - {{name: {name}, type: custom, parameters: {{{', '.join(listed)}}}}}")
    return "\n".join(lines) + "\n"


def measure_builds(scratch: Path, models: list[Model], runs: int) -> list[str]:
    rows = []
    places = [(scratch, model) for model in models]
    if MEMORY.is_dir():
        places.append((Path(tempfile.mkdtemp(dir=MEMORY)), models[0]))
    for place, model in places:
        is_memory = place != scratch
        target = place / "out.safetensors"
        path = scratch / "model.yaml"
        path.write_text(make_spec(model))
        measure(*PARAMGEN, "build", path, "--quiet", "-o", target)
        size = target.stat().st_size
        commands: dict[str, list[str | Path]] = {
            "`paramgen build`": [*PARAMGEN, "build", path, "--device", "cpu", "--quiet", "-o", target],
            "`paramgen build --threads 1`": [
                *PARAMGEN,
                "build",
                path,
                "--device",
                "cpu",
                "--quiet",
                "--threads",
                "1",
                "-o",
                target,
            ],
            "plain durable write, buffered": [sys.executable, HERE / "plain.py", target, str(size), "buffered"],
            "plain durable write, direct": [sys.executable, HERE / "plain.py", target, str(size), "direct"],
        }
        if is_memory:
            del commands["plain durable write, direct"]
        if is_installed("torch"):
            commands["PyTorch script"] = [sys.executable, HERE / "torch_build.py", target, *map(str, model)]
        taken: dict[str, list[float]] = {key: [] for key in commands}
        peaks: dict[str, float] = {}
        for _ in range(runs):
            for key, command in commands.items():
                target.unlink(missing_ok=True)
                os.sync()
                measured = measure(*command)
                taken[key].append(measured.seconds)
                peaks[key] = max(measured.peak, peaks.get(key, 0))
        target.unlink()
        if is_memory:
            place.rmdir()
        own = taken["`paramgen build`"]
        for key, values in taken.items():
            median = statistics.median(values)
            ratio = statistics.median(other / ours for other, ours in zip(values, own, strict=True))
            rows.append(
                f"| {size / 1e9:.1f} GB{' into memory' if is_memory else ''} | {key} | {median:.2f} | {ratio:.2f} × | {size / median / 1e9:.2f} GB/s | "
                f"{peaks[key] / 1e6:.0f} MB |"
            )
    return [
        "## Builds of gigabytes",
        "",
        f"Whole processes, start-up included, medians of {runs} runs in turn. Ratios are to `paramgen build` of the same turn.",
        "",
        "| file | process | seconds | ratio | rate | peak memory |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "| row | is |",
        "|---|---|",
        "| 1.0 GB, 6.2 GB | GPT-2-like models with a vocabulary of 50,257: 16 layers of width 1024, 48 of width 1600 |",
        "| into memory | to a file system in memory (tmpfs) |",
        "| PyTorch script | `benchmarks/torch_build.py`: the same distributions (every matrix normal), saved with safetensors |",
        "| plain durable write | `benchmarks/plain.py`: one block, written repeatedly into reserved space, then a sync |",
        "",
        "| target | figure |",
        "|---|---|",
        "| PyTorch script, 1.0 GB, also into memory | at least 4 × |",
        "| `paramgen build`, 6.2 GB | at most 1.3 times the plain write |",
        "| peak memory | at most 300 MB |",
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print("\n".join(measure_builds(Path(folder), MODELS, runs=3)))
