"""JSON on standard output."""

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

from paramgen.json_text import dump_json, escape_json

# Joining this many parts halves the time of a million tensors.
PARTS_PER_WRITE = 4096


def print_json(document: Any) -> None:
    """Print a JSON document."""
    print_json_parts([dump_json(document)])


def print_json_parts(document: Iterable[str]) -> None:
    """Print the parts of a document in UTF-8, whatever the terminal's encoding, with unprintable characters escaped."""
    parts = iter(document)
    while batch := "".join(islice(parts, PARTS_PER_WRITE)):
        sys.stdout.buffer.write(escape_json(batch).encode())
    sys.stdout.buffer.write(b"\n")
