"""Builds by real worker processes: the same bytes, whatever happens to workers, the scheduler and the client."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import Run

import paramgen
from paramgen.errors import UsageError, WorkerError
from paramgen.planning.streams import STREAM_VERSION

pytestmark = [
    pytest.mark.dask,
    pytest.mark.slow,
    # distributed leaves sockets of a scheduler that was killed to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SPEC = """
seed: 5
operations:
  - {name: a, repeat: 6, type: custom, parameters: {w: {shape: [4000, 1000], initializer: gaussian}}}
  - {name: b, repeat: 2, type: custom, parameters: {w: {shape: [300, 200], initializer: orthogonal}}}
"""

# Code that a worker runs before it starts; Dask runs it twice.
SLOW = """
import functools, time
from paramgen.distributed import worker

def run_slowly(run_unit, *arguments):
    open({marker!r}, "w").close()
    time.sleep({seconds})
    return run_unit(*arguments)

if not isinstance(worker.run_unit, functools.partial):
    worker.run_unit = functools.partial(run_slowly, worker.run_unit)
"""
OTHER_VERSION = "import paramgen; paramgen.__version__ = '0.0.1'"
VERSIONS = f"paramgen {paramgen.__version__}, stream {STREAM_VERSION}"
WITHOUT_PARAMGEN = "import sys; sys.modules['paramgen'] = None"


class Cluster:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path):
        from distributed import Client

        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.names: dict[int, str] = {}
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        wait_until(lambda: file.exists() and "tcp://" in file.read_text())
        self.address = json.loads(file.read_text())["address"]
        self.client = Client(self.address, set_as_default=False)

    def _start(self, kind: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [*prefix, sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *arguments]
        with (self.folder / f"{kind}{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_worker(
        self, preload: str = "", prefix: tuple[str, ...] = (), wait: bool = True
    ) -> subprocess.Popen[bytes]:
        """Start a worker of one thread; wait until the scheduler knows it."""
        name = f"worker{len(self.processes)}"
        options = ["--no-nanny", "--nthreads", "1", "--name", name, "--local-directory", str(self.folder)]
        if preload:
            path = self.folder / f"{name}.py"
            path.write_text(preload)
            options += ["--preload", str(path)]
        process = self._start("worker", self.address, *options, prefix=prefix)
        self.names[process.pid] = name
        if wait:
            wait_until(lambda: self.has(process))
        return process

    def has(self, process: subprocess.Popen[bytes]) -> bool:
        """Return True if the scheduler knows a worker."""
        workers = self.client.scheduler_info()["workers"].values()
        return self.names[process.pid] in [worker["name"] for worker in workers]

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker, and wait until the scheduler has noticed."""
        process.kill()
        process.wait(30)
        wait_until(lambda: not self.has(process))

    def close(self) -> None:
        self.client.close()
        for process in self.processes:
            process.kill()
            process.wait(30)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a cluster of two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        for _ in range(2):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Yield a cluster without workers."""
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file, a folder of shards, and their manifests, that threads of this process drew."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "spec.yaml").write_text(SPEC)
    paramgen.build(folder / "spec.yaml", folder / "x.safetensors", manifest=folder / "x.json")
    paramgen.build(folder / "spec.yaml", f"{folder}/shards/", max_shard_size="17MB", manifest=folder / "shards.json")
    return folder


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_workers_write_the_file_of_a_local_build(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    reported: list[int] = []
    result = paramgen.build(
        local / "spec.yaml",
        tmp_path / "x.safetensors",
        dask=cluster.address,
        manifest=tmp_path / "x.json",
        progress=reported.append,
    )
    assert read_folder(tmp_path) == {name: (local / name).read_bytes() for name in ("x.safetensors", "x.json")}
    assert sum(reported) == result.total_bytes
    assert result.device == "cpu"
    assert paramgen.build(local / "spec.yaml", tmp_path / "x.safetensors", dask=cluster.address).sha256 is None


def test_two_workers_write_the_shards_of_a_local_build(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        result = paramgen.build(
            local / "spec.yaml",
            f"{tmp_path}/shards/",
            max_shard_size="17MB",
            dask=client,
            manifest=tmp_path / "shards.json",
        )
        assert client.status == "running"
    assert read_folder(tmp_path / "shards") == read_folder(local / "shards")
    assert (tmp_path / "shards.json").read_bytes() == (local / "shards.json").read_bytes()
    assert len(result.files) == 6


def test_local_processes_write_the_same_file(local: Path, tmp_path: Path, run: Run) -> None:
    done = run("build", local / "spec.yaml", "-o", "x.safetensors", "--dask", "local:2", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read_folder(tmp_path) == {"x.safetensors": (local / "x.safetensors").read_bytes()}


@pytest.mark.parametrize("target", ["x.safetensors", "shards/"])
def test_a_worker_that_is_killed_is_replaced(cluster: Cluster, local: Path, tmp_path: Path, target: str) -> None:
    marker = tmp_path / "marker"
    doomed = cluster.start_worker(SLOW.format(marker=str(marker), seconds=600))

    def kill(count: int) -> None:
        if marker.exists() and doomed.poll() is None:
            doomed.kill()

    options: dict[str, Any] = {"max_shard_size": "17MB"} if target.endswith("/") else {}
    paramgen.build(local / "spec.yaml", f"{tmp_path}/{target}", dask=cluster.address, progress=kill, **options)
    assert doomed.wait(30) == -signal.SIGKILL
    marker.unlink()
    expected = read_folder(local / "shards") if options else {target: (local / target).read_bytes()}
    assert read_folder(tmp_path / "shards" if options else tmp_path) == expected


def test_a_slow_worker_and_one_that_joins_late(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    slow = cluster.start_worker(SLOW.format(marker=str(marker), seconds=3))
    late: list[subprocess.Popen[bytes]] = []

    def start_another(count: int) -> None:
        if not late:
            late.append(cluster.start_worker(wait=False))

    paramgen.build(local / "spec.yaml", tmp_path / "x.safetensors", dask=cluster.address, progress=start_another)
    assert marker.exists()
    assert (tmp_path / "x.safetensors").read_bytes() == (local / "x.safetensors").read_bytes()
    for process in (slow, *late):
        cluster.end(process)


def test_a_late_worker_of_another_version_is_left_out(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    slow = cluster.start_worker(SLOW.format(marker=str(tmp_path / "marker"), seconds=8))
    late: list[subprocess.Popen[bytes]] = []

    def start_another(count: int) -> None:
        if not late:
            late.append(cluster.start_worker(OTHER_VERSION))

    with pytest.warns(UserWarning, match=r"dask: worker tcp://.* got paramgen 0\.0\.1, .* \(it is not used\)"):
        paramgen.build(local / "spec.yaml", tmp_path / "x.safetensors", dask=cluster.address, progress=start_another)
    assert (tmp_path / "x.safetensors").read_bytes() == (local / "x.safetensors").read_bytes()
    for process in (slow, *late):
        cluster.end(process)


@pytest.mark.parametrize("target", ["x.safetensors", "shards/"])
@pytest.mark.parametrize(
    ("preload", "problem"),
    [
        (OTHER_VERSION, f"must have {VERSIONS}, got {VERSIONS.replace(paramgen.__version__, '0.0.1')}; "),
        (WITHOUT_PARAMGEN, "paramgen is not installed; "),
    ],
    ids=["other version", "without paramgen"],
)
def test_another_version_is_refused(
    cluster: Cluster, local: Path, tmp_path: Path, preload: str, problem: str, target: str
) -> None:
    other = cluster.start_worker(preload)
    with pytest.raises(WorkerError) as caught:
        paramgen.build(local / "spec.yaml", f"{tmp_path}/{target}", dask=cluster.address)
    cluster.end(other)
    address, message = str(caught.value).removeprefix("dask: worker ").split(": ", 1)
    assert address.startswith("tcp://")
    assert message == f"{problem}install paramgen {paramgen.__version__} on all workers"
    assert list(tmp_path.iterdir()) == []


def test_workers_that_do_not_share_the_path_are_refused_before_drawing(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    """Give a worker an empty file system of its own at the path."""
    target = tmp_path / "target"
    target.mkdir()
    prefix = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {target} && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not permitted here")
    (target / "x.safetensors").write_bytes((local / "x.safetensors").read_bytes())
    other = cluster.start_worker(prefix=prefix)
    drawn: list[int] = []
    for path in (target / "x.safetensors", f"{target}/"):
        with pytest.raises(WorkerError, match=r"dask: worker tcp://.*: does not share .*/target/.*; use a path that"):
            paramgen.build(local / "spec.yaml", path, dask=cluster.address, progress=drawn.append)
    with pytest.raises(WorkerError, match="does not share"):
        paramgen.verify(target / "x.safetensors", dask=cluster.address)
    cluster.end(other)
    assert sum(drawn) == 0
    assert read_folder(target) == {"x.safetensors": (local / "x.safetensors").read_bytes()}


def test_a_lost_scheduler_leaves_the_old_file(own_cluster: Cluster, local: Path, tmp_path: Path) -> None:
    marker = own_cluster.folder / "marker"
    own_cluster.start_worker(SLOW.format(marker=str(marker), seconds=600))
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes((local / "x.safetensors").read_bytes())

    def kill(count: int) -> None:
        if marker.exists():
            own_cluster.scheduler.kill()

    with pytest.raises(WorkerError, match=r"dask: lost the scheduler tcp://.*; start it, and build again"):
        paramgen.build(
            paramgen.load_spec(local / "spec.yaml", seed=6),
            folder / "x.safetensors",
            dask=own_cluster.address,
            progress=kill,
        )
    assert read_folder(folder) == {"x.safetensors": (local / "x.safetensors").read_bytes()}


def test_resume_after_the_client_was_killed(own_cluster: Cluster, local: Path, tmp_path: Path, run: Run) -> None:
    own_cluster.start_worker(SLOW.format(marker=str(own_cluster.folder / "marker"), seconds=0.5))
    target = tmp_path / "target"
    build = ["build", str(local / "spec.yaml"), "-o", f"{target}/", "--max-shard-size", "17MB"]
    client = subprocess.Popen([sys.executable, "-m", "paramgen", *build, "--dask", own_cluster.address])
    staging = target / ".paramgen-resume"
    wait_until(lambda: (staging / "digests").exists() and len((staging / "digests").read_text()) > 100)
    client.kill()
    client.wait(30)
    finished = (staging / "digests").read_text().count("\n")
    done = run(*build, "--resume", "--dask", own_cluster.address)
    assert done.returncode == 0, done.stderr
    assert 0 < finished < 6
    assert read_folder(target) == read_folder(local / "shards")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_units_and_removes_everything(
    own_cluster: Cluster, local: Path, tmp_path: Path, number: int
) -> None:
    own_cluster.start_worker()
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "operations: [{name: x, type: custom, parameters: {w: {shape: [2000000, 1000], initializer: gaussian}}}]"
    )
    target = tmp_path / "target"
    target.mkdir()
    command = [sys.executable, "-m", "paramgen", "build", str(spec), "-o", str(target / "x"), "--dask"]
    client = subprocess.Popen([*command, own_cluster.address], stderr=subprocess.PIPE)
    wait_until(lambda: any(path.stat().st_size > 10**9 for path in target.iterdir()))
    time.sleep(1)
    client.send_signal(number)
    _, stderr = client.communicate(timeout=60)
    assert (client.returncode, stderr) == (128 + number, b"")
    assert list(target.iterdir()) == []
    paramgen.build(local / "spec.yaml", target / "x", dask=own_cluster.address)  # the worker is free again


def test_verify_finds_a_flipped_byte(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    assert paramgen.verify(local / "shards", dask=cluster.address).holds
    path = tmp_path / "x.safetensors"
    data = bytearray((local / "x.safetensors").read_bytes())
    data[70_000_001] ^= 1
    path.write_bytes(data)
    found = paramgen.verify(path, dask=cluster.address)
    assert (found.holds, found.differing) == (False, 1)
    assert found == paramgen.verify(path)


def test_a_wrong_digest_leaves_no_file(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    with pytest.raises(paramgen.DigestError):
        paramgen.build(local / "spec.yaml", tmp_path / "x", dask=cluster.address, expect="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_a_worker_is_raised_as_it_is(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    with pytest.raises(paramgen.DeviceError, match="gpu"):
        paramgen.build(local / "spec.yaml", tmp_path / "x", dask=cluster.address, device="gpu:99")
    assert list(tmp_path.iterdir()) == []


def test_clusters_that_cannot_be_used(own_cluster: Cluster, local: Path, tmp_path: Path, run: Run, golden: Any) -> None:
    with pytest.raises(WorkerError) as caught:
        paramgen.build(local / "spec.yaml", f"{tmp_path}/target/", dask=own_cluster.address)
    done = run("build", local / "spec.yaml", "-o", "target/", "--dask", "127.0.0.1:9", "--quiet")
    assert done.returncode == 3
    assert os.listdir(tmp_path) == ["cluster"]
    golden(str(caught.value).replace(own_cluster.address, "tcp://scheduler:8786"), done.stderr)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "another server"])
def test_a_server_that_is_not_a_scheduler(local: Path, run: Run, answer: bytes) -> None:
    connections = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connections.append(server.accept()[0])
                connections[-1].sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = run("build", local / "spec.yaml", "--dask", address, "--quiet")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in connections:
        connection.close()
    assert done.returncode == 3
    assert done.stderr.startswith(f"dask: {address}: cannot reach the scheduler; ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_local_workers_start(local: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "paramgen", "build", local / "spec.yaml", "--dask", "local:2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: any(tmp_path.glob("paramgen-*/dask-scratch-space")))
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, "")
    assert not [*tmp_path.glob("paramgen-*"), *tmp_path.glob("*.safetensors")]


def test_tls_without_certificates(local: Path, run: Run) -> None:
    done = run("build", local / "spec.yaml", "--dask", "tls://127.0.0.1:9", "--quiet")
    assert done.returncode == 3
    assert done.stderr.startswith("dask: tls://127.0.0.1:9: cannot reach the scheduler; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["local:0", "local:many", "scheduler", "tcp://:8786", "host:port", ""])
def test_texts_that_are_not_addresses(local: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="dask: must be HOST:PORT of a scheduler, or local:N with N from 1 to 1,024"):
        paramgen.build(local / "spec.yaml", tmp_path / "x", dask=text)


def test_options_that_do_not_fit(local: Path, tmp_path: Path, run: Run, golden: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    usage = run("build", local / "spec.yaml", "--dask", "local:0")
    stream = run("build", local / "spec.yaml", "-o", "-", "--dask", "local:2")
    assert (usage.returncode, stream.returncode) == (2, 2)
    errors = []
    for call in (
        lambda: paramgen.build(local / "spec.yaml", tmp_path / "pipe", dask="local:2"),
        lambda: paramgen.build(local / "spec.yaml", tmp_path / "x", dask=3),
        lambda: paramgen.verify(local / "x.safetensors", manifest=local / "x.json", dask="local:2"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        errors.append(caught.value)
    assert os.listdir(tmp_path) == ["pipe"]
    golden(usage.stderr, stream.stderr, *errors)


def test_the_message_without_the_extra(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"dask: needs the extra dask; run pip install 'paramgen\[dask\]'"):
        paramgen.build(local / "spec.yaml", tmp_path / "x", dask="local:2")
