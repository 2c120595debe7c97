"""An S3 server (npm's s3rver, which keeps objects on disk) behind a proxy that records requests and injects faults."""

import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from s3rver import KEY, SECRET, install_s3rver, run_s3rver

BUCKET = "models"
RESET = "reset"
Fault = int | float | str | None


class Request(NamedTuple):
    """A request: its method, the object's key, its query, and the range that it asks for."""

    method: str
    key: str
    query: str
    range: str | None

    @property
    def kind(self) -> str:
        """The operation, as S3 names it."""
        if self.method == "POST":
            return "CreateMultipartUpload" if "uploads" in self.query else "CompleteMultipartUpload"
        if self.method == "DELETE":
            return "AbortMultipartUpload" if "uploadId" in self.query else "DeleteObject"
        if self.method == "PUT":
            return "UploadPart" if "partNumber" in self.query else "PutObject"
        return {"HEAD": "HeadObject", "GET": "GetObject" if self.key else "ListObjects"}[self.method]


@dataclass
class S3:
    """A running server. `fault(request)` returns a status, RESET, or seconds to wait before the answer."""

    folder: Path
    port: int
    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[Request], Fault] = lambda request: None
    before: Callable[[Request], None] = lambda request: None

    @property
    def options(self) -> dict[str, Any]:
        """The storage options of this server, with few retries."""
        return {
            "key": KEY,
            "secret": SECRET,
            "client_kwargs": {"endpoint_url": self.endpoint},
            "config_kwargs": {"retries": {"max_attempts": 1}},
        }

    @property
    def arguments(self) -> list[str]:
        """The same on the command line."""
        options = [f"key={KEY}", f"secret={SECRET}", f"client_kwargs.endpoint_url={self.endpoint}"]
        options.append("config_kwargs.retries.max_attempts=1")
        return [text for option in options for text in ("--storage-option", option)]

    @property
    def objects(self) -> dict[str, bytes]:
        """The objects that a client sees, by key."""
        bucket = self.folder / BUCKET
        suffix = "._S3rver_object"
        paths = [path for path in bucket.rglob(f"*{suffix}") if path.is_file()]
        return {str(path.relative_to(bucket)).removesuffix(suffix): path.read_bytes() for path in paths}

    @property
    def uploads(self) -> list[str]:
        """The identifiers of incomplete multipart uploads."""
        folder = self.folder / BUCKET / "._S3rver_uploads"
        return sorted(os.listdir(folder)) if folder.exists() else []

    def put(self, key: str, data: bytes) -> None:
        """Store an object as another program would."""
        import s3fs

        fs = s3fs.S3FileSystem(**self.options, use_listings_cache=False, skip_instance_cache=True)
        fs.pipe_file(f"{BUCKET}/{key}", data)

    def reset(self) -> None:
        """Remove all objects, requests and faults."""
        for path in (self.folder / BUCKET).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.requests.clear()
        self.fault = lambda request: None
        self.before = lambda request: None

    def abort(self, query: str) -> int:
        """Abort an upload, which s3rver does not implement."""
        (upload_id,) = parse_qs(query)["uploadId"]
        folder = self.folder / BUCKET / "._S3rver_uploads" / upload_id
        if not folder.exists():
            return 404
        shutil.rmtree(folder)
        return 204


@contextmanager
def run_s3(folder: Path) -> Iterator[S3]:
    """Run a server with an empty bucket in a folder, and a proxy in front of it; skip the test without npm."""
    try:
        install_s3rver()
    except RuntimeError as error:
        pytest.skip(str(error))
    with run_s3rver(folder, BUCKET) as port:
        s3 = S3(folder, port)
        proxy = Proxy(s3)
        s3.endpoint = f"http://127.0.0.1:{proxy.server_port}"
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield s3
        finally:
            proxy.shutdown()
            proxy.server_close()


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, s3: S3):
        super().__init__(("127.0.0.1", 0), Handler)
        self.s3 = s3


class Handler(BaseHTTPRequestHandler):
    """Forwards a request to the server."""

    server: Proxy
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        key = parts.path.removeprefix(f"/{BUCKET}").removeprefix("/")
        request = Request(self.command, key, parts.query, self.headers.get("Range"))
        s3 = self.server.s3
        s3.requests.append(request)
        s3.before(request)
        fault = s3.fault(request)
        if fault == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif isinstance(fault, int):
            self.answer(fault, {}, b"")
        elif request.kind == "AbortMultipartUpload":
            self.answer(s3.abort(request.query), {}, b"")
        else:
            time.sleep(float(fault or 0))
            self.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.s3.port, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        self.answer(response.status, headers, response.read())
        connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in ("connection", "keep-alive", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = headers.get("content-length") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(Handler, f"do_{method}", Handler.forward)
