"""The progress of a build: a bar on a terminal's stderr, if the build lasts long enough."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

DELAY_SECONDS = 0.5


class ProgressBar:
    """A count of the bytes drawn. Rich, which draws the bar, is imported only when it appears."""

    def __init__(self, total: int, shown: bool):
        self.total = total
        self.done = 0
        self.appears = time.monotonic() + DELAY_SECONDS if shown and sys.stderr.isatty() else float("inf")
        self.bar: Any = None

    def advance(self, count: int) -> None:
        self.done += count
        if self.bar is None and time.monotonic() >= self.appears:
            self._appear()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)

    def _appear(self) -> None:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        self.bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        self.bar.add_task("", total=self.total)
        self.bar.start()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
