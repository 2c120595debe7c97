"""Tests that nothing is drawn on a big-endian machine, where the bytes of bfloat16 would be swapped."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY

# NumPy and ml_dtypes, which need the true order, come first.
BIG_ENDIAN = "import sys, numpy, ml_dtypes; sys.byteorder = 'big'; "
MESSAGE = "paramgen draws on little-endian machines only; this one is big-endian"


@pytest.mark.parametrize("command", [["build", "tiny.yaml"], ["devices"]])
def test_commands_that_draw_end_in_one_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    program = BIG_ENDIAN + "from paramgen.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"{MESSAGE}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_so_does_the_library() -> None:
    program = BIG_ENDIAN + (
        "import paramgen\n"
        "try:\n    paramgen.initialize('zeros', [3], dtype='bfloat16')\n"
        "except paramgen.DeviceError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{MESSAGE}\n"
