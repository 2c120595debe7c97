"""`paramgen verify`, `digest`, `check` and `diff`, compared with a plain read and a build that writes nothing.

python benchmarks/proofs.py
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from builds import MODELS, Model, make_spec
from measuring import PARAMGEN, is_installed, measure

READ = """
import sys
buffer = memoryview(bytearray(2**22))
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.readinto(buffer):
        pass
"""

LOAD = """
import sys
from safetensors.torch import load_file
sum(float(tensor.view(-1)[0]) for tensor in load_file(sys.argv[1]).values())
"""


def drop_from_cache(path: Path) -> None:
    """Write a file to the disk, and drop it from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def measure_proofs(scratch: Path, model: Model, runs: int) -> list[str]:
    """Compare the checks of a file, which is read from the disk."""
    spec, target = scratch / "model.yaml", scratch / "model.safetensors"
    manifest = scratch / "manifest.json"
    spec.write_text(make_spec(model))
    measure(*PARAMGEN, "build", spec, "--quiet", "-o", target, "--manifest", manifest)
    size = target.stat().st_size
    null: list[str | Path] = [*PARAMGEN, "build", spec, "--quiet", "--device", "cpu", "-o", "/dev/null"]
    commands: dict[str, list[str | Path]] = {
        "plain read": [sys.executable, "-c", READ, target],
        "`paramgen build -o /dev/null`": null,
        "`paramgen verify`": [*PARAMGEN, "verify", target, "--device", "cpu"],
        "`paramgen verify --manifest`": [*PARAMGEN, "verify", target, "--manifest", manifest],
        "`paramgen check`": [*PARAMGEN, "check", target],
        "`paramgen digest`": [*PARAMGEN, "digest", spec, "--device", "cpu"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    peaks = dict.fromkeys(commands, 0.0)
    for _ in range(runs):
        for name, command in commands.items():
            drop_from_cache(target)
            measured = measure(*command)
            taken[name].append(measured.seconds)
            peaks[name] = max(peaks[name], measured.peak)
    target.unlink()
    seconds = {name: median(values) for name, values in taken.items()}
    limit = max(seconds["plain read"], seconds["`paramgen build -o /dev/null`"])
    rows = [
        f"| {name} | {seconds[name]:.2f} | {peaks[name] / 1e6:.0f} MB | {seconds[name] / limit:.2f} × |"
        for name in commands
    ]
    return [
        "## Proofs",
        "",
        f"Of a file of {size / 1e9:.1f} GB, which is not in the page cache: the medians of {runs} runs in turn. `verify`",
        "draws it again while it reads it. Its target is at most 1.3 times the slower of a plain read and a build that",
        "writes nothing; the last column compares with that.",
        "",
        "| process | seconds | peak memory | time |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def measure_no_sync(scratch: Path, model: Model, runs: int) -> list[str]:
    """Compare builds with and without waiting for the disk, followed by a load."""
    if not is_installed("torch"):
        return []
    spec, target = scratch / "model.yaml", scratch / "model.safetensors"
    spec.write_text(make_spec(model))
    taken: dict[str, list[tuple[float, float]]] = {"": [], "--no-sync": []}
    for _ in range(runs):
        for option, values in taken.items():
            target.unlink(missing_ok=True)
            os.sync()
            built = measure(*PARAMGEN, "build", spec, "--quiet", "-o", target, *option.split())
            values.append((built.seconds, measure(sys.executable, "-c", LOAD, target).seconds))
    size = target.stat().st_size
    target.unlink()
    rows = []
    for option, values in taken.items():
        build, load = (median(column) for column in zip(*values, strict=True))
        rows.append(
            f"| `paramgen build {option}`".rstrip(" `") + f"` | {build:.2f} | {load:.2f} | {build + load:.2f} |"
        )
    return [
        "## Fixtures that are read at once",
        "",
        f"A build of {size / 1e9:.1f} GB, followed by PyTorch's import and `safetensors.torch.load_file`: the medians of",
        f"{runs} runs in turn.",
        "",
        "| build | seconds to build | to load | together |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print("\n".join(measure_proofs(Path(folder), MODELS[1], runs=3)))
        print("\n".join(measure_no_sync(Path(folder), MODELS[0], runs=3)))
