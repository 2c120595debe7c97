"""Every system call of a build fails once: old bytes or new bytes, one line, exit status 3, no litter."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults import FOLDER_SPEC, SPEC
from helpers import ROOT
from loaders import has_no_mixture

pytestmark = pytest.mark.slow

# The C library itself relies on these, and a process cannot go on without them.
VITAL = {"brk", "exit", "exit_group", "futex", "gettid", "munmap", "restart_syscall", "rseq", "rt_sigaction"}
VITAL |= {"rt_sigprocmask", "rt_sigreturn", "set_robust_list", "tgkill"}
# The error of each call; EIO if not listed.
ERRORS = {
    "clone3": "EAGAIN",
    "fallocate": "ENOSPC",
    "madvise": "ENOMEM",
    "mbind": "ENOSYS",
    "mmap": "ENOMEM",
    "mprotect": "ENOMEM",
    "mremap": "ENOMEM",
    "pwrite64": "ENOSPC",
    "sched_getaffinity": "ENOSYS",
    "sched_getscheduler": "ENOSYS",
    "sched_setscheduler": "EPERM",
    "write": "ENOSPC",
}
CALL = re.compile(r"(?:\d+ +)?(\w+)\(")


@dataclass
class Server:
    process: "subprocess.Popen[str]"
    folder: Path

    def run(self, folder: Path, arguments: list[str], *options: str) -> tuple[int, str, list[str]]:
        """Run a command under strace; return its status, its stderr and the log."""
        assert self.process.stdin is not None
        stderr, log = self.folder / "stderr", self.folder / "log"
        job = {"folder": str(folder), "arguments": arguments, "stdout": "/dev/null", "stderr": str(stderr)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        child = self.answer()
        wait_until(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        strace = subprocess.Popen(["strace", "-qq", "-o", log, *options, "-p", str(child)], stderr=subprocess.PIPE)
        wait_until(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{child}/status").read_text())
        os.kill(child, signal.SIGCONT)
        if not select.select([self.process.stdout], [], [], 20)[0]:
            os.kill(child, signal.SIGKILL)
        status = self.answer()
        strace.communicate(timeout=60)
        return status, stderr.read_text(), log.read_text().splitlines()

    def answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not shutil.which("strace"):
        pytest.skip("needs strace (Debian: apt-get install strace)")
    command = [sys.executable, str(Path(__file__).parent / "faults.py")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    server = Server(process, tmp_path_factory.mktemp("server"))
    assert server.answer() == 0
    yield server
    process.communicate()


@dataclass
class Case:
    """A build whose system calls fail, of a new file or one that replaces another."""

    server: Server
    folder: Path
    elements: int
    before: bytes | None = None

    def run(self, *options: str, seed: str = "1") -> tuple[int, str, list[str]]:
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        (self.folder / "out").mkdir()
        if self.before is not None:
            (self.folder / "out" / "x").write_bytes(self.before)
        (self.folder / "spec.yaml").write_text(SPEC.replace("5000, 1000", str(self.elements)))
        arguments = ["build", "spec.yaml", "-o", "out/x", "--quiet", "--seed", seed]
        return self.server.run(self.folder, arguments, *options)

    def build(self, seed: str) -> bytes:
        assert self.run(seed=seed)[:2] == (0, "")
        return (self.folder / "out" / "x").read_bytes()

    def read_files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "out").iterdir()}


def count_calls(log: list[str]) -> "Counter[str]":
    """Count the calls of a run that can fail; check that the table of docs/system-calls.md has them."""
    calls = Counter(match[1] for match in map(CALL.match, log) if match and match[1] not in VITAL)
    page = (ROOT / "docs" / "system-calls.md").read_text()
    assert calls.keys() <= set(re.findall(r"(?:^\| |, )`(\w+)`(?=,| \|)", page, re.MULTILINE))
    return calls


def list_faults(calls: "Counter[str]") -> Iterator[list[str]]:
    """Yield the options that make strace fail each call once."""
    for name, count in calls.items():
        for number in range(1, count + 1):
            fault = f"{name}:error={ERRORS.get(name, 'EIO')}:when={number}"
            yield ["-e", f"trace={name}", "-e", f"inject={fault}"]


# Files of 16 MB and more are written past the page cache, by other calls.
@pytest.mark.parametrize("elements", [1000, 5_000_000], ids=["buffered", "direct"])
@pytest.mark.parametrize("was_there", [False, True], ids=["new", "replaced"])
def test_every_call_of_a_build_fails_once(server: Server, tmp_path: Path, was_there: bool, elements: int) -> None:
    """Test the calls of the main thread, which opens, reserves, writes, syncs and renames."""
    case = Case(server, tmp_path, elements)
    case.before = case.build("2") if was_there else None
    after = case.build("1")
    old, new = ({} if case.before is None else {"x": case.before}), {"x": after}
    calls = count_calls(case.run()[2])
    injected, wrong = 0, []
    for fault in list_faults(calls):
        status, stderr, log = case.run(*fault)
        injected += any("INJECTED" in line for line in log)
        left, lines = case.read_files(), len(stderr.splitlines())
        is_whole = (status, lines) == (0, 0) and left == new
        is_refused = (status, lines) == (3, 1) and left in (old, new)
        if not (is_whole or is_refused):
            wrong.append((fault, status, sorted(left), stderr))
    assert wrong == []
    assert injected > 25


@pytest.mark.parametrize("name", ["sched_getaffinity", "sched_getscheduler", "sched_setscheduler"])
def test_calls_of_all_threads_that_only_tune(server: Server, tmp_path: Path, name: str) -> None:
    case = Case(server, tmp_path, 5_000_000)
    after = case.build("1")
    status, stderr, log = case.run("-f", "-e", f"trace={name}", "-e", f"inject={name}:error=ENOSYS:when=1+")
    assert (status, stderr, case.read_files()) == (0, "", {"x": after})
    assert any("INJECTED" in line for line in log)


@dataclass
class FolderCase:
    """A build of a folder whose system calls fail; `before` has the files of the folder that it replaces."""

    server: Server
    folder: Path
    before: dict[str, bytes]

    def run(self, *options: str, resume: bool = False) -> tuple[int, str, list[str]]:
        if not resume:
            shutil.rmtree(self.folder / "out", ignore_errors=True)
            if self.before:
                (self.folder / "out").mkdir()
            for name, data in self.before.items():
                (self.folder / "out" / name).write_bytes(data)
        return self.build("8KB", "1", *(["--resume"] if resume else []), options=options)

    def build(self, size: str, seed: str, *more: str, options: tuple[str, ...] = ()) -> tuple[int, str, list[str]]:
        (self.folder / "spec.yaml").write_text(FOLDER_SPEC)
        arguments = ["build", "spec.yaml", "-o", "out/", "--quiet", "--seed", seed, "--max-shard-size", size, *more]
        return self.server.run(self.folder, arguments, *options)

    def read_files(self) -> dict[str, bytes]:
        """Return the contents of the files that a loader sees."""
        out = self.folder / "out"
        return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} if out.exists() else {}

    @property
    def staging(self) -> Path:
        return self.folder / "out" / ".paramgen-resume"


@pytest.mark.parametrize("was_there", [False, True], ids=["new", "replaced"])
def test_every_call_of_a_folder_fails_once(server: Server, tmp_path: Path, was_there: bool) -> None:
    """Test that a loader sees one build or no index, and that finished shards are kept or nothing is left."""
    case = FolderCase(server, tmp_path, {})
    assert case.build("4KB", "2")[:2] == (0, "")
    case.before = case.read_files() if was_there else {}
    assert case.run()[:2] == (0, "")
    new, old = case.read_files(), case.before
    assert len(new) == 4 and len(set(old) - set(new)) == (4 if was_there else 0)
    injected, kept, wrong = 0, 0, []
    for fault in list_faults(count_calls(case.run()[2])):
        status, stderr, log = case.run(*fault)
        injected += any("INJECTED" in line for line in log)
        left, lines = case.read_files(), stderr.splitlines()
        if lines and "kept; build again with --resume to continue" in lines[-1]:
            kept += 1
            is_right = (status, len(lines)) == (3, 2) and has_no_mixture(left, old, new)
            is_right = is_right and case.run(resume=True)[:2] == (0, "") and case.read_files() == new
        else:
            is_right = (status, lines) == (0, []) and left == new
            is_right |= (status, len(lines)) == (3, 1) and left in (old, new)
            if case.staging.exists():  # the system refused to remove it; the next build does
                is_right &= case.run(resume=True)[:2] == (0, "") and case.read_files() == new
            else:
                is_right &= bool(left) or not (tmp_path / "out").exists()
        is_right &= not case.staging.exists()
        is_named = "standard output" not in stderr or "lseek" in fault[1]
        if not (is_right and is_named):
            wrong.append((fault, status, sorted(left), stderr))
    assert wrong == []
    assert injected > 25 and kept > 10
