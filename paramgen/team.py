"""Threads: how many there should be, and work shared among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")

OWN_GROUPS = "/proc/self/cgroup"
GROUPS = "/sys/fs/cgroup"

MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class Team:
    """So many threads. Calling it runs work(task) for every task; the first error ends it, and is raised."""

    threads: int = 1

    def __call__(self, work: Callable[[Task], object], tasks: Iterable[Task]) -> None:
        tasks = list(tasks)
        waiting = iter(tasks)
        end = object()
        errors: list[BaseException] = []
        lock = threading.Lock()

        def member() -> None:
            try:
                while not errors:
                    with lock:
                        task = next(waiting, end)
                    if task is end:
                        return
                    work(task)  # type: ignore[arg-type]
            except BaseException as error:
                errors.append(error)

        others = started(member, min(self.threads, len(tasks)) - 1)
        member()
        try:
            for thread in others:
                thread.join()
        except BaseException as error:  # a signal: the others are not to go on
            errors.append(error)
        if errors:
            raise errors[0]


def started(work: Callable[[], object], count: int) -> list[threading.Thread]:
    """So many threads that run work(), or fewer where the system refuses more."""
    threads: list[threading.Thread] = []
    with suppress(RuntimeError):
        for _ in range(count):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            threads.append(thread)
    return threads


def available_cpus() -> int:
    """The CPUs that this process may use: those it may run on, no more than its control groups' quota pays for."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        for line in Path(OWN_GROUPS).read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                count = min([count, *_quotas(GROUPS, group, ("cpu.max",))])
            elif "cpu" in controllers.split(","):
                files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                count = min([count, *_quotas(f"{GROUPS}/{controllers}", group, files)])
    return count


def _quotas(root: str, group: str, files: tuple[str, ...]) -> Iterable[int]:
    """What each group from this one to the root may use, in whole CPUs, rounded up."""
    parts = [part for part in group.split("/") if part]
    for depth in range(len(parts), -1, -1):
        with suppress(OSError, ValueError):
            texts = [Path(root, *parts[:depth], file).read_text() for file in files]
            quota, period = (int(number) for number in " ".join(texts).split())
            if quota > 0:
                yield max(1, -(-quota // period))
