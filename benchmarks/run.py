"""Measure paramgen as whole processes beside its peers, and write docs/performance.md.

    python benchmarks/run.py            all of it, a minute or two
    python benchmarks/run.py --quick    fewer repetitions, no file written

Needs the test extra (safetensors is a peer) and PyTorch for its row; each pair of commands runs in turn, so that a
change of the machine's speed meets both, and figures are medians. Run it with paramgen installed as users have it
(pip install ".[test]", not -e: an editable install starts some 10 ms later). startup.py, large_specs.py and
builds.py run alone, too.
"""

import argparse
import tempfile
from pathlib import Path

from builds import builds
from large_specs import large_specs
from measuring import HERE, machine
from startup import startup


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
            *large_specs(scratch, [2_500, 5_000] if quick else [25_000, 50_000, 100_000]),
            *builds(scratch, 2 if quick else 15),
        ]
    text = "\n".join(lines)
    print(text)
    if not quick:
        (HERE.parent / "docs" / "performance.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
