"""URLs without an S3 server: files in memory, HTTP servers, options, and messages without credentials."""

import importlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT, TINY
from snippets import snippets

import paramgen
from paramgen.cli.options import nest_storage_options
from paramgen.messages import redact_urls, show_path
from paramgen.storage.byte_source import is_url, storage_options, use_storage_options
from paramgen.threads import run_threads

remote = pytest.mark.remote("fsspec")

SPEC = """
files: {config.json: {a: 1}}
operations: [{name: x, repeat: 4, type: custom, parameters: {w: {shape: [1000], initializer: gaussian}}}]
"""


@pytest.fixture
def memory() -> Iterator[Any]:
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "model.yaml"
    path.write_text(SPEC)
    return str(path)


@remote
def test_folder_in_memory_equals_a_local_one(memory: Any, spec: str, tmp_path: Path) -> None:
    local = paramgen.build(spec, f"{tmp_path}/local/", max_shard_size="8KB")
    result = paramgen.build(spec, "memory://run/", max_shard_size="8KB")
    assert result.sha256 == local.sha256
    stored = {path.rpartition("/")[2]: memory.cat_file(path) for path in memory.find("run")}
    assert stored == {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert paramgen.verify("memory://run/").holds and paramgen.check("memory://run").sound
    assert paramgen.diff("memory://run/", f"{tmp_path}/local/").equal


@remote
def test_obsolete_shards_are_removed(memory: Any, spec: str) -> None:
    paramgen.build(spec, "memory://run/", max_shard_size="4KB")
    paramgen.build(spec, "memory://run/")
    assert sorted(path.rpartition("/")[2] for path in memory.find("run")) == ["config.json", "model.safetensors"]


@remote
@pytest.mark.parametrize("target", ["memory://run/model.safetensors", "memory://run/"])
def test_failed_build_changes_nothing(memory: Any, spec: str, target: str) -> None:
    paramgen.build(spec, target, max_shard_size=None)
    before = {path: memory.cat_file(path) for path in memory.find("")}

    def fail(count: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        paramgen.build(spec, target, progress=fail)
    with pytest.raises(paramgen.DigestError):
        paramgen.build(spec, target, expect="0" * 64)
    assert {path: memory.cat_file(path) for path in memory.find("")} == before


@remote
def test_foreign_files_are_kept(memory: Any, spec: str) -> None:
    memory.pipe_file("run/model.safetensors", b"foreign")
    for target in ("memory://run/model.safetensors", "memory://run/"):
        with pytest.raises(paramgen.UsageError, match="exists and was not written by paramgen"):
            paramgen.build(spec, target)
    assert memory.cat_file("run/model.safetensors") == b"foreign"


@remote
def test_file_that_appears_during_the_build_is_kept(memory: Any, spec: str) -> None:
    def appear(count: int) -> None:
        memory.pipe_file("run/model.safetensors", b"foreign")

    with pytest.raises(paramgen.UsageError, match="another program changed this file during the build"):
        paramgen.build(spec, "memory://run/model.safetensors", progress=appear)
    assert memory.cat_file("run/model.safetensors") == b"foreign"


@remote
@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_truncated_file_is_reported(memory: Any, spec: str, length: int) -> None:
    paramgen.build(spec, "memory://model.safetensors")
    memory.pipe_file("model.safetensors", memory.cat_file("model.safetensors")[:length])
    with pytest.raises(paramgen.FileError, match=r"memory://model\.safetensors: not a safetensors file"):
        paramgen.verify("memory://model.safetensors")


@remote
def test_documented_python_runs(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the section Python of docs/how-to/remote.md."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.yaml").write_text(TINY)
    page = snippets(ROOT / "docs" / "how-to" / "remote.md")
    (code,) = (snippet.text for snippet in page if snippet.language == "python")
    exec(code, {})


class RangeHandler(SimpleHTTPRequestHandler):
    """A server that answers ranges; its base class ignores them."""

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """Return the address of a server of tmp_path with a handler."""
    servers = []

    def start(handler: type[SimpleHTTPRequestHandler]) -> str:
        quiet = type("Quiet", (handler,), {"log_message": lambda *arguments: None})
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(tmp_path)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.remote("fsspec", "aiohttp")
def test_http_is_read(spec: str, serve: Any, tmp_path: Path) -> None:
    paramgen.build(spec, tmp_path / "model.safetensors")
    url = f"{serve(RangeHandler)}/model.safetensors"
    assert paramgen.verify(url).holds
    with pytest.raises(paramgen.FileError, match="cannot upload in parts to http://; choose s3://"):
        paramgen.build(spec, url)


@pytest.mark.remote("fsspec", "aiohttp")
def test_server_without_ranges_is_refused(spec: str, serve: Any, tmp_path: Path) -> None:
    paramgen.build(spec, tmp_path / "model.safetensors")
    with pytest.raises(paramgen.FileError, match="range"):
        paramgen.verify(f"{serve(SimpleHTTPRequestHandler)}/model.safetensors")


@pytest.mark.parametrize("missing", ["fsspec", pytest.param("s3fs", marks=remote)])
def test_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "s3fs":
        registry = importlib.import_module("fsspec.registry")
        monkeypatch.delitem(registry._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.verify("s3://models/model.safetensors")
    fix = "run pip install 'paramgen[remote]'"
    assert str(caught.value) == f"s3://models/model.safetensors: s3:// needs the extra remote; {fix}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a?versionId=1", "s3://bucket/a?***"),
        ("https://user:secret@host/x", "https://***@host/x"),
        ('endpoint "http://127.0.0.1:9/x"', 'endpoint "http://127.0.0.1:9/x"'),
        ("s3://bucket/mail@home", "s3://bucket/mail@home"),
        ("which? no URL", "which? no URL"),
    ],
)
def test_credentials_of_urls_are_not_shown(text: str, expected: str) -> None:
    assert redact_urls(text) == show_path(text) == expected


def test_credentials_are_not_shown_in_long_texts_or_names() -> None:
    assert redact_urls("https://me@host/x?a=1&b=2 and s3://a/b?c=3") == "https://***@host/x?*** and s3://a/b?***"
    assert show_path("s3://bucket/a b?versionId=1 2") == "s3://bucket/a b?***"


@remote
def test_values_of_options_are_not_shown() -> None:
    from paramgen.storage.remote import Remote

    options = {"token": "hush-hush", "client_kwargs": {"endpoint_url": "http://host", "key": "x=http://deep"}}
    with use_storage_options({}), pytest.raises(paramgen.FileError) as caught:
        target = Remote("memory://x")
        target._options = options
        with target.errors():
            raise ValueError("hush-hush and x=http://deep at http://host\nsecond line")
    assert str(caught.value) == "memory://x: *** and *** at http://host second line"


def test_options_of_the_command_line_nest() -> None:
    parsed = [(["key"], "a"), (["client_kwargs", "endpoint_url"], "b"), (["client_kwargs", "verify"], False)]
    assert nest_storage_options(parsed) == {"key": "a", "client_kwargs": {"endpoint_url": "b", "verify": False}}
    assert nest_storage_options(None) is None


def test_options_hold_inside_the_block_and_its_threads() -> None:
    seen: list[Any] = []
    thread = [lambda: seen.append(storage_options.get())]
    with use_storage_options({"key": 1}), use_storage_options(None), run_threads(thread, lambda: None):
        pass
    assert seen == [{"key": 1}] and storage_options.get() == {}


@pytest.mark.parametrize(
    ("path", "expected"), [("s3://a/b", True), ("a/b", False), ("./s3://a", False), ("C:/a", False)]
)
def test_is_url(path: str, expected: bool) -> None:
    assert is_url(path) is expected
