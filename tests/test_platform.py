"""Windows, simulated by the name of the platform: one sentence, no traceback from the command."""

import subprocess
import sys

import pytest

WINDOWS = "import sys; sys.platform = 'win32'; "
SENTENCE = "paramgen: needs Linux or macOS, got Windows; use it in the Windows Subsystem for Linux (wsl --install)"


def run_on_windows(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WINDOWS + code], capture_output=True, text=True, check=False)


def test_the_command_reports_it_in_one_line() -> None:
    done = run_on_windows("from paramgen.__main__ import main; main()")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"{SENTENCE}\n")


@pytest.mark.parametrize("code", ["from paramgen import build", "import paramgen; paramgen.load_spec"])
def test_the_library_raises_an_import_error(code: str) -> None:
    done = run_on_windows(code)
    assert done.stderr.splitlines()[-1] == f"ImportError: {SENTENCE}"


def test_the_version_can_be_read() -> None:
    assert run_on_windows("import paramgen; print(paramgen.__version__)").stderr == ""
