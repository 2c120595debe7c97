"""Tables that a person reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

MAX_RICH_ROWS = 2000


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

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
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
    print("\n".join(map(str.rstrip, map("  ".join, zip(*padded, strict=True)))))


def _pad(cells: Sequence[str], is_right: bool) -> Iterator[str]:
    """Fill texts with spaces to the width of the widest on a terminal."""
    pad = str.rjust if is_right else str.ljust
    if all(map(str.isascii, cells)):
        return map(pad, cells, repeat(max(map(len, cells))))
    widths = list(map(_width, cells))
    widest = max(widths)
    # A character may take two columns of the terminal, or none.
    return (pad(cell, widest - width + len(cell)) for cell, width in zip(cells, widths, strict=True))


def _width(text: str) -> int:
    """Return the columns that a string takes on a terminal."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def show_shape(shape: Sequence[int]) -> str:
    """Return a shape as JSON writes it."""
    return str(list(shape))
