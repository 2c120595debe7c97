"""The reader of safetensors files: the official parser checks the header; data are read by ranges."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from paramgen.dtypes import DTYPES_BY_CODE
from paramgen.errors import FileError, MalformedFileError
from paramgen.formatting import escape, show_text
from paramgen.storage.header import MAX_HEADER_BYTES, TensorEntry, find_duplicate

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_REASON_CHARS = 200
PREFIX = "Error while deserializing header: "


class TensorFile:
    """An open safetensors file: `metadata`, and `entries` in the order of their data.

    Tensors without elements are in no particular order among those at the same offset.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        self.shown = escape(self.path) or "''"
        with self._as_file_error():
            self._file = open(self.path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
        try:
            with self._as_file_error():
                self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        descriptor = self._file.fileno()
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileError(f"{self.shown}: must be a regular file")
        # Read before it is parsed: the parser maps the file, and an unreadable mapping ends the process by a signal.
        length = int.from_bytes(self._file.read(8), "little")
        header = self._file.read(min(length, MAX_HEADER_BYTES))
        self.data_start = 8 + length
        # /dev/fd leads to the file that was opened and checked, whatever its path leads to by now. What remains is a
        # file that shrinks while it is parsed.
        with safe_open(f"/dev/fd/{descriptor}", framework="np", backend="pread") as official:
            self.metadata: dict[str, str] = official.metadata() or {}
            self.entries = self._list_entries(official)
        duplicate = find_duplicate(header, len(self.entries), self.metadata)
        if duplicate is not None:
            raise self._malformed(f"duplicate tensor {show_text(duplicate, MAX_REASON_CHARS)}")

    def _list_entries(self, official: safe_open) -> list[TensorEntry]:
        """List the tensors with their offsets, which follow from order and sizes: a valid file has no holes."""
        entries, begin = [], 0
        for name in official.offset_keys():
            tensor = official.get_slice(name)
            dtype = DTYPES_BY_CODE.get(tensor.get_dtype())
            if dtype is None:
                raise FileError(
                    f"{self.shown}: {show_text(name, MAX_REASON_CHARS)}: unknown dtype {tensor.get_dtype()}"
                )
            shape = tuple(tensor.get_shape())
            end = begin + prod(shape) * dtype.bits // 8
            entries.append(TensorEntry(name, dtype, shape, begin, end))
            begin = end
        return entries

    @contextmanager
    def _as_file_error(self) -> Iterator[None]:
        try:
            yield
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"{self.shown}: {error.strerror or show_text(str(error), MAX_REASON_CHARS)}") from None
        except SafetensorError as error:
            raise self._malformed(show_text(str(error).removeprefix(PREFIX), MAX_REASON_CHARS)) from None

    def _malformed(self, reason: str) -> MalformedFileError:
        return MalformedFileError(f"{self.shown}: not a safetensors file: {reason}")

    def read(self, entry: TensorEntry, start: int, stop: int) -> NDArray[Any]:
        """Return elements start … stop - 1 of a tensor as a one-dimensional array (for dtypes of at least a byte)."""
        import numpy as np

        width = entry.dtype.bits // 8
        data = np.empty((stop - start) * width, np.uint8)
        self.read_into(entry, start * width, memoryview(data.data))
        return data.view(entry.dtype.numpy_dtype())

    def read_into(self, entry: TensorEntry, position: int, view: memoryview) -> None:
        """Fill a view with a tensor's bytes from a position on."""
        with self._as_file_error():
            self._file.seek(self.data_start + entry.begin + position)
            while view:
                count = self._file.readinto(view)
                if not count:
                    raise FileError(f"{self.shown}: the file is truncated; copy or download it again")
                view = view[count:]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe is refused, not waited for
