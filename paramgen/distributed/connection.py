"""Connections to clusters: an address, a number of local processes, or a client that the caller has."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from paramgen.distributed.addresses import parse_address
from paramgen.errors import UsageError, WorkerError
from paramgen.execution import LocalExecutor, OpenExecutor
from paramgen.messages import escape, must_be
from paramgen.threads import available_cpus

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

CONNECT_SECONDS = 5
# Workers log to the terminal; they read this variable before any setting of the parent.
LOCAL_SETTINGS = {"distributed.nanny.pre-spawn-environ": {"DASK_LOGGING__DISTRIBUTED": "critical"}}


@contextmanager
def connect_executor(dask: str | Client | None) -> Iterator[OpenExecutor]:
    """Yield what makes the executor of a build: threads of this process, or the workers of a cluster.

    Raises UsageError for another text, or if Dask is not installed, and WorkerError if the scheduler cannot be reached.
    """
    if dask is None:
        yield LocalExecutor
        return
    address = None
    if isinstance(dask, str):
        try:
            address = parse_address(dask)
        except ValueError as error:
            raise UsageError(f"dask: {error}") from None
    try:
        import distributed
    except ImportError:
        raise UsageError("dask: needs the extra dask; run pip install 'paramgen[dask]'") from None
    from paramgen.distributed.executor import DaskExecutor

    if address is None:
        if not isinstance(dask, distributed.Client):
            raise UsageError(f"dask: {must_be('an address, local:N or a distributed.Client', dask)}")
        yield partial(DaskExecutor, dask)
        return
    with _start_cluster(address) if isinstance(address, int) else nullcontext(address) as scheduler:
        try:
            if isinstance(scheduler, str):
                _ask_scheduler(scheduler)
            client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # TLS, UCX, and servers that are not schedulers, raise errors of many classes
            raise WorkerError(
                f"dask: {escape(str(address))}: cannot reach the scheduler; check the address, or run dask scheduler"
            ) from error
        try:
            yield partial(DaskExecutor, client)
        finally:
            client.close(timeout=CONNECT_SECONDS)


def _ask_scheduler(address: str) -> None:
    """Raise an error if no scheduler answers in time. A client would wait for its first answer forever."""
    from distributed import Security, rpc

    async def ask() -> None:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            await scheduler.identity(n_workers=0)

    with ThreadPoolExecutor(1) as pool:  # the caller may run an event loop, as notebooks do
        pool.submit(lambda: asyncio.run(asyncio.wait_for(ask(), CONNECT_SECONDS))).result()


@contextmanager
def _start_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start a scheduler, and worker processes that share this machine's CPUs."""
    import dask
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory(prefix="paramgen-") as folder, dask.config.set(LOCAL_SETTINGS):
        with _block_interrupts():
            cluster = LocalCluster(
                n_workers=0,
                threads_per_worker=max(1, available_cpus() // workers),
                memory_limit=0,  # a build's memory is bounded; without limits, nothing pauses
                local_directory=folder,
                dashboard_address=":0",  # a free port; its default may be taken
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            # Workers that are starting when a signal comes are stopped before their folder is removed.
            cluster.scale(workers)
            cluster.wait_for_workers(workers)
            yield cluster


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Block SIGINT in threads that start inside the block, and in their processes: a terminal sends it to all."""
    resource_tracker.ensure_running()  # the first process would start it, which unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
