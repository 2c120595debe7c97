"""Tables that a person reads."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

MAX_RICH_ROWS = 2000
# Spaces between columns.
GAP = 2
# A narrow terminal wraps rows rather than cut names to less than this.
MIN_NAME_WIDTH = 16


class Column(NamedTuple):
    """A column of a table."""

    title: str
    cells: Sequence[str]
    is_right: bool = False


def print_table(columns: Sequence[Column]) -> None:
    """Print columns under their titles: with Rich on a terminal, else as aligned plain text.

    Rich measures every cell, so a table of more than MAX_RICH_ROWS rows is plain text on a terminal, too.
    """
    if sys.stdout.isatty() and len(columns[0].cells) <= MAX_RICH_ROWS:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(column.title, justify="right" if column.is_right else "left", no_wrap=True)
        for row in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*(Text(cell) for cell in row))
        console = Console(highlight=False)
        natural = table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
        console.width = max(console.width, natural)  # a narrow terminal wraps lines better than a table folds words
        console.print(table, crop=False)
        return
    padded = [_pad([column.title, *column.cells], column.is_right) for column in columns]
    print("\n".join(map(str.rstrip, map((" " * GAP).join, zip(*padded, strict=True)))))


def terminal_width() -> int:
    """Return the width of the terminal, COLUMNS if set, or 80 without a terminal."""
    return shutil.get_terminal_size().columns


def fit_columns(columns: Sequence[Column], optional: Sequence[str], width: int) -> list[Column]:
    """Return the columns that fit a width: `optional` ones are dropped in this order, then the first one is cut."""
    kept = {column.title: column for column in columns}
    widths = {column.title: _widest([column.title, *column.cells]) for column in columns}
    for title in optional:
        if _row_width(widths) > width and title in kept:
            del kept[title], widths[title]
    first = columns[0]
    room = max(MIN_NAME_WIDTH, width - _row_width(widths) + widths[first.title])
    if widths[first.title] > room:
        kept[first.title] = first._replace(cells=[_cut(cell, room) for cell in first.cells])
    return [*kept.values()]


def _row_width(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _cut(text: str, room: int) -> str:
    """Return a text of at most `room` characters; its middle is left out."""
    tail = room // 2
    return text if len(text) <= room else f"{text[: room - tail - 1]}…{text[-tail:]}"


def _pad(cells: Sequence[str], is_right: bool) -> Iterator[str]:
    """Fill texts with spaces to the width of the widest on a terminal."""
    pad = str.rjust if is_right else str.ljust
    if all(map(str.isascii, cells)):
        return map(pad, cells, repeat(_widest(cells)))
    widths = list(map(_width, cells))
    widest = max(widths)
    # A character may take two columns of the terminal, or none.
    return (pad(cell, widest - width + len(cell)) for cell, width in zip(cells, widths, strict=True))


def _widest(cells: Sequence[str]) -> int:
    """Return the columns that the widest of some strings takes on a terminal."""
    if all(map(str.isascii, cells)):
        return max(map(len, cells))
    return max(map(_width, set(cells)))


def _width(text: str) -> int:
    """Return the columns that a string takes on a terminal."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def show_shape(shape: Sequence[int]) -> str:
    """Return a shape as JSON writes it."""
    return str(list(shape))
