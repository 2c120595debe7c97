"""`paramgen inspect` for headers of a million tensors, compared with the official parser.

python benchmarks/headers.py
"""

import json
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

from measuring import PARAMGEN, measure

COUNT = 1_000_000

OFFICIAL = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="np", backend="pread") as file:
    for name in file.offset_keys():
        part = file.get_slice(name)
        part.get_dtype(), part.get_shape()
"""

IMPORT = """
import sys, time
began = time.perf_counter()
import safetensors
print(time.perf_counter() - began, "numpy" in sys.modules)
"""


def make_header(count: int, alike: bool) -> tuple[bytes, int]:
    """Return a header of `count` tensors and the number of bytes of their data.

    Unless `alike`, each has a different shape, and the metadata has brackets like paramgen's own.
    """
    fields = ['"__metadata__":' + json.dumps({"format": "pt"} if alike else {"spec": '{"shape":[3,3]}'})]
    begin = 0
    for number in range(count):
        shape = [2] if alike else [1 + number % 1000, 1 + number // 1000]
        end = begin + prod(shape)
        fields.append(f'"model.layers.{number}.w":{{"dtype":"U8","shape":{shape},"data_offsets":[{begin},{end}]}}')
        begin = end
    text = ("{" + ",".join(fields) + "}").encode()
    return len(text).to_bytes(8, "little") + text, begin


def measure_headers(scratch: Path, count: int, runs: int) -> list[str]:
    rows = []
    for what, alike in (("of one shape", True), ("of different shapes", False)):
        path = scratch / "headers.safetensors"
        content, size = make_header(count, alike)
        with path.open("wb") as file:
            file.write(content)
            file.truncate(len(content) + size)
        commands = {
            "the official parser": [sys.executable, "-c", OFFICIAL, str(path)],
            "`paramgen inspect`": [*PARAMGEN, "inspect", str(path)],
            "`paramgen inspect --json`": [*PARAMGEN, "inspect", str(path), "--json"],
        }
        turns = [[measure(*command) for command in commands.values()] for _ in range(runs)]
        best = [
            (min(result.cpu_seconds for result in column), min(result.peak for result in column))
            for column in zip(*turns, strict=True)
        ]
        for name, (seconds, peak) in zip(commands, best, strict=True):
            ratios = f"{seconds / best[0][0]:.2f} × | {peak / best[0][1]:.2f} ×"
            rows.append(f"| {count:,} {what} | {name} | {seconds:.2f} | {peak / 1e6:.0f} MB | {ratios} |")
        path.unlink()
    imports = [
        subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        for _ in range(5 * runs)
    ]
    seconds, has_numpy = min(done.stdout.split() for done in imports)
    return [
        "## Large headers",
        "",
        "`paramgen inspect` reads headers with the official parser. The target is at most twice that parser's time and",
        f"memory. Figures are for whole processes on one thread, the least CPU time of {runs} runs in turn.",
        "",
        "| tensors | process | seconds | peak memory | time | memory |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"`import safetensors` takes {float(seconds) * 1e3:.1f} ms and imports "
        + ("NumPy." if has_numpy == "True" else "no NumPy; opening a file does."),
        "",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(measure_headers(Path(folder), COUNT, runs=3)))
