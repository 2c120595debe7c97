"""Where units of work write their bytes: the interfaces, and outputs that one process writes in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from paramgen.storage.landmark import Landmark

Write = Callable[[memoryview], None]


class Sink(Protocol):
    """Where units of work write. One that several processes share can be pickled."""

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield a function that appends to `size` bytes of the file `name`, from byte `start` on."""

    def landmark(self) -> AbstractContextManager[Landmark | None]:
        """Yield a file by which other processes show that they reach this sink; None if they need not."""

    def receipt(self, name: str) -> Any:
        """Return what the process that publishes a file has to know of its writing, None for files on disk."""


class Output(Sink, Protocol):
    """An output of this process."""

    def share(self, sizes: Mapping[str, int]) -> Sink | None:
        """Return the sink by which other processes write files of these sizes; None if they cannot."""


class Writer(Output, Protocol):
    """An output that is one file or stream, written in order."""

    def __call__(self, data: memoryview, /) -> None: ...


class InOrderWriter(ABC):
    """An output whose ranges are written in order by this process."""

    @abstractmethod
    def __call__(self, data: memoryview, /) -> None: ...

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield this output."""
        return nullcontext(self)

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: no other process writes."""
        return nullcontext()

    def receipt(self, name: str) -> None:  # noqa: B027 (most outputs have none)
        """Return None: only parts of an upload need one."""

    def share(self, sizes: Mapping[str, int]) -> Sink | None:
        """Return None: other processes cannot write."""
        return None
