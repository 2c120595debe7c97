"""Plans, files and devices as tables that a person reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from paramgen.catalog.frameworks import is_buffer
from paramgen.messages import escape, show_path, show_text
from paramgen.units import format_number, human_bytes, pluralize, summarize

if TYPE_CHECKING:
    from paramgen.analysis.check import Check
    from paramgen.analysis.diff import Differences
    from paramgen.analysis.file_report import Statistics
    from paramgen.analysis.verify import Verification
    from paramgen.planning.plan import Plan
    from paramgen.planning.tensors import ResolvedParameter, Tensor
    from paramgen.sampling.devices import Device
    from paramgen.storage.header import TensorEntry
    from paramgen.storage.reader import TensorFile

MAX_METADATA_CHARS = 100
MAX_RICH_ROWS = 2000
COUNTS = {"fan_in", "fan_out", "parameters", "bytes"}


class Column(NamedTuple):
    """A column of a table."""

    title: str
    cells: Sequence[str]
    is_right: bool = False


def print_plan(plan: Plan) -> None:
    """Print the tensors of a plan in the spec's order, and their totals."""
    titles = ("shape", "dtype", "initializer", "values", "fan_in", "fan_out", "parameters", "bytes")
    cells: dict[tuple[int, ...], tuple[str, ...]] = {}
    for tensor in plan.tensors:
        if tensor.cache_key not in cells:
            cells[tensor.cache_key] = _cells(tensor)
    by_title = zip(titles, zip(*(cells[tensor.cache_key] for tensor in plan.tensors), strict=True), strict=True)
    names = Column("name", [escape(tensor.name) for tensor in plan.tensors])
    print_table([names, *(Column(title, column, title in COUNTS) for title, column in by_title)])
    print(f"\n{escape(plan.name)}: {plan.summary()}, seed {plan.seed}, layout {plan.layout}")


def _cells(tensor: Tensor) -> tuple[str, ...]:
    """Return the cells of a tensor's row after its name."""
    parameters = tensor.resolved
    fans = ("" if fan is None else f"{fan:,}" for fan in (parameters[0].fan_in, parameters[0].fan_out))
    return (
        _shape(tensor.rearrangement.shape),
        tensor.dtype.name,
        ", ".join(dict.fromkeys(parameter.initializer.type_name for parameter in parameters)),
        ", ".join(dict.fromkeys(map(_summary, parameters))),
        *fans,
        f"{tensor.size:,}",
        human_bytes(tensor.nbytes),
    )


def _summary(parameter: ResolvedParameter) -> str:
    text = parameter.distribution.summary()
    return text if parameter.padding_index is None else f"{text}, zero at {parameter.padding_index}"


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
        Column("shape", [_shape(entry.shape) for entry in entries]),
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


def print_devices(devices: Sequence[Device]) -> None:
    """Print devices; for each that is unusable, the reason."""
    print_table(
        [
            Column("device", [device.name for device in devices]),
            Column("usable", ["yes" if device.usable else "no" for device in devices]),
            Column("description", [escape(device.description) for device in devices]),
        ]
    )


def _statistic(stats: Mapping[str, object] | None, key: str) -> str:
    value = None if stats is None else stats[key]
    if isinstance(value, int):
        return f"{value:,}"
    return format_number(value) if isinstance(value, float) else "-"


def _shape(shape: Sequence[int]) -> str:
    return str(list(shape))


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


def print_verification(display_path: str, result: Verification) -> None:
    """Print what differs, a line each, and the result."""
    lines = [f"{escape(name)}: missing" for name in result.missing]
    lines += [f"{escape(name)}: not in the spec" for name in result.extra]
    for name, (expected, actual) in result.wrong_dtype.items():
        lines.append(f"{escape(name)}: must have dtype {expected}, got {actual}")
    for name, (shape, actual_shape) in result.wrong_shape.items():
        lines.append(f"{escape(name)}: must have shape {_shape(shape)}, got {_shape(actual_shape)}")
    lines += result.other
    if first := result.first_difference:
        place = f"{escape(first.tensor)}{_shape(first.index)}"
        lines.append(f"{place}: must be {first.expected}, got {first.found} (the first difference)")
    if result.differing:
        lines.append(f"{pluralize(result.differing, 'tensor')} with other values")
    for line in lines:
        print(line)
    verdict = "holds" if result.holds else "does not hold"
    print(f"{display_path}: {verdict}, {pluralize(result.tensors, 'tensor')} compared with the spec")


def print_check(path: str, result: Check) -> None:
    """Print each finding, and the result."""
    for finding in result.findings:
        tensor = "" if finding.tensor is None else f"{escape(finding.tensor)}: "
        print(f"{escape(finding.file)}: {tensor}{finding.finding}")
    verdict = "sound" if result.sound else pluralize(len(result.findings), "finding")
    print(f"{show_path(path)}: {verdict}")


def print_differences(differences: Differences) -> None:
    """Print the tensors that differ, and the result."""
    for name in differences.only_in_a:
        print(f"{escape(name)}: only in A")
    for name in differences.only_in_b:
        print(f"{escape(name)}: only in B")
    for change in differences.changed:
        pairs = [(a, b) for a, b in (change.dtype, map(_shape, change.shape)) if a != b]
        print(f"{escape(change.name)}: " + ", ".join(f"{a} in A, {b} in B" for a, b in pairs))
    if values := differences.values:
        columns = [Column("name", [escape(value.name) for value in values])]
        columns.append(Column("differing", [f"{value.differing:,} of {value.elements:,}" for value in values], True))
        for title in ("max_abs", "max_rel", "cosine"):
            numbers = [getattr(value, title) for value in values]
            columns.append(Column(title, ["-" if n is None else format_number(n) for n in numbers], True))
        print_table(columns)
    verdict = "equal" if differences.equal else "different"
    print(f"{verdict}, {pluralize(differences.common, 'common tensor')}")
