"""The reader of safetensors files: the official parser checks the header; data are read by ranges."""

from __future__ import annotations

import os
import stat
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from paramgen.dtypes import DTYPES_BY_CODE
from paramgen.errors import MAX_REASON_CHARS, FileError, MalformedFileError, check_path, file_errors
from paramgen.messages import show_path, show_text
from paramgen.storage.header import MAX_HEADER_BYTES, TensorEntry, find_duplicate

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
            self._file = open(self.path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
            try:
                self._state = _state(self._file.fileno())
                self._read_header()
            except BaseException:
                self.close()
                raise

    def _read_header(self) -> None:
        descriptor = self._file.fileno()
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileError(f"{self.display_path}: must be a regular file; name a safetensors file")
        # Read before it is parsed: the parser maps the file, and an unreadable mapping ends the process by a signal.
        length = int.from_bytes(self._file.read(8), "little")
        header = self._file.read(min(length, MAX_HEADER_BYTES))
        self.data_start = 8 + length
        try:
            # /dev/fd leads to the file that was opened and checked, even if its path leads to another one by now.
            with safe_open(f"/dev/fd/{descriptor}", framework="np", backend="pread") as official:
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
        return MalformedFileError(f"{self.display_path}: not a safetensors file: {reason}")

    def read(self, entry: TensorEntry, start: int, stop: int) -> NDArray[Any]:
        """Return elements start … stop - 1 of a tensor as a one-dimensional array (for dtypes of at least a byte)."""
        import numpy as np

        data = np.empty(entry.dtype.nbytes(stop - start), np.uint8)
        self.read_into(entry, entry.dtype.nbytes(start), memoryview(data.data))
        return data.view(entry.dtype.numpy_dtype())

    def read_into(self, entry: TensorEntry, position: int, view: memoryview) -> None:
        """Fill a view with a tensor's bytes, beginning at byte `position` of the tensor."""
        with file_errors(self.display_path):
            self._seek(self.data_start + entry.start + position)
            self._fill(view)

    def _seek(self, position: int) -> None:
        if self._file.closed:
            self._reopen()
        self._file.seek(position)

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self._file.readinto(view)
            if not count:
                raise FileError(f"{self.display_path}: the file is truncated; copy or download it again")
            view = view[count:]

    def _reopen(self) -> None:
        self._file = open(self.path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
        if _state(self._file.fileno()) != self._state:
            raise FileError(f"{self.display_path}: the file changed while it was read; try again")

    def read_header(self) -> bytes:
        """Return the bytes before the data."""
        header = bytearray(self.data_start)
        with file_errors(self.display_path):
            self._seek(0)
            self._fill(memoryview(header))
        return bytes(header)

    def raise_if_changed(self) -> None:
        """Raise FileError if the file changed since it was opened."""
        with file_errors(self.display_path):
            if self._file.closed:
                self._reopen()
            if _state(self._file.fileno()) != self._state or _state(self.path) != self._state:
                raise FileError(f"{self.display_path}: the file changed while it was read; try again")

    def suspend(self) -> None:
        """Close the file until its data are read; a file that has changed by then raises FileError."""
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _state(file: int | str) -> tuple[int, ...]:
    """Return numbers of a file that change if it is written or replaced."""
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe is refused, not waited for
