"""The results of checks as lines and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape, show_path
from paramgen.units import format_number, pluralize

if TYPE_CHECKING:
    from paramgen.analysis.check import Check
    from paramgen.analysis.diff import Differences
    from paramgen.analysis.verify import Verification


def print_verification(path: str, result: Verification) -> None:
    """Print what differs, a line each, and the result."""
    lines = [f"{escape(name)}: missing" for name in result.missing]
    lines += [f"{escape(name)}: not in the spec" for name in result.extra]
    for name, (expected, actual) in result.wrong_dtype.items():
        lines.append(f"{escape(name)}: must have dtype {expected}, got {actual}")
    for name, (shape, actual_shape) in result.wrong_shape.items():
        lines.append(f"{escape(name)}: must have shape {show_shape(shape)}, got {show_shape(actual_shape)}")
    lines += result.other
    if first := result.first_difference:
        place = f"{escape(first.tensor)}{show_shape(first.index)}"
        lines.append(f"{place}: must be {first.expected}, got {first.found} (the first difference)")
    if result.differing:
        lines.append(f"{pluralize(result.differing, 'tensor')} with other values")
    for line in lines:
        print(line)
    verdict = "holds" if result.holds else "does not hold"
    print(f"{show_path(path)}: {verdict}, {pluralize(result.tensors, 'tensor')} compared")


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
        pairs = [change.dtype, map(show_shape, change.shape), change.distribution, change.canonical_name]
        lines = [f"{a} in A, {b} in B" for a, b in filter(None, pairs) if a != b]
        print(f"{escape(change.name)}: {escape('; '.join(lines))}")
    for key, pair in {"seed": differences.seed, "layout": differences.layout}.items():
        if pair:
            print(f"{key}: {pair[0]} in A, {pair[1]} in B")
    if values := differences.values:
        columns = [Column("name", [escape(value.name) for value in values])]
        columns.append(Column("differing", [f"{value.differing:,} of {value.elements:,}" for value in values], True))
        for title in ("max_abs", "max_rel", "cosine"):
            numbers = [getattr(value, title) for value in values]
            columns.append(Column(title, ["-" if n is None else format_number(n) for n in numbers], True))
        print_table(columns)
    verdict = "equal" if differences.equal else "different"
    print(f"{verdict}, {pluralize(differences.common, 'common tensor')}")
