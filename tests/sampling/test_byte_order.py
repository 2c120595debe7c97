"""Tests that nothing is drawn on a big-endian machine, where the bytes of bfloat16 would be swapped."""

import subprocess
import sys
from pathlib import Path

import pytest
from golden import Golden
from helpers import TINY

# NumPy and ml_dtypes, which need the true order, come first.
BIG_ENDIAN = "import sys, numpy, ml_dtypes; sys.byteorder = 'big'; "


@pytest.mark.parametrize("command", [["build", "tiny.yaml"], ["devices"]], ids=" ".join)
def test_commands_that_draw_end_in_one_line(command: list[str], tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    program = BIG_ENDIAN + "from paramgen.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    golden(done.stderr)


def test_the_library_raises_an_error(golden: Golden) -> None:
    program = BIG_ENDIAN + (
        "import paramgen\n"
        "try:\n    paramgen.initialize('zeros', [3], dtype='bfloat16')\n"
        "except paramgen.DeviceError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    golden(done.stdout)
