"""JSON and YAML on standard output, and new files."""

import os
import re
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

from paramgen.errors import UsageError, check_path
from paramgen.json_text import dump_json, escape_json
from paramgen.messages import show_path

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


def _escape_in_yaml(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0].isprintable():
        return match[0]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def check_new_file(path: str, force: bool) -> None:
    """Raise UsageError if an output would replace a file: people edit them, so that none is known to be unchanged."""
    if os.path.isfile(check_path(path)) and not force:
        raise UsageError(f"{show_path(path)}: exists; choose another name, or replace it with --force")


def write_file(path: str, data: bytes, force: bool) -> None:
    """Write a file, which appears when it is whole."""
    from paramgen.storage.writer import open_output

    with open_output(path, len(data), force=force, may_replace=lambda path: False) as write:
        write(memoryview(data))
