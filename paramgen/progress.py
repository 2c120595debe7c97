"""The progress of long work: its phase, the bytes that are done, and the tensor at hand."""

from __future__ import annotations

from collections.abc import Callable

BytesCallback = Callable[[int], object]


class Progress:
    """A receiver of progress that ignores it; subclasses show it.

        progress.phase("drawing", plan.total_bytes)
        progress.item("dense.weights")
        progress(4096)

    It is called by one thread at a time, except for `item`. If it raises, the work ends.
    """

    def __call__(self, count: int) -> None:
        """Add `count` bytes that are done; with 0, report that the work goes on."""

    def phase(self, name: str, total: int | None = None) -> None:
        """Begin a phase of `total` bytes; without `total`, rename the phase and keep its count."""

    def item(self, name: str) -> None:
        """Name the tensor or file at hand."""


class _BytesProgress(Progress):
    """The progress of a caller who counts bytes only."""

    def __init__(self, callback: BytesCallback):
        self._callback = callback

    def __call__(self, count: int) -> None:
        self._callback(count)


def as_progress(progress: BytesCallback | None) -> Progress:
    """Return a Progress as it is, one that calls any other function with numbers of bytes, or one that does nothing."""
    if progress is None:
        return Progress()
    return progress if isinstance(progress, Progress) else _BytesProgress(progress)
