"""Weights on disk as tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from paramgen.catalog.frameworks import is_buffer
from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape, show_text
from paramgen.units import format_number, human_bytes, pluralize, summarize

if TYPE_CHECKING:
    from paramgen.analysis.file_report import Statistics
    from paramgen.analysis.histograms import Histogram
    from paramgen.storage.checkpoint import Checkpoint, StoredTensor
    from paramgen.storage.header import TensorEntry

MAX_METADATA_CHARS = 100
# The heights of a histogram's bins, lowest first.
BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_LEVELS = " .:-=+*#@"
STATISTICS = ("mean", "std", "min", "max", "zeros", "nan", "inf")


def print_inspection(
    checkpoint: Checkpoint,
    tensors: Sequence[StoredTensor],
    statistics: Sequence[Statistics | None] | None = None,
    histograms: Sequence[Histogram | None] | None = None,
) -> None:
    """Print tensors of weights as a table, with their totals.

    Without statistics, histograms replace the sizes, so that a row fits a terminal.
    """
    _print_metadata(checkpoint)
    entries = [tensor.entry for tensor in tensors]
    columns = [Column("name", [escape(entry.name) for entry in entries])]
    if statistics or not histograms:
        columns += _size_columns(entries)
    if statistics:
        for key in STATISTICS:
            columns.append(Column(key, [_statistic(stats, key) for stats in statistics], is_right=True))
    if histograms:
        percentiles = _percentile_columns(histograms)
        columns += percentiles[1:-1] if statistics else percentiles  # statistics have the bounds
        drawn = ["-" if found is None else draw_histogram(found.counts, max(found.counts)) for found in histograms]
        columns.append(Column("histogram", drawn))
    if checkpoint.index:
        columns.append(Column("file", [escape(os.path.basename(tensor.file.path)) for tensor in tensors]))
    print_table(columns)
    _print_totals(checkpoint, entries)


def print_stored_tree(checkpoint: Checkpoint, tensors: Sequence[StoredTensor]) -> None:
    """Print the names of tensors as a tree in which equal layers are folded, with sizes and totals.

    A dtype that all tensors share is in the last line, so that most rows fit 80 columns.
    """
    from paramgen.cli.tree_tables import print_tree
    from paramgen.name_tree import TreeTensor, fold, natural_key

    _print_metadata(checkpoint)
    entries = sorted((tensor.entry for tensor in tensors), key=lambda entry: natural_key(entry.name))
    nodes = fold(TreeTensor(entry.name, entry.dtype, entry.shape) for entry in entries)
    dtypes = {entry.dtype.name for entry in entries}
    total_bytes = sum(tensor.entry.nbytes for tensor in checkpoint.tensors.values())
    print_tree(nodes, total_bytes, with_dtype=len(dtypes) > 1)
    _print_totals(checkpoint, entries, f", all {dtypes.pop()}" if len(dtypes) == 1 else "")


def _size_columns(entries: Sequence[TensorEntry]) -> list[Column]:
    # Columns, not rows: a tuple for each of a million tensors costs half a second.
    return [
        Column("shape", [show_shape(entry.shape) for entry in entries]),
        Column("dtype", [entry.dtype.name for entry in entries]),
        Column("parameters", [f"{entry.size:,}" for entry in entries], is_right=True),
        Column("bytes", [human_bytes(entry.nbytes) for entry in entries], is_right=True),
    ]


def _percentile_columns(histograms: Sequence[Histogram | None]) -> list[Column]:
    """Return the columns of the smallest value, the percentiles and the largest value."""
    from paramgen.analysis.histograms import PERCENTILES

    titles = ("min", *(f"{percentile}%" for percentile in PERCENTILES), "max")
    rows = (
        ["-"] * len(titles) if found is None else _format_values(found.low, *found.percentiles.values(), found.high)
        for found in histograms
    )
    columns = zip(titles, zip(*rows, strict=True), strict=True)
    return [Column(title, cells, is_right=True) for title, cells in columns]


def _format_values(*values: float) -> list[str]:
    return [f"{value:.3g}" for value in values]


def draw_histogram(counts: Sequence[float], highest: float) -> str:
    """Return a histogram as a line: the first level for empty bins, the last for those of the `highest` count."""
    levels = BLOCKS if _can_print(BLOCKS) else ASCII_LEVELS
    steps = len(levels) - 1
    return "".join(levels[min(ceil(count * steps / highest), steps)] for count in counts)


def _can_print(text: str) -> bool:
    """Return True if the encoding of standard output has the characters of a text."""
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _print_metadata(checkpoint: Checkpoint) -> None:
    for key, value in checkpoint.metadata.items():
        print(f"{escape(key)}: {show_text(value, MAX_METADATA_CHARS)}")
    if checkpoint.metadata:
        print()


def _print_totals(checkpoint: Checkpoint, entries: Sequence[TensorEntry], note: str = "") -> None:
    buffer_elements = sum(entry.size for entry in entries if is_buffer(entry.name))
    parameters = sum(entry.size for entry in entries) - buffer_elements
    summary = summarize(len(entries), parameters, buffer_elements, sum(entry.nbytes for entry in entries))
    count = len(checkpoint.tensors)
    of_all = f" (of {pluralize(count, 'tensor')})" if len(entries) < count else ""
    in_files = f", in {pluralize(len(checkpoint.files), 'file')}" if checkpoint.index else ""
    print(f"\n{checkpoint.display_path}: {summary}{of_all}{in_files}{note}")


def _statistic(stats: Mapping[str, object] | None, key: str) -> str:
    value = None if stats is None else stats[key]
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else "-"
