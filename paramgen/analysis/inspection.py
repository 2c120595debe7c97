"""The inspection of weights for Python: their tensors, metadata and, if asked for, statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from paramgen.analysis.file_report import Statistics, compute_statistics, has_statistics, select_tensors
from paramgen.catalog.frameworks import is_buffer
from paramgen.dtypes import DTYPES_BY_NAME
from paramgen.name_tree import TreeTensor, fold, natural_key
from paramgen.notebook_html import render_block, render_details, render_mapping, render_table, render_tree
from paramgen.progress import BytesCallback, as_progress
from paramgen.storage.checkpoint import Checkpoint
from paramgen.units import format_number, summarize


@dataclass(frozen=True, slots=True)
class InspectedTensor:
    """A tensor of weights. `stats` is None unless asked for, and for dtypes without statistics."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parameters: int
    bytes: int
    file: str
    stats: Statistics | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """The tensors of a file, a folder or an index, in the order of their names. Notebooks show it as a tree."""

    files: tuple[str, ...]
    metadata: Mapping[str, str]
    tensors: tuple[InspectedTensor, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping per tensor, with the keys of `inspect --json`: `pandas.DataFrame(inspection.rows())`.

        Statistics are not nested: each has a key of its own.
        """
        rows = [asdict(tensor) for tensor in self.tensors]
        statistics = [row.pop("stats") or {} for row in rows]
        return [{**row, **stats} for row, stats in zip(rows, statistics, strict=True)]

    def summary(self) -> str:
        """Return the counts of tensors, parameters, buffer elements and bytes in words."""
        buffer_elements = sum(tensor.parameters for tensor in self.tensors if is_buffer(tensor.name))
        parameters = sum(tensor.parameters for tensor in self.tensors) - buffer_elements
        return summarize(len(self.tensors), parameters, buffer_elements, sum(tensor.bytes for tensor in self.tensors))

    @property
    def _title(self) -> str:
        first, count = os.path.basename(self.files[0]), len(self.files)
        return first if count == 1 else f"{first} and {count - 1:,} more"

    def __repr__(self) -> str:
        return f"<Inspection {self._title!r}: {self.summary()}>"

    def _repr_html_(self) -> str:
        ordered = sorted(self.tensors, key=lambda tensor: natural_key(tensor.name))
        nodes = fold(TreeTensor(tensor.name, DTYPES_BY_NAME[tensor.dtype], tensor.shape) for tensor in ordered)
        parts = [render_tree(nodes)]
        if rows := [(tensor.name, tensor.stats) for tensor in ordered if tensor.stats]:
            titles = ("name", *rows[0][1])
            cells = ((name, *map(_show_number, stats.values())) for name, stats in rows)
            parts.append(render_details("statistics", render_table(titles, cells, len(rows)), is_open=True))
        if self.metadata:
            parts.append(render_details("metadata", render_mapping(self.metadata)))
        return render_block(self._title, self.summary(), *parts)


def _show_number(value: object) -> str:
    if isinstance(value, float):
        return format_number(value)
    return f"{value:,}" if isinstance(value, int) else "-"


def inspect(
    checkpoint: Checkpoint, pattern: str | None = None, *, stats: bool = False, progress: BytesCallback | None = None
) -> Inspection:
    """Return the inspection of weights: of the tensors whose names match a glob, or of all."""
    tensors = select_tensors(checkpoint, pattern)
    report = as_progress(progress)
    if stats:
        report.phase("reading", sum(entry.nbytes for entry, _ in tensors if has_statistics(entry.dtype)))
    found = tuple(
        InspectedTensor(
            entry.name,
            entry.dtype.name,
            entry.shape,
            entry.size,
            entry.nbytes,
            file.path,
            compute_statistics(checkpoint, stored, progress=report) if stats else None,
        )
        for stored in tensors
        for entry, file in [stored]
    )
    return Inspection(tuple(checkpoint.paths), dict(checkpoint.metadata), found)
