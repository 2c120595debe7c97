"""Numbers in the units that people read: bytes, counts, plurals."""

from __future__ import annotations

import math


def human_bytes(count: int) -> str:
    """Return a number of bytes in decimal units: 38.9 kB."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000
        if size < 999.95 or unit == "PB":
            return f"{size:.3g} {unit}" if size < 99.95 else f"{size:.0f} {unit}"
    raise AssertionError


def human_duration(seconds: float) -> str:
    """Return a time in one or two units: 4.2 s; 37 s; 3 min 5 s; 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for large, small, size, part, limit in (
        ("min", "s", 60, 1, 3600),
        ("h", "min", 3600, 60, 86_400),
        ("d", "h", 86_400, 3600, math.inf),
    ):
        if whole < limit:
            return f"{whole // size:,} {large} {whole % size // part} {small}"
    raise AssertionError


def human_count(count: int) -> str:
    """Return a large number in words: 9,728; 1.23 million."""
    # From 999.5 of a unit on, three digits show 1000: the next unit is shorter.
    for unit, size, least in (("trillion", 10**12, 9995), ("billion", 10**9, 9995), ("million", 10**6, 10_000)):
        if count * 10_000 >= size * least:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count:,}"


def format_number(value: float) -> str:
    """Return a number to six significant digits, without trailing zeros."""
    return f"{value:.6g}"


def pluralize(count: int, noun: str) -> str:
    """Return '1 tensor', '2 tensors'."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def summarize(tensors: int, parameters: int, buffer_elements: int, size: int) -> str:
    """Return the counts of a plan or file: '9 tensors, 1.23 million parameters, 40 buffer elements, 4.92 MB'."""
    counts = {"parameter": parameters, **({"buffer element": buffer_elements} if buffer_elements else {})}
    elements = (f"{human_count(count)} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
    return ", ".join((pluralize(tensors, "tensor"), *elements, human_bytes(size)))
