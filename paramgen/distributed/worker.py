"""The functions that run on a worker: it prepares for a build once, draws units of it, and releases it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import warnings
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from paramgen import __version__
from paramgen.blocks import FileRange
from paramgen.drawing import estimate_seconds
from paramgen.errors import WorkerError
from paramgen.execution import Finished, Job, LocalExecutor
from paramgen.messages import show_path
from paramgen.planning.files import FolderLayout
from paramgen.planning.plan import Plan
from paramgen.planning.streams import STREAM_VERSION
from paramgen.spec import read_and_plan
from paramgen.storage.landmark import Landmark

if TYPE_CHECKING:
    from distributed import Worker

# Evaluated as a text: another version may lack the functions of this module, and a worker paramgen itself.
VERSION_EXPRESSION = (
    "(__import__('paramgen').__version__,"
    " __import__('paramgen.planning.streams', fromlist=['STREAM_VERSION']).STREAM_VERSION)"
)
VERSION = (__version__, STREAM_VERSION)
# The topic of events with which workers report progress.
TOPIC = "paramgen"
REPORT_SECONDS = 0.25
# A unit stops at its next block. Longer waits would only delay the end of the client.
STOP_SECONDS = 10.0


class Assignment(NamedTuple):
    """All that a worker needs to draw units of a build: the plan as a spec, and the options of the drawing."""

    build: str
    spec: str
    folder: FolderLayout | None
    digest: str
    job: Job[Any]
    landmark: Landmark | None
    device: str
    threads: int | None
    block_bytes: int
    workers: int

    @property
    def resource(self) -> str:
        """The resource of prepared workers. Each has one, which a unit takes, so units run one after another."""
        return f"paramgen-{self.build}"


@dataclass(slots=True)
class _Build:
    """A build for which this worker is prepared."""

    plan: Plan
    job: Job[Any]
    options: dict[str, Any]
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False


_builds: dict[str, _Build] = {}


def hash_plan(plan: Plan) -> str:
    """Return the digest of a plan: of the headers of its files, which name all tensors and hold the spec."""
    sha256 = hashlib.sha256()
    for file in plan.files:
        sha256.update(file.header)
    return sha256.hexdigest()


async def prepare(assignment: Assignment, dask_worker: Worker) -> None:
    """Check that this worker can draw the units of a build, and offer it to the scheduler. Raises WorkerError."""
    _builds[assignment.build] = await asyncio.to_thread(_open_build, assignment, dask_worker.state.nthreads)
    await dask_worker.set_resources(**{assignment.resource: 1})


def _open_build(assignment: Assignment, threads: int) -> _Build:
    landmark = assignment.landmark
    if landmark and not landmark.is_visible():
        raise WorkerError(
            f"does not share {show_path(landmark.path)}; use a path that all workers and this machine share"
        )
    with warnings.catch_warnings(action="ignore"):  # the client has shown them
        plan = read_and_plan(json.loads(assignment.spec)).plan
    if assignment.folder:
        plan = plan.split(assignment.folder)
    if hash_plan(plan) != assignment.digest:
        raise WorkerError("plans the spec otherwise; install the same version of paramgen on all workers")
    options = {
        "device": assignment.device,
        "threads": assignment.threads or threads,
        "block_bytes": assignment.block_bytes,
        "seconds": estimate_seconds(plan.tensors) / assignment.workers,
    }
    return _Build(plan, assignment.job, options)


def run_unit(build_id: str, number: int, unit: FileRange) -> Finished[Any]:
    """Draw a unit, and run the build's job on it."""
    from distributed import get_worker

    build = _builds[build_id]
    worker = get_worker()
    done, reported = 0, time.monotonic()

    def progress(count: int) -> None:
        nonlocal done, reported
        if build.stopped:
            raise WorkerError("stopped by the client")
        done += count
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            worker.log_event(TOPIC, [build_id, number, done])

    executor = LocalExecutor(progress=progress, **build.options)
    with build.lock, closing(executor.run(build.plan, build.job, [unit])) as results:
        return next(results)


async def release(build_id: str, dask_worker: Worker) -> None:
    """End the unit that is running, if any, and forget the build."""
    build = _builds.pop(build_id, None)
    if build is None:
        return
    await dask_worker.set_resources(**{f"paramgen-{build_id}": 0})
    build.stopped = True
    await asyncio.to_thread(build.lock.acquire, timeout=STOP_SECONDS)
