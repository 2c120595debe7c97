"""Signals end the command: cleanly at the first, at once at the second, and even if Python drops the exception."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paramgen.cli import signals

pytestmark = pytest.mark.slow

SPEC = "operations: [{name: x, type: custom, parameters: {w: {shape: [2000, 1000000], initializer: gaussian}}}]\n"

# The command, after code that replaces a part of it.
COMMAND = """
import os, signal, sys, time
from paramgen import __main__
from paramgen.cli import progress
from paramgen.storage import replacement
{patch}
sys.argv = ["paramgen", "build", "endless.yaml", "--quiet"]
__main__.main()
"""

# A signal during a finalizer: Python drops the handler's exception.
DROPPED = """
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

def advance(counter, count):
    if not os.path.exists("dropped"):
        open("dropped", "w").close()
        Finalized()

progress.Counter.__call__ = advance
"""

STUCK = """
def wait_forever(temporary, cause):
    print("cleaning up", file=sys.stderr, flush=True)
    time.sleep(60)

replacement._remove_temporary = wait_forever
"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    (tmp_path / "endless.yaml").write_text(SPEC)
    return tmp_path


def test_a_signal_ends_the_build_if_python_drops_its_exception(endless: Path) -> None:
    command = [sys.executable, "-c", COMMAND.format(patch=DROPPED)]
    done = subprocess.run(command, cwd=endless, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (143, "")
    assert sorted(os.listdir(endless)) == ["dropped", "endless.yaml"]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_process_that_is_stuck(endless: Path, second: int) -> None:
    command = [sys.executable, "-c", COMMAND.format(patch=STUCK)]
    process = subprocess.Popen(command, cwd=endless, stderr=subprocess.PIPE)
    assert process.stderr is not None
    wait_for_a_temporary_file(endless)
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline() == b"cleaning up\n"
    process.send_signal(second)
    assert process.wait(60) == -second
    process.stderr.close()
    (temporary,) = endless.glob(".paramgen-*")
    done = subprocess.run(
        [sys.executable, "-m", "paramgen", "build", "/dev/stdin"],
        input=SPEC.replace("2000", "2"),
        cwd=endless,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not temporary.exists()


def test_a_terminal_that_closes_sends_its_signal_twice(endless: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "paramgen", "build", "endless.yaml"], cwd=endless, stderr=subprocess.PIPE
    )
    wait_for_a_temporary_file(endless)
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (129, b"")
    assert os.listdir(endless) == ["endless.yaml"]


def test_an_interrupt_before_main_prints_no_traceback() -> None:
    """Send the signal once paramgen is imported."""
    code = (
        "import os, signal; import paramgen.__main__; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_nothing_is_raised_if_no_signal_came() -> None:
    assert signals.received() is None
    signals.check()


def wait_for_a_temporary_file(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(".paramgen-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
