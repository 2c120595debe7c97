"""Trees of names as tables: of plans, and of weights on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from paramgen.cli.tables import Column, fit_columns, print_table, show_shape, terminal_width
from paramgen.messages import escape, shorten
from paramgen.units import human_bytes, pluralize

if TYPE_CHECKING:
    from paramgen.name_tree import Node

MAX_NOTE_CHARS = 28
# The columns that a narrow terminal lacks, the first to go first. A name and its bytes are always shown.
OPTIONAL = ("parameters", "initializer", "share", "file", "dtype", "values", "shape")


def print_tree(
    nodes: Sequence[Node],
    total_bytes: int,
    *,
    notes: Sequence[str] = (),
    with_dtype: bool = True,
    depth: int | None = None,
    by_bytes: bool = False,
) -> None:
    """Print a tree as a table that fits the terminal, with each name's share of all bytes.

    `notes` are the titles of the notes of tensors. `depth` is the number of levels to show. With `by_bytes` the largest
    of the names at one place come first.
    """
    from paramgen.name_tree import show_runs

    rows = [*_rows(nodes, depth, by_bytes)]
    columns = [
        Column("name", [label for label, _, _ in rows]),
        Column("shape", [_show_content(node, last) for _, node, last in rows]),
    ]
    if with_dtype:
        columns.append(Column("dtype", [last.leaf.dtype.name if last.leaf else "" for _, _, last in rows]))
    for index, title in enumerate(notes):
        columns.append(Column(title, [_show_note(last, index) for _, _, last in rows]))
    totals = [node.totals for _, node, _ in rows]
    columns += [
        Column("parameters", [f"{count.parameters:,}" for count in totals], is_right=True),
        Column("bytes", [human_bytes(count.nbytes) for count in totals], is_right=True),
        Column("share", [show_share(count.nbytes, total_bytes) for count in totals], is_right=True),
    ]
    if any(node.files for node in nodes):
        columns.append(Column("file", [show_runs(node.files) for _, node, _ in rows]))
    print_table(fit_columns(columns, OPTIONAL, terminal_width()))


def _rows(nodes: Sequence[Node], depth: int | None, by_bytes: bool, level: int = 0) -> Iterator[tuple[str, Node, Node]]:
    """Yield a label, and the first and the last node of a chain of names: groups of one name are joined with it."""
    if level == depth:
        return
    for node in sorted(nodes, key=lambda node: -node.totals.nbytes) if by_bytes else nodes:
        last, label = node, node.label
        while last.leaf is None and len(last.names) == len(last.children) == 1:
            last = last.children[0]
            label = f"{label}.{last.label}"
        yield "  " * level + escape(label), node, last
        yield from _rows(last.children, depth, by_bytes, level + 1)


def _show_content(node: Node, last: Node) -> str:
    """Return a tensor's shape, or the number of tensors below a name, of equal siblings that of each."""
    if last.leaf:
        return show_shape(last.leaf.shape)
    return pluralize(last.each.tensors, "tensor") + (" each" if len(last.names) > 1 else "")


def _show_note(node: Node, index: int) -> str:
    """Return a note of the tensors of a node."""
    if not node.notes:
        return ""
    first, *others = node.notes
    is_same = all(note[index] == first[index] for note in others)
    return shorten(first[index], MAX_NOTE_CHARS) if is_same else "varies"


def show_share(part: int, whole: int) -> str:
    """Return a share in percent: '100%', '97%', '1.5%', '<0.1%'."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.05:
        return "<0.1%"
    return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%"
