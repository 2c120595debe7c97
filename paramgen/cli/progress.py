"""The progress of a command on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from paramgen.cli import signals
from paramgen.messages import escape
from paramgen.progress import Progress
from paramgen.threads import run_threads
from paramgen.units import human_bytes, human_duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

# Shorter work shows nothing.
BAR_DELAY_SECONDS = 1.0
LINE_DELAY_SECONDS = 5.0
LINE_SECONDS = 30.0
# Drawing the bar takes about a millisecond.
TICK_SECONDS = 0.1
# A narrower terminal has the text alone.
MIN_BAR_COLUMNS = 60
BAR_COLUMNS = 16
MIN_ITEM_COLUMNS = 8


class Counter(Progress):
    """The progress so far. Each report checks for signals, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.started = self.phase_started = clock()
        self.phase_name = self.item_name = ""
        self.total: int | None = None
        self.done = self.done_before = 0

    def __call__(self, count: int) -> None:
        signals.check()
        self.done += count

    def phase(self, name: str, total: int | None = None) -> None:
        signals.check()
        self.phase_name = name
        if total is not None:
            self.done_before += self.done
            self.done, self.total, self.phase_started = 0, total, self.clock()

    def item(self, name: str) -> None:
        self.item_name = name

    @property
    def seconds(self) -> float:
        """The time since the work began."""
        return self.clock() - self.started

    def describe(self) -> list[str]:
        """Return the state of the phase in words, the most important first; the time alone if no bytes are counted."""
        seconds = self.clock() - self.phase_started
        if self.total is None:
            return [human_duration(seconds)]
        if self.done >= self.total:
            return ["100%", human_bytes(self.done)]
        rate = self.done / seconds if seconds else 0.0
        left = [f"{human_duration(math.ceil((self.total - self.done) / rate))} left"] if rate else []
        sizes = f"{human_bytes(self.done)} of {human_bytes(self.total)}"
        return [f"{self.done * 100 // self.total}%", *left, f"{human_bytes(int(rate))}/s", sizes]

    def summarize(self) -> str:
        """Return the size, time and rate of all phases; the time alone if no bytes were counted."""
        done, seconds = self.done_before + self.done, self.seconds
        if not done:
            return human_duration(seconds)
        return f"{human_bytes(done)} in {human_duration(seconds)}, {human_bytes(int(done / seconds))}/s"


class _View(Protocol):
    """A display of a counter."""

    was_shown: bool

    def update(self) -> None:
        """Show the counter's state, if it is time."""

    def close(self) -> None:
        """Remove what is not to stay."""


class Lines:
    """Lines for logs: the first after LINE_DELAY_SECONDS, then one each LINE_SECONDS."""

    def __init__(self, counter: Counter):
        self.was_shown = False
        self._counter = counter
        self._next = LINE_DELAY_SECONDS

    def update(self) -> None:
        counter = self._counter
        if counter.seconds >= self._next:
            self._next = counter.seconds + LINE_SECONDS
            self.was_shown = True
            parts = [*counter.describe(), *filter(None, [escape(counter.item_name)])]
            print(f"{counter.phase_name}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class Bar:
    """A bar, which disappears at the end. Rich, which draws it, is imported only then."""

    def __init__(self, counter: Counter):
        self.was_shown = False
        self._counter = counter
        self._bar: RichProgress | None = None

    def update(self) -> None:
        if not self.was_shown and self._counter.seconds < BAR_DELAY_SECONDS:
            return
        bar = self._bar = self._bar or _make_bar()
        width = bar.console.width - (BAR_COLUMNS + 1 if bar.console.width >= MIN_BAR_COLUMNS else 0)
        text = fit_text(self._counter, width - 1, bar.console.encoding)
        bar.update(bar.task_ids[0], completed=self._counter.done, total=self._counter.total, text=text)
        if self.was_shown:
            bar.refresh()
        else:
            self.was_shown = True
            bar.start()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def fit_text(counter: Counter, width: int, encoding: str) -> str:
    """Return as much of the progress as fits into `width` columns: the phase, its state, the tensor at hand."""
    from rich.cells import cell_len, set_cell_size

    text, separator = counter.phase_name, " "
    for part in counter.describe():
        if len(text) + len(separator) + len(part) > width:
            return text[:width]
        text, separator = f"{text}{separator}{part}", ", "
    item = escape(counter.item_name).encode(encoding, "backslashreplace").decode(encoding)
    room = width - len(text) - 2
    if room < MIN_ITEM_COLUMNS or not item:
        return text
    return f"{text}  {item if cell_len(item) <= room else set_cell_size(item, room)}"


def _make_bar() -> RichProgress:
    from rich import progress
    from rich.console import Console

    class VisibleCursorConsole(Console):
        """A terminal that keeps its cursor: a second signal ends the process at once, and would leave none."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = VisibleCursorConsole(stderr=True, force_terminal=True)
    columns: list[progress.ProgressColumn] = [progress.TextColumn("{task.fields[text]}", markup=False)]
    if console.width >= MIN_BAR_COLUMNS:
        columns.insert(0, progress.BarColumn(BAR_COLUMNS))
    # Standard output may be the file that is built, so it is not redirected.
    bar = progress.Progress(
        *columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False, expand=False
    )
    bar.add_task("", total=None, text="")
    return bar


@contextmanager
def show_progress(*, quiet: bool = False, as_json: bool = False) -> Iterator[Counter]:
    """Show the progress of a command's work while it lasts, and at the end its size, time and rate.

    With `quiet` nothing is shown, and with `as_json` only a bar. A thread shows it, so that the work never waits for
    the terminal; if the system refuses one, nothing is shown.
    """
    counter = Counter()
    has_bar = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    if quiet or (as_json and not has_bar):
        yield counter
        return
    view: _View = Bar(counter) if has_bar else Lines(counter)
    stopped = threading.Event()

    def show() -> None:
        with suppress(OSError):  # of a terminal that was closed
            try:
                while not stopped.wait(TICK_SECONDS):
                    view.update()
            finally:
                view.close()

    with run_threads([show], stopped.set):
        yield counter
    if view.was_shown and not as_json:
        print(f"done: {counter.summarize()}", file=sys.stderr)
