"""Tests of shared work and of the number of CPUs."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from paramgen.threads import available_cpus, parallel_for, run_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_is_done_once(threads: int) -> None:
    done: list[int] = []
    parallel_for(threads, done.append, range(100))
    assert sorted(done) == list(range(100))


def test_no_more_threads_than_tasks() -> None:
    seen: set[int] = set()
    parallel_for(8, lambda task: seen.add(threading.get_ident()), [0])
    assert seen == {threading.get_ident()}


def test_the_first_error_ends_the_work() -> None:
    before = threading.active_count()
    done: list[int] = []

    def work(task: int) -> None:
        if task == 3:
            raise ValueError("third")
        done.append(task)

    with pytest.raises(ValueError, match="third"):
        parallel_for(1, work, range(100))
    assert done == [0, 1, 2]
    with pytest.raises(ValueError, match="third"):
        parallel_for(4, work, range(100))
    assert threading.active_count() == before


def test_fewer_threads_if_the_system_refuses_more(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = iter([True, True])

    def start(self: threading.Thread, original: Callable[..., None] = threading.Thread.start) -> None:
        if not next(starts, False):
            raise RuntimeError("can't start new thread")
        original(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    done: list[int] = []
    parallel_for(8, done.append, range(100))
    assert sorted(done) == list(range(100))
    stopped = threading.Event()
    with run_threads([stopped.wait] * 3, stopped.set) as members:
        assert members == 0


def test_threads_end_whatever_interrupts_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    real = threading.Thread.start
    stopped = threading.Event()

    def start(self: threading.Thread) -> None:
        real(self)
        if threading.active_count() == before + 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt), run_threads([stopped.wait] * 3, stopped.set):
        pytest.fail("the start was interrupted")
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_cpus_are_those_that_the_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= available_cpus() <= len(before)


@pytest.mark.parametrize("error", [OSError(38, "Function not implemented"), AttributeError("sched_getaffinity")])
def test_systems_that_do_not_list_cpus(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(process: int) -> None:
        raise error

    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_cpus(cgroup_file="/nowhere") == 5


def groups(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "350000 100000", "a/b/cpu.max": "max 100000"}, 4),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "350000 100000", "a/b/cpu.max": "50000 100000"}, 1),
        ("0::/a\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {}, 64),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "300000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("4:cpu:/x\n1:memory:/\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 64),
    ],
)
def test_quotas_of_control_groups_count(
    lines: str, files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup").write_text(lines)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    folder = groups(tmp_path / "groups", files)
    assert available_cpus(str(tmp_path / "cgroup"), str(folder)) == expected
