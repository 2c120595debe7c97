"""Builds of gigabytes beside PyTorch and the plain write of as many bytes.

python benchmarks/builds.py
"""

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path

from measuring import PARAMGEN, measure

TORCH_NORMAL = """
import sys, torch
from safetensors.torch import save_file
save_file({f"w{i}": torch.empty(4096, 4096).normal_(0, 0.02) for i in range(int(sys.argv[1]))}, sys.argv[2])
"""

TORCH_ORTHOGONAL = """
import sys, torch
from safetensors.torch import save_file
save_file({"w": torch.nn.init.orthogonal_(torch.empty(4096, 1024))}, sys.argv[1])
"""


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
    spec.write_text(
        "operations: [{name: w, type: custom, parameters: {w: {shape: [4096, 1024], initializer: orthogonal}}}]\n"
    )
    orthogonal, peak = measure(*PARAMGEN, "build", spec, "--quiet", "-o", target)
    torch_row = "| PyTorch | not installed | |"
    if importlib.util.find_spec("torch"):
        seconds, torch_peak = measure(sys.executable, "-c", TORCH_ORTHOGONAL, target)
        torch_row = f"| PyTorch `orthogonal_` and `save_file` | {seconds:.2f} | {torch_peak / 1e6:.0f} MB |"
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
        "## An orthogonal matrix",
        "",
        "4096 × 1024, float32, whole processes. The reference keeps the order of every sum, a row operation at a time.",
        "",
        "| process | seconds | peak memory |",
        "|---|---|---|",
        f"| `paramgen build` | {orthogonal:.2f} | {peak / 1e6:.0f} MB |",
        torch_row,
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(builds(Path(folder), matrices=15)))
