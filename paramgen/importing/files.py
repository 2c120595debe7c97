"""Models in files: safetensors files, folders, indexes, and headers saved as JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from paramgen.dtypes import DTYPES_BY_CODE
from paramgen.errors import FileError, MalformedFileError, check_path, file_errors
from paramgen.importing.fitting import fit_tensors
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.ordering import NOTE, restore_order
from paramgen.messages import must_be, show_path, show_text
from paramgen.progress import BytesCallback
from paramgen.storage.byte_source import is_url
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.header import MAX_HEADER_BYTES
from paramgen.storage.index import INDEX_SUFFIX
from paramgen.storage.locations import read_bytes

METADATA = "__metadata__"

_SUFFIX = re.compile(r"(\.safetensors(\.index\.json)?|\.header\.json|\.json)\Z")


def read_model(
    path: str | os.PathLike[str], *, fit: bool = False, progress: BytesCallback | None = None
) -> ImportedModel:
    """Return the model in a safetensors file, a folder, an index or a header.

    With `fit`, its data are read, and initializers describe them. Raises FileError if it cannot be read.
    """
    path = check_path(path)
    if is_header(path):
        if fit:
            raise FileError(f"{show_path(path)}: a header has no data to fit; choose a file of weights")
        tensors = tuple(read_header(path))
    else:
        with Checkpoint(path) as checkpoint:
            tensors = tuple(
                ImportedTensor(name, stored.entry.dtype.name, stored.entry.shape)
                for name, stored in checkpoint.tensors.items()
            )
            if fit:
                tensors = fit_tensors(checkpoint, tensors, progress)
                checkpoint.raise_if_changed()
    if not tensors:
        raise FileError(f"{show_path(path)}: has no tensors to import")
    source = os.path.basename(os.path.abspath(path))
    ordered = restore_order(tensors)
    notes = [NOTE] if ordered != tensors else []
    if fit:
        notes.insert(0, "Initial values have the mean and std, the bounds or the constant of the source's values.")
    return ImportedModel(_SUFFIX.sub("", source) or "model", source, ordered, notes=tuple(notes))


def is_header(path: str) -> bool:
    """Return True if a file is JSON other than an index, or only the first bytes of a safetensors file.

    The first bytes of a URL are not read: its name decides.
    """
    if path.endswith(INDEX_SUFFIX) or not (is_url(path) or os.path.isfile(path)):
        return False
    if path.endswith(".json") or is_url(path):
        return path.endswith(".json")
    with file_errors(show_path(path)), open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        has_header_only = 2 < length <= MAX_HEADER_BYTES and os.fstat(file.fileno()).st_size == 8 + length
        return has_header_only and b'"data_offsets"' in file.read(length)


def read_header(path: str) -> list[ImportedTensor]:
    """Read the tensors of a header. Raises MalformedFileError if it is not one."""
    display_path = show_path(path)
    tensors: dict[str, ImportedTensor] = {}
    ranges: list[tuple[int, int]] = []
    for name, entry in _read_pairs(path):
        where = f"{display_path}: {show_text(name, 200)}"
        if name == METADATA:
            continue
        if name in tensors:
            raise MalformedFileError(f"{where}: duplicate tensor; remove one")
        fields = dict(entry) if isinstance(entry, _Pairs) else {}
        if not {"dtype", "shape"} <= fields.keys() <= {"dtype", "shape", "data_offsets"}:
            raise MalformedFileError(f"{where}: not a tensor of a header; each has dtype, shape and data_offsets")
        tensors[name] = tensor = _read_tensor(name, fields, where)
        if "data_offsets" in fields:
            ranges.append(_read_offsets(tensor, fields, where))
    if ranges:
        _check_ranges(sorted(ranges), len(tensors), display_path)
    return list(tensors.values())


def _read_pairs(path: str) -> _Pairs:
    display_path = show_path(path)
    with file_errors(display_path):
        data = read_bytes(path, MAX_HEADER_BYTES + 9)
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") == len(data) - 8:
        data = data[8:]
    if len(data) > MAX_HEADER_BYTES:
        raise MalformedFileError(f"{display_path}: must have at most {MAX_HEADER_BYTES:,} bytes")
    try:
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise MalformedFileError(f"{display_path}: not a header: must be valid JSON") from None
    if not isinstance(pairs, _Pairs):
        raise MalformedFileError(f"{display_path}: not a header: must be a mapping of tensors")
    return pairs


def _check_ranges(ranges: Sequence[tuple[int, int]], tensors: int, display_path: str) -> None:
    if len(ranges) < tensors:
        raise MalformedFileError(f"{display_path}: data_offsets must be those of all tensors, or of none")
    if ranges[0][0] != 0 or any(before[1] != after[0] for before, after in pairwise(ranges)):
        raise MalformedFileError(f"{display_path}: data_offsets have holes or overlap; save the header again")


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of a JSON mapping, with duplicates."""


def _read_tensor(name: str, fields: Mapping[str, Any], where: str) -> ImportedTensor:
    code, shape = fields["dtype"], fields["shape"]
    dtype = DTYPES_BY_CODE.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise MalformedFileError(f"{where}: dtype {must_be('one of safetensors, such as BF16', code)}")
    if not _is_shape(shape):
        raise MalformedFileError(f"{where}: shape {must_be('a list of integers of at least 0', shape)}")
    return ImportedTensor(name, dtype.name, tuple(shape))


def _is_shape(shape: Any) -> bool:
    return type(shape) is list and all(type(size) is int and 0 <= size < 2**63 for size in shape)


def _read_offsets(tensor: ImportedTensor, fields: Mapping[str, Any], where: str) -> tuple[int, int]:
    offsets = fields["data_offsets"]
    nbytes = DTYPES_BY_CODE[fields["dtype"]].nbytes(prod(tensor.shape))
    if not (_is_shape(offsets) and len(offsets) == 2 and offsets[1] - offsets[0] == nbytes):
        raise MalformedFileError(f"{where}: data_offsets {must_be(f'two integers that differ by {nbytes:,}', offsets)}")
    return offsets[0], offsets[1]
