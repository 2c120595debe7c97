"""A client of the Language Server Protocol on standard input and output, as small as the tests need it."""

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 300.0
# The capabilities and settings of an editor that reaches no catalogue of schemas on the internet.
CAPABILITIES = {
    "textDocument": {
        "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
        "hover": {"contentFormat": ["markdown"]},
    },
    "workspace": {"configuration": True},
}
SETTINGS = {
    "schemaStore": {"enable": False},
    "kubernetesCRDStore": {"enable": False},
    "hover": True,
    "completion": True,
}


class LanguageClient:
    """An editor's side of a language server. It opens documents, and asks about a place in them."""

    def __init__(self, command: Sequence[str | Path], folder: Path, **settings: Any):
        self.settings = {"yaml": {**SETTINGS, "validate": True, **settings}}
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}
        self.requests = 0
        self.server = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.timer = threading.Timer(TIMEOUT, self.server.kill)  # ends the wait for an answer that never comes
        self.timer.daemon = True
        self.timer.start()
        self.request("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": CAPABILITIES})
        self.notify("initialized", {})
        self.notify("workspace/didChangeConfiguration", {"settings": self.settings})

    def close(self) -> None:
        """End the server."""
        self.timer.cancel()
        self.server.kill()
        self.server.communicate()

    def open(self, path: Path, text: str) -> list[dict[str, Any]]:
        """Open a document, and return its diagnostics."""
        uri = path.as_uri()
        self.diagnostics.pop(uri, None)
        self.notify(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}},
        )
        while uri not in self.diagnostics:
            self._handle(self._receive())
        return self.diagnostics[uri]

    def ask(self, what: str, path: Path, line: int, character: int) -> Any:
        """Return the answer to `completion` or `hover` at a place of an open document."""
        place = {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}
        return self.request(f"textDocument/{what}", place)

    def request(self, method: str, params: Any) -> Any:
        """Send a request and return its result."""
        self.requests += 1
        self._send({"id": self.requests, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self.requests and "method" not in message:
                return message["result"]
            self._handle(message)

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _handle(self, message: dict[str, Any]) -> None:
        """Answer a request of the server, and keep diagnostics."""
        method = message.get("method")
        if method == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "id" in message:
            result = None
            if method == "workspace/configuration":
                result = [self.settings.get(item.get("section"), {}) for item in message["params"]["items"]]
            self._send({"id": message["id"], "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.server.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self.server.stdout
        length = 0
        while line := self.server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self.server.stdout.read(length)
        assert body, f"the language server ended or did not answer within {TIMEOUT:.0f} s"
        return json.loads(body)  # type: ignore[no-any-return]
