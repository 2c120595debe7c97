"""Where units of work write their bytes: the interfaces, and outputs that one process writes in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from paramgen.storage.landmark import Landmark

Write = Callable[[memoryview], None]


class Sink(Protocol):
    """Where units of work write. One that several processes share can be pickled."""

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield a function that appends to `size` bytes of the file `name`, from byte `start` on."""

    def landmark(self) -> AbstractContextManager[Landmark | None]:
        """Yield a file by which other processes show that they reach this sink; None if they need not."""


class Output(Sink, Protocol):
    """An output of this process; `shared` is the sink by which other processes reach it, None if they cannot."""

    @property
    def shared(self) -> Sink | None: ...


class Writer(Output, Protocol):
    """An output that is one file or stream, written in order."""

    def __call__(self, data: memoryview, /) -> None: ...


class InOrderWriter(ABC):
    """An output whose ranges are written in order by this process."""

    shared: Sink | None = None

    @abstractmethod
    def __call__(self, data: memoryview, /) -> None: ...

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield this output."""
        return nullcontext(self)

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: no other process writes."""
        return nullcontext()
