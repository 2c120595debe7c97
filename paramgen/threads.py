"""Work shared by several threads, and the number of CPUs for them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from paramgen.errors import UsageError
from paramgen.messages import must_be

Task = TypeVar("Task")

CGROUP_FILE = "/proc/self/cgroup"
CGROUP_ROOT = "/sys/fs/cgroup"

MAX_THREADS = 1024


def parallel_for(threads: int, work: Callable[[Task], object], tasks: Iterable[Task]) -> None:
    """Run work(task) for every task, by up to `threads` threads; raise the first error after all have stopped."""
    waiting = deque(tasks)
    errors: list[BaseException] = []
    lock = threading.Lock()
    stopped = threading.Event()

    def run() -> None:
        try:
            while not errors and not stopped.is_set():
                with lock:
                    if not waiting:
                        return
                    task = waiting.popleft()
                work(task)
        except BaseException as error:
            errors.append(error)

    with run_threads([run] * (min(threads, len(waiting)) - 1), stopped.set):  # this thread is the last one
        run()
    if errors:
        raise errors[0]


@contextmanager
def run_threads(functions: Iterable[Callable[[], object]], stop: Callable[[], object]) -> Iterator[int]:
    """Run each function in a thread of its own, and yield the number of threads: fewer if the system refuses more.

    They see the caller's context variables. On exit, call stop(), which must end the threads, and join them, even if a
    signal interrupts the start. (Executors of concurrent.futures raise if a thread is refused, and Python waits for
    their threads before it exits.)
    """
    threads: list[threading.Thread] = []
    try:
        with suppress(RuntimeError):
            for function in functions:
                threads.append(threading.Thread(target=copy_context().run, args=(function,), daemon=True))
                threads[-1].start()
        yield sum(thread.ident is not None for thread in threads)
    finally:
        stop()
        for thread in threads:
            with suppress(RuntimeError):  # it was never started
                thread.join()


def count_threads(threads: int | None) -> int:
    """Return a number of threads, by default one for each CPU. Raises UsageError for an invalid one."""
    if threads is None:
        return available_cpus()
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads: {must_be(f'an integer from 1 to {MAX_THREADS:,}', threads)}")
    return threads


def available_cpus(cgroup_file: str = CGROUP_FILE, cgroup_root: str = CGROUP_ROOT) -> int:
    """Count the CPUs that this process may run on, within the quotas of its control groups."""
    count = os.cpu_count() or 1
    with suppress(OSError, AttributeError):  # missing on some systems, refused by some sandboxes
        count = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        for line in Path(cgroup_file).read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                count = min([count, *_quotas(cgroup_root, group, ("cpu.max",))])
            elif "cpu" in controllers.split(","):
                files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                count = min([count, *_quotas(f"{cgroup_root}/{controllers}", group, files)])
    return count


def _quotas(root: str, group: str, files: tuple[str, ...]) -> Iterable[int]:
    """Yield the quotas of a group and its parents, in whole CPUs, rounded up."""
    parts = [part for part in group.split("/") if part]
    for depth in range(len(parts), -1, -1):
        with suppress(OSError, ValueError):
            texts = [Path(root, *parts[:depth], file).read_text() for file in files]
            quota, period = (int(number) for number in " ".join(texts).split())
            if quota > 0:
                yield max(1, -(-quota // period))
