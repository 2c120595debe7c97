"""The bytes of indivisible parameters, shared by the threads that copy from them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from paramgen.sampling.backend import Bytes


@dataclass(slots=True)
class _Entry:
    """The bytes of an indivisible parameter, freed when its last element is taken."""

    remaining: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    data: Bytes | None = None
    error: BaseException | None = None


class SharedCache:
    """A cache that draws each parameter once, and frees it when all of its elements have been taken."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def take(self, name: str, size: int, count: int, draw: Callable[[], Bytes]) -> Bytes:
        """Return all bytes of a parameter of `size` elements, and count `count` of them as taken.

        The first thread calls `draw`; the others wait for it, and raise its error.
        """
        with self._lock:
            entry = self._entries.setdefault(name, _Entry(size))
            entry.remaining -= count
            if entry.remaining <= 0:  # a copy of a tied parameter takes elements, too
                del self._entries[name]
        with entry.lock:
            if entry.error:  # another thread failed; a retry would fail too
                raise entry.error
            if entry.data is None:
                try:
                    entry.data = draw()
                except BaseException as error:
                    entry.error = error
                    raise
            return entry.data
