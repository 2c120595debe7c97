"""Weights on disk as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from paramgen.catalog.frameworks import is_buffer
from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape, show_text
from paramgen.units import format_number, human_bytes, pluralize, summarize

if TYPE_CHECKING:
    from paramgen.analysis.file_report import Statistics
    from paramgen.storage.header import TensorEntry
    from paramgen.storage.reader import TensorFile

MAX_METADATA_CHARS = 100


def print_inspection(
    file: TensorFile, entries: Sequence[TensorEntry], statistics: Sequence[Statistics | None] | None
) -> None:
    """Print tensors of a file as a table, with their totals."""
    for key, value in sorted(file.metadata.items()):
        print(f"{escape(key)}: {show_text(value, MAX_METADATA_CHARS)}")
    if file.metadata:
        print()
    sizes = [prod(entry.shape) for entry in entries]
    # Columns, not rows: a tuple for each of a million tensors costs half a second.
    columns = [
        Column("name", [escape(entry.name) for entry in entries]),
        Column("shape", [show_shape(entry.shape) for entry in entries]),
        Column("dtype", [entry.dtype.name for entry in entries]),
        Column("parameters", [f"{size:,}" for size in sizes], is_right=True),
        Column("bytes", [human_bytes(entry.nbytes) for entry in entries], is_right=True),
    ]
    if statistics:
        for key in ("mean", "std", "min", "max", "zeros", "nan", "inf"):
            columns.append(Column(key, [_statistic(stats, key) for stats in statistics], is_right=True))
    print_table(columns)
    buffer_elements = sum(size for entry, size in zip(entries, sizes, strict=True) if is_buffer(entry.name))
    total_bytes = sum(entry.nbytes for entry in entries)
    summary = summarize(len(entries), sum(sizes) - buffer_elements, buffer_elements, total_bytes)
    of_all = f" (of {pluralize(len(file.entries), 'tensor')})" if len(entries) < len(file.entries) else ""
    print(f"\n{file.display_path}: {summary}{of_all}")


def _statistic(stats: Mapping[str, object] | None, key: str) -> str:
    value = None if stats is None else stats[key]
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else "-"
