"""The reader of safetensors files: the official parser checks the header; data are read by ranges."""

from __future__ import annotations

import os
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from paramgen.dtypes import DTYPES_BY_CODE
from paramgen.errors import MAX_REASON_CHARS, FileError, MalformedFileError, check_path, file_errors
from paramgen.messages import show_path, show_text
from paramgen.storage.byte_source import read_range
from paramgen.storage.header import MAX_HEADER_BYTES, TensorEntry, find_duplicate
from paramgen.storage.locations import open_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARSER_PREFIX = "Error while deserializing header: "


class TensorFile:
    """An open safetensors file: `metadata`, and `entries` in the order of their data.

    Empty tensors at the same offset have no defined order.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = check_path(path)
        self.display_path = show_path(self.path)
        with file_errors(self.display_path):
            self._source = open_bytes(self.path)
            try:
                self._read_header()
            except BaseException:
                self.close()
                raise

    def _read_header(self) -> None:
        # Read before it is parsed: the parser maps the file, and an unreadable mapping ends the process by a signal.
        start = read_range(self._source, 0, min(8, self._source.size))
        length = int.from_bytes(start, "little")
        header = read_range(self._source, 8, max(0, min(length, MAX_HEADER_BYTES, self._source.size - 8)))
        self.data_start = 8 + length
        try:
            with (
                self._source.open_header(start, header) as path,
                safe_open(path, framework="np", backend="pread") as official,
            ):
                self.metadata: dict[str, str] = official.metadata() or {}
                self.entries = self._list_entries(official)
        except SafetensorError as error:
            reason = str(error).removeprefix(PARSER_PREFIX)
            raise self._malformed_error(show_text(reason, MAX_REASON_CHARS)) from None
        duplicate = find_duplicate(header, len(self.entries), self.metadata)
        if duplicate is not None:
            raise self._malformed_error(f"duplicate tensor {show_text(duplicate, MAX_REASON_CHARS)}")

    def _list_entries(self, official: safe_open) -> list[TensorEntry]:
        """List the tensors. Their offsets follow from order and sizes, because a valid file has no holes."""
        entries, start = [], 0
        for name in official.offset_keys():
            tensor = official.get_slice(name)
            dtype = DTYPES_BY_CODE.get(tensor.get_dtype())
            if dtype is None:
                raise FileError(
                    f"{self.display_path}: {show_text(name, MAX_REASON_CHARS)}: unknown dtype {tensor.get_dtype()}"
                )
            shape = tuple(tensor.get_shape())
            stop = start + dtype.nbytes(prod(shape))
            entries.append(TensorEntry(name, dtype, shape, start, stop))
            start = stop
        return entries

    def _malformed_error(self, reason: str) -> MalformedFileError:
        hint = "; paramgen plan shows a spec" if self.display_path.endswith((".yaml", ".yml")) else ""
        return MalformedFileError(f"{self.display_path}: not a safetensors file: {reason}{hint}")

    def read(self, entry: TensorEntry, start: int, stop: int) -> NDArray[Any]:
        """Return elements start … stop - 1 of a tensor as a one-dimensional array (for dtypes of at least a byte)."""
        import numpy as np

        data = np.empty(entry.dtype.nbytes(stop - start), np.uint8)
        self.read_into(entry, entry.dtype.nbytes(start), memoryview(data.data))
        return data.view(entry.dtype.numpy_dtype())

    def read_into(self, entry: TensorEntry, position: int, view: memoryview) -> None:
        """Fill a view with a tensor's bytes, beginning at byte `position` of the tensor."""
        with file_errors(self.display_path):
            self._source.read_into(self.data_start + entry.start + position, view)

    def read_header(self) -> bytes:
        """Return the bytes before the data."""
        with file_errors(self.display_path):
            return read_range(self._source, 0, self.data_start)

    def raise_if_changed(self) -> None:
        """Raise FileError if the file changed since it was opened."""
        with file_errors(self.display_path):
            self._source.raise_if_changed()

    def suspend(self) -> None:
        """Close the file until its data are read; a file that has changed by then raises FileError."""
        self._source.suspend()

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
