"""The executor whose units are drawn by the workers of a Dask cluster."""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from paramgen.blocks import FileRange
from paramgen.distributed.splitting import order_units, split_file, unit_size
from paramgen.distributed.worker import (
    TOPIC,
    VERSION,
    VERSION_EXPRESSION,
    Assignment,
    hash_plan,
    prepare,
    release,
    run_unit,
)
from paramgen.errors import ParamgenError, UsageError, WorkerError
from paramgen.execution import Finished, Job, Result
from paramgen.messages import escape, show_text
from paramgen.planning.files import PlannedFile
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback
from paramgen.storage.sink import Output, Sink

if TYPE_CHECKING:
    from distributed import Client, Future

POLL_SECONDS = 0.2
# How often the client looks for new and lost workers, and how long it waits if all are lost.
CHECK_SECONDS = 1.0
WAIT_SECONDS = 60.0
# Dask runs a unit again so often if it fails. Units of workers that die are not counted.
RETRIES = 2


class DaskExecutor:
    """Runs units on the workers of a cluster: one at a time on each, those that take longest first.

    The scheduler sees names of units, counts and digests. A spec travels to each worker, which plans it again.
    """

    def __init__(
        self,
        client: Client,
        unit_bytes: int | None = None,
        *,
        device: str,
        threads: int | None,
        block_bytes: int,
        progress: BytesCallback,
    ):
        self._client = client
        self._unit_bytes = unit_bytes
        self._options: dict[str, Any] = {"device": device, "threads": threads, "block_bytes": block_bytes}
        self._progress = progress

    def split(self, file: PlannedFile) -> list[FileRange]:
        """Return ranges, several for each worker."""
        return split_file(file, self._unit_bytes or unit_size(file, len(list_workers(self._client))))

    def share(self, output: Output, files: Sequence[PlannedFile]) -> Sink:
        """Return the sink by which workers write an output. Raises UsageError if it is a stream."""
        sink = output.share({file.name: file.size for file in files})
        if sink is None:
            raise UsageError(
                "dask: workers need a file or a folder that they share, or a folder of s3://; choose another output"
            )
        return sink

    def run(self, plan: Plan, job: Job[Result], units: Sequence[FileRange]) -> Generator[Finished[Result], None, None]:
        """Let the workers draw units, and yield the results as they finish."""
        workers = list_workers(self._client)
        with job.landmark() as landmark:
            assignment = Assignment(
                build=secrets.token_hex(8),
                spec=plan.metadata.shard["paramgen_spec"],
                folder=plan.folder,
                digest=hash_plan(plan),
                job=job,
                landmark=landmark,
                workers=len(workers),
                **self._options,
            )
            crew = Crew(self._client, assignment)
            try:
                crew.prepare(workers)
                yield from self._run(plan, crew, units)
            finally:
                crew.release()

    def _run(self, plan: Plan, crew: Crew, units: Sequence[FileRange]) -> Iterator[Finished[Any]]:
        files = {file.name: file for file in plan.files}
        waiting = list(reversed(order_units(files, units)))
        progress = _Progress(files, self._progress)
        running: dict[Future, int] = {}
        events: SimpleQueue[Future | tuple[int, int]] = SimpleQueue()
        numbers = {unit: number for number, unit in enumerate(units)}
        with crew.receive_progress(events):
            while waiting or running:
                # No unit waits behind another one, so all workers end at about the same time.
                while waiting and len(running) < len(crew.workers):
                    unit = waiting.pop()
                    future = crew.submit(numbers[unit], unit)
                    running[future] = numbers[unit]
                    future.add_done_callback(events.put)
                crew.check()
                try:
                    event = events.get(timeout=POLL_SECONDS)
                except Empty:
                    progress.report(0)
                    continue
                if isinstance(event, tuple):
                    number, done = event
                    progress.advance(units[number], done)
                    continue
                unit = units[running.pop(event)]
                finished: Finished[Any] = crew.result(event, unit)
                progress.finish(unit)
                yield finished


class _Progress:
    """The bytes of all units that were drawn; a unit that runs again counts once."""

    def __init__(self, files: dict[str, PlannedFile], report: BytesCallback):
        self.report = report
        self._files = files
        self._done: dict[FileRange, int] = {}

    def advance(self, unit: FileRange, done: int) -> None:
        """Report that `done` bytes of a unit were drawn."""
        before = self._done.get(unit, 0)
        self._done[unit] = max(before, done)
        self.report(self._done[unit] - before)

    def finish(self, unit: FileRange) -> None:
        """Report the rest of a unit; headers are not drawn."""
        header = len(self._files[unit.file].header)
        self.advance(unit, max(unit.stop, header) - max(unit.start, header))


class Crew:
    """The workers that are prepared for a build."""

    def __init__(self, client: Client, assignment: Assignment):
        self.workers: set[str] = set()
        self._client = client
        self._assignment = assignment
        self._known: set[str] = set()
        self._futures: set[Future] = set()
        self._checked = time.monotonic()
        self._busy = time.monotonic()

    def prepare(self, addresses: Iterable[str], late: bool = False) -> None:
        """Prepare workers. Raises WorkerError if one cannot be used; of those that join later, warn instead."""
        addresses = [*addresses]
        self._known.update(addresses)
        ready, errors = [], {}
        with scheduler_errors(self._client):
            found = self._client.run(eval, VERSION_EXPRESSION, workers=addresses, on_error="return")
        for address, version in found.items():
            if version == VERSION:
                ready.append(address)
            else:
                errors[address] = _describe_version(version)
        if ready and (late or not errors):
            with scheduler_errors(self._client):
                done = self._client.run(prepare, self._assignment, workers=ready, on_error="return")
            self.workers.update(address for address, error in done.items() if error is None)
            errors |= {address: _describe_error(error) for address, error in done.items() if error is not None}
        for address, problem in errors.items():
            message = f"dask: worker {escape(address)}: {problem}"
            if not late:
                raise WorkerError(message)
            warnings.warn(f"{message} (it is not used)", stacklevel=2)

    def check(self) -> None:
        """Prepare workers that joined, and drop lost ones. Raises WorkerError if the scheduler or all are lost."""
        now = time.monotonic()
        if self._client.status != "running":
            raise _lost_scheduler(self._client)
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        present = set(_list_addresses(self._client))
        self.workers &= present
        if new := present - self._known:
            self.prepare(new, late=True)
        if self.workers:
            self._busy = now
        elif now - self._busy > WAIT_SECONDS:
            raise WorkerError(f"dask: no worker is left, waited {WAIT_SECONDS:.0f} s for another; start workers again")

    def submit(self, number: int, unit: FileRange) -> Future:
        """Submit a unit to the scheduler."""
        build, resources = self._assignment.build, {self._assignment.resource: 1}
        key = f"paramgen-{build}-{number}"
        with scheduler_errors(self._client):
            future = self._client.submit(
                run_unit, build, number, unit, key=key, resources=resources, retries=RETRIES, pure=False
            )
        self._futures.add(future)
        return future

    def result(self, future: Future, unit: FileRange) -> Finished[Any]:
        """Return the result of a finished unit, and drop it; raise its error."""
        from distributed import KilledWorker

        self._futures.discard(future)
        if future.cancelled():  # as the client does with all if the connection is lost
            raise _lost_scheduler(self._client)
        with scheduler_errors(self._client):
            error = future.exception()
        if isinstance(error, KilledWorker):
            name = f"{escape(unit.file)}, bytes {unit.start:,} to {unit.stop:,}"
            raise WorkerError(f"dask: {name}: several workers died while they drew it; see their logs")
        if error is not None:
            raise error
        with scheduler_errors(self._client):
            finished: Finished[Any] = future.result()
        future.release()
        return finished

    @contextmanager
    def receive_progress(self, events: SimpleQueue[Any]) -> Iterator[None]:
        """Put (number of the unit, bytes drawn) into a queue when a worker reports them."""

        def receive(event: tuple[float, Any]) -> None:
            build, number, done = event[1]
            if build == self._assignment.build:
                events.put((number, done))

        with scheduler_errors(self._client):
            self._client.subscribe_topic(TOPIC, receive)
        try:
            yield
        finally:
            with suppress(Exception):
                self._client.unsubscribe_topic(TOPIC)

    def release(self) -> None:
        """Cancel unfinished units, and let the workers forget the build."""
        if self._client.status != "running":
            return
        with suppress(Exception):
            if self._futures:
                self._client.cancel([*self._futures], force=True)
            present = self.workers & set(self._client.nthreads())  # connecting to a lost one takes half a minute
            self._client.run(release, self._assignment.build, workers=[*present], on_error="ignore")


def list_workers(client: Client) -> list[str]:
    """Return the addresses of all workers. Raises WorkerError if there are none."""
    addresses = _list_addresses(client)
    if not addresses:
        raise WorkerError(f"dask: {scheduler_address(client)}: has no workers; start some with dask worker")
    return addresses


def scheduler_address(client: Client) -> str:
    """Return the address of a client's scheduler, for messages."""
    return escape(str(client.scheduler.address if client.scheduler else ""))


@contextmanager
def scheduler_errors(client: Client) -> Iterator[None]:
    """Turn the errors of a lost connection into a WorkerError."""
    try:
        yield
    except ParamgenError:
        raise
    except (OSError, RuntimeError) as error:
        raise _lost_scheduler(client) from error


def _list_addresses(client: Client) -> list[str]:
    with scheduler_errors(client):
        return list(client.nthreads())


def _lost_scheduler(client: Client) -> WorkerError:
    return WorkerError(f"dask: lost the scheduler {scheduler_address(client)}; start it, and build again")


def _describe_version(found: Any) -> str:
    fix = f"install paramgen {VERSION[0]} on all workers"
    if isinstance(found, ImportError):
        return f"paramgen is not installed; {fix}"
    if isinstance(found, Exception):
        return f"{_describe_error(found)}; {fix}"
    names = ("paramgen", "stream")
    wanted, got = (
        ", ".join(f"{name} {part}" for name, part in zip(names, version, strict=True)) for version in (VERSION, found)
    )
    return f"must have {wanted}, got {escape(got)}; {fix}"


def _describe_error(error: Exception) -> str:
    if isinstance(error, ParamgenError):
        return str(error)
    return f"{type(error).__name__}: {show_text(str(error), 200)}"
