"""Plans of generated specs of a hundred thousand operations.

python benchmarks/large_specs.py
"""

import tempfile
from pathlib import Path

from measuring import PARAMGEN, measure


def large_specs(scratch: Path, sizes: list[int]) -> list[str]:
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(large_specs(Path(folder), sizes=[25_000, 50_000, 100_000])))
