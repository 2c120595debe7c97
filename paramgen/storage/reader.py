"""Reading a safetensors file: its header checked as the format demands, its data by ranges."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import TYPE_CHECKING, Any

from paramgen.errors import FileError, MalformedFileError
from paramgen.storage.header import Entry, MalformedError, decode, header_length
from paramgen.text import escape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe is refused, not waited for


class TensorFile:
    """An open safetensors file: `metadata`, and `entries` in the order of their data."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        self.shown = escape(self.path) or "''"
        try:
            self._file = open(self.path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise FileError(f"{self.shown}: {error.strerror or error}") from None
        try:
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{self.shown}: is not a regular file")
            self.size = status.st_size
            length = header_length(self._read(0, 8), self.size)
            self.data_start = 8 + length
            self.metadata, self.entries = decode(self._read(8, length), self.size - self.data_start)
        except OSError as error:
            self.close()
            raise error if isinstance(error, FileError) else FileError(f"{self.shown}: {error.strerror}") from None
        except MalformedError as error:
            self.close()
            raise MalformedFileError(f"{self.shown}: not a safetensors file: {error}") from None
        except BaseException:
            self.close()
            raise

    def _read(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)

    def read(self, entry: Entry, start: int, stop: int) -> NDArray[Any]:
        """Elements start … stop - 1 of a tensor, as a one-dimensional array (for dtypes of at least a byte)."""
        import numpy as np

        width = entry.dtype.bits // 8
        data = np.empty((stop - start) * width, np.uint8)
        self.read_into(entry, start * width, memoryview(data.data))
        return data.view(entry.dtype.numpy())

    def read_into(self, entry: Entry, position: int, view: memoryview) -> None:
        """A tensor's bytes from a position on, as many as the view has."""
        try:
            self._file.seek(self.data_start + entry.begin + position)
            while view:
                count = self._file.readinto(view)
                if not count:
                    raise FileError(f"{self.shown}: ends before its data do")
                view = view[count:]
        except OSError as error:
            raise error if isinstance(error, FileError) else FileError(f"{self.shown}: {error.strerror}") from None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
