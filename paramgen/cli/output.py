"""JSON and YAML on standard output, and specs in files."""

import re
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

from paramgen.json_text import dump_json, escape_json

# Joining this many parts halves the time of a million tensors.
PARTS_PER_WRITE = 4096

_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def print_json(document: Any) -> None:
    """Print a JSON document."""
    print_json_parts([dump_json(document)])


def print_json_parts(document: Iterable[str]) -> None:
    """Print the parts of a document in UTF-8, whatever the terminal's encoding, with unprintable characters escaped."""
    parts = iter(document)
    while batch := "".join(islice(parts, PARTS_PER_WRITE)):
        sys.stdout.buffer.write(escape_json(batch).encode())
    sys.stdout.buffer.write(b"\n")


def print_yaml(text: str) -> None:
    """Print a spec's YAML in UTF-8, whatever the terminal's encoding, with unprintable characters escaped.

    The writer of YAML has quoted every text that is not a plain word, so an escape is valid wherever it is needed.
    """
    sys.stdout.buffer.write(_NON_ASCII.sub(_escape_in_yaml, text).encode())


def write_text(path: str, text: str, force: bool) -> None:
    """Write a spec to a file, which appears when it is complete; with `force` it replaces another one."""
    from paramgen.storage.writer import open_output

    data = text.encode()
    with open_output(path, len(data), force=force, may_replace=lambda path: False) as write:
        write(memoryview(data))


def _escape_in_yaml(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0].isprintable():
        return match[0]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
