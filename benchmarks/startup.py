"""Start-up time: a tiny build, compared with a bare NumPy script, and --help.

python benchmarks/startup.py
"""

import sys
import tempfile
from pathlib import Path

from measuring import HERE, PARAMGEN, measure, measure_in_turn


def measure_startup(scratch: Path, runs: int) -> list[str]:
    tiny, bare, ratio = measure_in_turn(
        lambda: measure(*PARAMGEN, "build", HERE / "tiny.yaml", "--quiet", "-o", scratch / "tiny.safetensors").seconds,
        lambda: measure(sys.executable, HERE / "bare.py", scratch / "bare.safetensors").seconds,
        runs,
    )
    helped, empty, _ = measure_in_turn(
        lambda: measure(*PARAMGEN, "--help").seconds, lambda: measure(sys.executable, "-c", "pass").seconds, runs
    )
    return [
        "## Starting up",
        "",
        "| process | seconds | ratio | target |",
        "|---|---|---|---|",
        f"| `paramgen build tiny.yaml` | {tiny:.3f} | {ratio:.2f} × the bare script | at most 3 × |",
        f"| bare script | {bare:.3f} | 1 | |",
        f"| `paramgen --help` | {helped:.3f} | | at most 0.25 s |",
        f"| `python -c pass` | {empty:.3f} | | |",
        "",
        "`benchmarks/tiny.yaml` has five small layers. The bare script, `benchmarks/bare.py`, draws the same sizes with",
        f"NumPy and safetensors. Figures are for whole processes, medians of {runs} runs in turn.",
        "",
        "Several measures keep start-up short:",
        "",
        "- pydantic builds a model's validator on first use (`defer_build`), and does not search for plugins.",
        "- NumPy, Rich and ml_dtypes are imported only by the code that needs them.",
        "- The garbage collector is off: the command creates no cyclic garbage.",
        "- The check for forbidden characters reuses the expression that PyYAML has already compiled.",
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(measure_startup(Path(folder), runs=21)))
