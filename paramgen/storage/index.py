"""The index of a folder's shards, as huggingface_hub writes it: the file of each tensor, and totals."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from paramgen.errors import MalformedFileError, file_errors
from paramgen.messages import must_be, show_path, show_text
from paramgen.storage.locations import read_bytes

INDEX_SUFFIX = ".safetensors.index.json"
MAX_INDEX_BYTES = 100_000_000
SHARD_NAME = re.compile(r"(?P<basename>.+)-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True, slots=True)
class Index:
    """An index that was read: its text, the file of each tensor, and the totals that it states, if any."""

    path: str
    text: bytes
    weight_map: Mapping[str, str]
    total_size: int | None
    total_parameters: int | None

    @property
    def files(self) -> list[str]:
        """The names of the files, sorted."""
        return sorted(set(self.weight_map.values()))


def index_text(weight_map: Mapping[str, str], total_size: int, total_parameters: int) -> str:
    """Return an index: two spaces, sorted keys, a final newline."""
    metadata = {"total_parameters": total_parameters, "total_size": total_size}
    document = {"metadata": metadata, "weight_map": weight_map}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_index(path: str) -> Index:
    """Read an index. Raises FileError if it cannot be read, and MalformedFileError if it is not one."""
    display_path = show_path(path)
    with file_errors(display_path):
        data = read_bytes(path, MAX_INDEX_BYTES + 1)
    if len(data) > MAX_INDEX_BYTES:
        raise MalformedFileError(f"{display_path}: must have at most {MAX_INDEX_BYTES:,} bytes; use fewer files")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedFileError(f"{display_path}: not an index: must be valid JSON") from None
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedFileError(f"{display_path}: not an index: needs a weight_map, from tensors to files")
    for name, file_name in weight_map.items():
        if not isinstance(file_name, str) or not is_file_name(file_name):
            problem = must_be("the name of a file beside the index", file_name)
            raise MalformedFileError(f"{display_path}: weight_map: {show_text(name)}: {problem}")
    metadata = document.get("metadata")
    totals = metadata if isinstance(metadata, dict) else {}
    return Index(path, data, weight_map, *(_total(totals, key) for key in ("total_size", "total_parameters")))


def is_file_name(name: str) -> bool:
    """Return True if a text is a file name without folders."""
    return name not in ("", ".", "..") and name == os.path.basename(name) and "\0" not in name and "\\" not in name


def _total(totals: Mapping[str, object], key: str) -> int | None:
    """Return a total of an index; some writers store it as a float."""
    total = totals.get(key)
    if isinstance(total, float) and total.is_integer():
        return int(total)
    return total if type(total) is int else None
