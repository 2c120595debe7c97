"""Weights on disk as tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from paramgen.catalog.frameworks import is_buffer
from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape, show_text
from paramgen.units import format_number, human_bytes, pluralize, summarize

if TYPE_CHECKING:
    from paramgen.analysis.file_report import Statistics
    from paramgen.storage.checkpoint import Checkpoint, StoredTensor
    from paramgen.storage.header import TensorEntry

MAX_METADATA_CHARS = 100
STATISTICS = ("mean", "std", "min", "max", "zeros", "nan", "inf")


def print_inspection(
    checkpoint: Checkpoint, tensors: Sequence[StoredTensor], statistics: Sequence[Statistics | None] | None = None
) -> None:
    """Print tensors of weights as a table, with their totals."""
    _print_metadata(checkpoint)
    entries = [tensor.entry for tensor in tensors]
    # Columns, not rows: a tuple for each of a million tensors costs half a second.
    columns = [
        Column("name", [escape(entry.name) for entry in entries]),
        Column("shape", [show_shape(entry.shape) for entry in entries]),
        Column("dtype", [entry.dtype.name for entry in entries]),
        Column("parameters", [f"{entry.size:,}" for entry in entries], is_right=True),
        Column("bytes", [human_bytes(entry.nbytes) for entry in entries], is_right=True),
    ]
    if statistics:
        for key in STATISTICS:
            columns.append(Column(key, [_statistic(stats, key) for stats in statistics], is_right=True))
    if checkpoint.index:
        columns.append(Column("file", [escape(os.path.basename(tensor.file.path)) for tensor in tensors]))
    print_table(columns)
    _print_totals(checkpoint, entries)


def _print_metadata(checkpoint: Checkpoint) -> None:
    for key, value in checkpoint.metadata.items():
        print(f"{escape(key)}: {show_text(value, MAX_METADATA_CHARS)}")
    if checkpoint.metadata:
        print()


def _print_totals(checkpoint: Checkpoint, entries: Sequence[TensorEntry]) -> None:
    buffer_elements = sum(entry.size for entry in entries if is_buffer(entry.name))
    parameters = sum(entry.size for entry in entries) - buffer_elements
    summary = summarize(len(entries), parameters, buffer_elements, sum(entry.nbytes for entry in entries))
    count = len(checkpoint.tensors)
    of_all = f" (of {pluralize(count, 'tensor')})" if len(entries) < count else ""
    in_files = f", in {pluralize(len(checkpoint.files), 'file')}" if checkpoint.index else ""
    print(f"\n{checkpoint.display_path}: {summary}{of_all}{in_files}")


def _statistic(stats: Mapping[str, object] | None, key: str) -> str:
    value = None if stats is None else stats[key]
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else "-"
