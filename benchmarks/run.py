"""All benchmarks, written to docs/performance.md.

    python benchmarks/run.py            all of them: ten minutes, 13 GB of disk, 7 GB of memory for PyTorch
    python benchmarks/run.py --quick    smaller sizes, fewer repetitions, no file

Install paramgen as users do: pip install ".[test]". An editable install starts 10 ms later. Columns of PyTorch and
JAX appear if they are installed. The working directory's disk is measured. Programs take turns, so that a change of
the machine's speed affects all of them. Figures are medians.

Each of startup.py, kernels.py, builds.py, orthogonal.py, layouts.py, gpu.py, large_specs.py, headers.py and proofs.py
also runs alone.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from builds import MODELS, measure_builds
from gpu import measure_gpu, why_unusable
from headers import COUNT, measure_headers
from kernels import measure_kernels
from large_specs import measure_large_specs
from layouts import GIGABYTE, measure_layouts
from measuring import HERE, describe_machine
from orthogonal import SHAPES, measure_orthogonal
from proofs import measure_no_sync, measure_proofs
from startup import measure_startup

# How often each benchmark repeats its measurements.
RUNS = {"startup": 21, "kernels": 3, "builds": 2, "orthogonal": 5, "layouts": 3, "headers": 3, "proofs": 3}
SMALL_MODEL = (5000, 64, 256, 2)
QUICK_RUNS = dict.fromkeys(RUNS, 1) | {"startup": 5}


def describe_commit() -> str:
    """Return the commit of the checkout, with a mark if files differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; write no file")
    quick = parser.parse_args().quick
    runs = QUICK_RUNS if quick else RUNS
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        scratch = Path(folder)
        lines = [
            "# Performance",
            "",
            "This page compares paramgen's time and memory with those of other programs. `python benchmarks/run.py`",
            "measures and writes it. Compare ratios rather than times: other machines are faster or slower.",
            "",
            f"Measured at commit {describe_commit()}. The machine: {describe_machine()}",
            "",
            "[What was tried](../benchmarks/tried.md) records each experiment.",
            "",
            *measure_startup(scratch, runs["startup"]),
            *measure_kernels(2**22 if quick else 2**25, runs["kernels"]),
            *measure_builds(scratch, [SMALL_MODEL] if quick else MODELS, runs["builds"]),
            *measure_orthogonal(SHAPES[:2] if quick else SHAPES, runs["orthogonal"]),
            *measure_layouts(scratch, 10**7 if quick else GIGABYTE, runs["layouts"]),
            *([] if why_unusable() else measure_gpu(scratch, quick)),
            *measure_large_specs(scratch, [2_500, 5_000] if quick else [25_000, 50_000, 100_000]),
            *measure_headers(scratch, COUNT // 100 if quick else COUNT, runs["headers"]),
            *measure_proofs(scratch, SMALL_MODEL if quick else MODELS[-1], runs["proofs"]),
            *measure_no_sync(scratch, SMALL_MODEL if quick else MODELS[0], runs["proofs"]),
        ]
    text = "\n".join(lines)
    print(text)
    if not quick:
        page = HERE.parent / "docs" / "performance.md"
        page.write_text(text, encoding="utf-8")
        subprocess.run([sys.executable, "-m", "mdformat", page], check=True)


if __name__ == "__main__":
    main()
