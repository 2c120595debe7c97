"""Builds to an S3 server and reads from it, over HTTP, with faults."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, Run
from loaders import INDEX, has_no_mixture
from s3 import BUCKET, RESET, S3, Fault, Request, run_s3
from s3rver import KEY, SECRET
from snippets import snippets

import paramgen
from paramgen.storage import upload

pytestmark = pytest.mark.remote

# Two parts of 16 MiB and a rest, or four shards and more.
SPEC = """
files: {config.json: {a: 1}}
operations: [{name: x, repeat: 5, type: custom, parameters: {w: {shape: [2000, 1000], initializer: gaussian}}}]
"""
SMALL = SPEC.replace("2000, 1000", "1000")
URL = f"s3://{BUCKET}/run/model.safetensors"
FOLDER = f"s3://{BUCKET}/run/"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with run_s3(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    server.reset()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return server


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "model.yaml"
    path.write_text(SPEC)
    return str(path)


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def test_file_has_the_bytes_of_a_local_build(s3: S3, spec: str, tmp_path: Path) -> None:
    local = tmp_path / "local.safetensors"
    expected = paramgen.build(spec, local, digest=True)
    seen: list[set[str]] = []
    s3.before = lambda request: seen.append(set(s3.objects))
    result = paramgen.build(spec, URL, digest=True, storage_options=s3.options)
    assert (result.sha256, result.files) == (expected.sha256, (URL,))
    assert s3.objects == {"run/model.safetensors": local.read_bytes()}
    assert s3.uploads == []
    kinds = [request.kind for request in s3.requests]
    assert kinds.count("UploadPart") == 3 and kinds[-1] == "CompleteMultipartUpload"
    assert seen[-1] == set()  # invisible until the last request


def test_commands_read_urls(s3: S3, spec: str, run: Run, tmp_path: Path) -> None:
    assert run("build", spec, "-o", "local.safetensors", "--quiet").returncode == 0
    assert run("build", spec, "-o", URL, "--quiet", *s3.arguments).stderr == ""
    for arguments in (["verify", URL], ["check", URL], ["diff", URL, "local.safetensors"], ["diff", URL, spec]):
        result = run(*arguments, *s3.arguments)
        assert (result.returncode, result.stderr) == (0, "")
    local, remote = (
        json.loads(run("inspect", path, "--stats", "--json", *s3.arguments).stdout)
        for path in ("local.safetensors", URL)
    )
    assert [tensor["stats"] for tensor in local["tensors"]] == [tensor["stats"] for tensor in remote["tensors"]]
    assert (
        run("import", URL, *s3.arguments).stdout.splitlines()[1:]
        == run("import", "local.safetensors").stdout.splitlines()[1:]
    )
    assert "repeat: 5" in run("inspect", URL, "--spec", *s3.arguments).stdout


def test_python_reads_urls(s3: S3, spec: str) -> None:
    options = s3.options
    paramgen.build(spec, FOLDER, max_shard_size="20MB", storage_options=options)
    sampled = paramgen.sample(spec)
    loaded = paramgen.load(FOLDER, storage_options=options)
    for number in range(5):
        assert np.array_equal(loaded["x"][str(number)]["w"], sampled["x"][str(number)]["w"])
    assert paramgen.verify(FOLDER, storage_options=options).holds
    assert paramgen.check(FOLDER, storage_options=options).sound
    assert paramgen.diff(FOLDER, paramgen.load_spec(spec), storage_options=options).equal
    assert paramgen.Spec.from_file(FOLDER, storage_options=options).seed == 0
    assert len(paramgen.import_file(FOLDER, fit=True, storage_options=options).plan.tensors) == 5


def test_header_costs_two_requests(s3: S3, spec: str, run: Run) -> None:
    paramgen.build(spec, URL, storage_options=s3.options)
    s3.requests.clear()
    assert run("inspect", URL, *s3.arguments).returncode == 0
    assert [(request.kind, request.range) for request in s3.requests] == [
        ("HeadObject", None),
        ("GetObject", "bytes=0-262143"),
    ]


def test_data_are_read_in_large_ranges(s3: S3, spec: str) -> None:
    paramgen.build(spec, URL, storage_options=s3.options)
    s3.requests.clear()
    assert paramgen.verify(URL, storage_options=s3.options).holds
    assert len(s3.requests) < 20  # 40 MB in four requests for each 16 MiB


def test_changed_object_is_reported(s3: S3, spec: str) -> None:
    paramgen.build(spec, URL, storage_options=s3.options)
    first = len(s3.requests)

    def replace(request: Request) -> None:
        if request.kind == "HeadObject" and len(s3.requests) > first + 2:
            s3.before = lambda request: None
            paramgen.build(spec, URL, storage_options=s3.options, force=True)

    s3.before = replace
    with pytest.raises(paramgen.FileError, match="the file changed while it was read; try again"):
        paramgen.verify(URL, storage_options=s3.options)


def test_folder_appears_at_the_end_and_its_index_last(s3: S3, small: str, tmp_path: Path) -> None:
    """A loader sees the old folder, the new one, or no index, before and after each request."""
    paramgen.build(small, FOLDER, max_shard_size="8KB", storage_options=s3.options)
    old = s3.objects
    local = paramgen.build(small, f"{tmp_path}/local/", max_shard_size="4KB")
    expected = {f"run/{path.name}": path.read_bytes() for path in (tmp_path / "local").iterdir()}
    mixtures = []

    def look(request: Request) -> None:
        objects = s3.objects
        names = {key.removeprefix("run/"): data for key, data in objects.items()}
        builds = ({key.removeprefix("run/"): data for key, data in build.items()} for build in (old, expected))
        if not has_no_mixture(names, *builds):
            mixtures.append(request)

    s3.requests.clear()
    s3.before = look
    result = paramgen.build(small, FOLDER, max_shard_size="4KB", storage_options=s3.options)
    assert result.sha256 == local.sha256 and mixtures == []
    assert s3.objects == expected and s3.uploads == [] and INDEX in {key[4:] for key in expected}
    changes = [(request.kind, request.key[4:]) for request in s3.requests if "Part" not in request.kind]
    changes = [change for change in changes if change[0] in ("DeleteObject", "CompleteMultipartUpload")]
    assert changes[0] == ("DeleteObject", INDEX)
    completed = [name for kind, name in changes if kind == "CompleteMultipartUpload"]
    assert completed[-1] == INDEX and len(completed) == len(expected)


def test_replacement_has_the_rules_of_local_files(s3: S3, small: str, run: Run) -> None:
    """Builds of paramgen are replaced; other files, and changed ones, only with --force."""
    build = ["build", small, "-o", URL, "--quiet", *s3.arguments]
    assert run(*build).returncode == run(*build, "--seed", "1").returncode == 0
    data = s3.objects["run/model.safetensors"]
    s3.put("run/model.safetensors", data[:-1] + bytes([data[-1] ^ 1]))
    result = run(*build)
    assert result.returncode == 2
    assert result.stderr == (
        f"{URL}: exists and was not written by paramgen, or was changed since; "
        "to replace it, use --force (force=True in Python)\n"
    )
    assert run(*build, "--force").returncode == 0
    folder = ["build", small, "-o", FOLDER, "--quiet", *s3.arguments]
    assert run(*folder).returncode == 0
    s3.put("run/config.json", b"{}")
    result = run(*folder)
    assert result.returncode == 2 and f"{FOLDER}config.json: exists" in result.stderr
    assert run(*folder, "--force").returncode == 0 and s3.uploads == []


def test_manifest_expectation_and_json(s3: S3, small: str, run: Run) -> None:
    manifest = f"s3://{BUCKET}/run/manifest.json"
    build = ["build", small, "-o", FOLDER, "--max-shard-size", "4KB", *s3.arguments]
    result = run(*build, "--manifest", manifest, "--json")
    digest = json.loads(result.stdout)["sha256"]
    assert digest == paramgen.digest(small, FOLDER, max_shard_size="4KB").sha256
    assert run("verify", FOLDER, "--manifest", manifest, *s3.arguments).returncode == 0
    before = s3.objects
    result = run(*build, "--expect", "0" * 64)
    assert (result.returncode, s3.objects, s3.uploads) == (1, before, [])
    assert run(*build, "--expect", digest).returncode == 0


@pytest.mark.parametrize(("first", "fault"), [(1, RESET), (2, 500), (3, 503), (4, 0.2)])
def test_build_survives_one_fault_of_each_request(s3: S3, small: str, first: int, fault: Fault) -> None:
    """A reset connection, an error of the server, or a slow answer is repeated or waited for.

    Every fourth request fails in turn, in each case another fourth.
    """
    options = {**s3.options, "config_kwargs": {"retries": {"max_attempts": 3}}}
    paramgen.build(small, FOLDER, max_shard_size="8KB", storage_options=s3.options)
    expected, count = s3.objects, len(s3.requests)
    assert count > 15
    for number in range(first, count + 1, 4):
        s3.reset()
        s3.fault = lambda request, number=number: fault if len(s3.requests) == number else None  # type: ignore[misc]
        paramgen.build(small, FOLDER, max_shard_size="8KB", storage_options=options)
        assert (s3.objects, s3.uploads) == (expected, [])


@pytest.mark.parametrize("kind", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject"])
def test_lasting_errors_leave_nothing(s3: S3, small: str, run: Run, kind: str) -> None:
    s3.fault = lambda request: 500 if request.kind == kind else None
    for target in (URL, FOLDER):
        result = run("build", small, "-o", target, "--quiet", *s3.arguments)
        assert (result.returncode, len(result.stderr.splitlines())) == (3, 1), result.stderr
        assert result.stderr.startswith("s3://") and SECRET not in result.stderr.replace("s3rver", "")
        assert (s3.objects, s3.uploads) == ({}, [])


def test_lost_answer_of_the_last_request_is_harmless(s3: S3, small: str) -> None:
    """The object is complete, so the build is, although a repeated request finds no upload."""

    def lose(request: Request) -> None:
        if request.kind == "CompleteMultipartUpload" and not s3.objects:
            s3.before = lambda request: None
            s3.put("run/model.safetensors", data)
            s3.fault = lambda request: 404 if request.kind == "CompleteMultipartUpload" else None

    paramgen.build(small, URL, storage_options=s3.options)
    data = s3.objects["run/model.safetensors"]
    s3.reset()
    s3.before = lose
    paramgen.build(small, URL, storage_options=s3.options)
    assert s3.objects == {"run/model.safetensors": data}


def test_failed_abort_is_reported(s3: S3, small: str, run: Run) -> None:
    s3.fault = lambda request: 500 if request.kind in ("CompleteMultipartUpload", "AbortMultipartUpload") else None
    result = run("build", small, "-o", URL, "--quiet", *s3.arguments)
    assert result.returncode == 3 and len(s3.uploads) == 1
    assert "abort its incomplete upload by hand, or by a rule of the store" in result.stderr.splitlines()[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("target", [URL, FOLDER])
def test_signal_aborts_the_upload(s3: S3, spec: str, target: str, number: int) -> None:
    """The request that is under way ends first, so that its part does not arrive after the abortion."""
    reached = threading.Event()

    def slow(request: Request) -> Fault:
        if request.kind != "UploadPart" or "partNumber=2" not in request.query:
            return None
        reached.set()
        return 0.5

    s3.fault = slow
    command = [sys.executable, "-m", "paramgen", "build", spec, "-o", target, "--quiet", *s3.arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert reached.wait(60)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, stderr) == (128 + number, "")
    assert (s3.objects, s3.uploads) == ({}, [])
    assert Counter(request.kind for request in s3.requests)["AbortMultipartUpload"] == 1


def test_errors_are_one_line(s3: S3, small: str, run: Run, tmp_path: Path, golden: object) -> None:
    wrong_key = ["--storage-option", "key=hush-hush-hush"]
    refused = [argument.replace(s3.endpoint, "http://127.0.0.1:9") for argument in s3.arguments]
    no_keys = [*s3.arguments[4:]]
    commands = {
        "missing bucket": ["build", small, "-o", "s3://absent/model.safetensors", *s3.arguments],
        "missing bucket of a folder": ["build", small, "-o", "s3://absent/run/", *s3.arguments],
        "missing object": ["inspect", f"s3://{BUCKET}/absent.safetensors", *s3.arguments],
        "missing folder": ["inspect", f"s3://{BUCKET}/absent/", *s3.arguments],
        "no credentials": ["build", small, "-o", URL, *no_keys],
        "wrong key": ["build", small, "-o", URL, *s3.arguments, *wrong_key],
        "refused": ["inspect", URL, *refused],
        "unknown scheme": ["inspect", "nowhere://bucket/model.safetensors"],
        "no upload": ["build", small, "-o", "https://host/model.safetensors?signature=hush-hush"],
        "no name": ["build", small, "-o", f"s3://{BUCKET}", *s3.arguments],
        "resume": ["build", small, "-o", FOLDER, "--resume", *s3.arguments],
        "bad option": ["inspect", URL, "--storage-option", "hush-hush"],
        "clash": ["inspect", URL, "--storage-option", "a=hush-hush", "--storage-option", "a.b=hush-hush"],
        "configuration": ["import", f"s3://{BUCKET}/run/config.json", *s3.arguments],
    }
    lines = []
    for name, arguments in commands.items():
        result = run(*arguments)
        assert result.stdout == "" and len(result.stderr.splitlines()) == 1, (name, result.stderr)
        assert result.returncode in (2, 3) and "hush" not in result.stderr
        text = result.stderr.strip().replace(s3.endpoint, "ENDPOINT")
        lines.append(f"{name}: {result.returncode}: {text}")
    assert (s3.objects, s3.uploads) == ({}, [])
    golden(lines)  # type: ignore[operator]


def test_store_without_multipart_is_refused(s3: S3, small: str, run: Run) -> None:
    s3.fault = lambda request: 501 if request.kind == "CreateMultipartUpload" else None
    result = run("build", small, "-o", URL, "--quiet", *s3.arguments)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1)
    assert (s3.objects, s3.uploads) == ({}, [])


def test_environment_gives_the_options(s3: S3, small: str, run: Run) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": s3.endpoint}
    assert run("build", small, "-o", URL, "--quiet", env=environment).stderr == ""
    assert run("verify", URL, env=environment).returncode == 0


@pytest.mark.parametrize("section", ["Build and check", "Credentials and options"])
def test_documented_session(s3: S3, section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the commands of docs/how-to/remote.md; only times may differ."""
    page = ROOT / "docs" / "how-to" / "remote.md"
    readme = snippets(ROOT / "README.md")
    (tmp_path / "model.yaml").write_text(next(snippet.text for snippet in readme if snippet.language == "yaml"))
    variables = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": s3.endpoint}
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    paramgen.build(tmp_path / "model.yaml", f"s3://{BUCKET}/run-1/", storage_options=s3.options)
    (session,) = (
        snippet.text for snippet in snippets(page) if (snippet.section, snippet.language) == (section, "console")
    )
    for command, expected in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert re.sub(r"in \d+\.\d\d s", "in 0.01 s", done.stdout + done.stderr) == expected


def test_part_size_grows_with_the_file() -> None:
    """S3 takes 10,000 parts."""
    assert 2**42 / max(upload.PART_BYTES, -(-(2**42) // upload.MAX_PARTS)) <= 10_000


@pytest.mark.dask
@pytest.mark.parametrize(("option", "size"), [(None, None), ("max_shard_size", "20MB")])
def test_workers_send_the_shards_of_a_folder(
    s3: S3, spec: str, small: str, tmp_path: Path, option: str | None, size: str | None
) -> None:
    """One file, and shards of several parts."""
    source = spec if size == "20MB" else small
    options = {option: size} if option else {}
    local = paramgen.build(source, f"{tmp_path}/local/", **options)  # type: ignore[arg-type]
    result = paramgen.build(source, FOLDER, dask="local:2", storage_options=s3.options, **options)  # type: ignore[arg-type]
    expected = {f"run/{path.name}": path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert (result.sha256, s3.objects, s3.uploads) == (local.sha256, expected, [])
    assert paramgen.verify(FOLDER, dask="local:2", storage_options=s3.options).holds


@pytest.mark.dask
@pytest.mark.parametrize("kind", ["UploadPart", "CompleteMultipartUpload"])
def test_workers_leave_nothing_on_an_error(s3: S3, small: str, run: Run, kind: str) -> None:
    s3.fault = lambda request: 500 if request.kind == kind else None
    command = ["build", small, "-o", FOLDER, "--max-shard-size", "4KB", "--dask", "local:2", "--quiet", *s3.arguments]
    result = run(*command)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1), result.stderr
    assert result.stderr.startswith("s3://") and SECRET not in result.stderr.replace("s3rver", "")
    assert (s3.objects, s3.uploads) == ({}, [])


@pytest.mark.dask
def test_workers_cannot_share_one_object(s3: S3, small: str, run: Run) -> None:
    result = run("build", small, "-o", URL, "--dask", "local:2", "--quiet", *s3.arguments)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
