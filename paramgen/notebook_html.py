"""HTML for notebooks: trees of tensors whose groups unfold, and tables; bounded, with every text escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from paramgen.messages import escape, shorten
from paramgen.name_tree import Node
from paramgen.units import human_bytes, pluralize

# Names of a tree and rows of a table: as much as a reader unfolds, about 200 kB.
MAX_ROWS = 300
MAX_TEXT_CHARS = 80
MAX_BLOCK_CHARS = 20_000

ROW_STYLE = "display:flex;gap:1em;white-space:nowrap"
NAME_STYLE = "flex:1;overflow:hidden;text-overflow:ellipsis"
NUMBER_STYLE = "width:9em;text-align:right"
SHAPE_STYLE = "width:12em"


def render_block(title: str, summary: str, *parts: str) -> str:
    """Return the HTML of an object: its title, a line about it, and parts in HTML."""
    head = f"<strong>{show_html(title)}</strong>: {show_html(summary, MAX_BLOCK_CHARS)}"
    return f'<div style="font-family:monospace;max-width:70em;text-align:left"><div>{head}</div>{"".join(parts)}</div>'


def render_details(title: str, content: str, is_open: bool = False) -> str:
    """Return a part that unfolds; its content is HTML."""
    return f"<details{' open' if is_open else ''}><summary>{show_html(title)}</summary>{content}</details>"


def render_text(text: str) -> str:
    """Return a text of several lines; of a long one the beginning."""
    lines = map(escape, shorten(text, MAX_BLOCK_CHARS).split("\n"))
    content = html.escape("\n".join(lines))
    return f'<pre style="text-align:left">{content}</pre>'


def render_table(titles: Sequence[str], rows: Iterable[Sequence[str]], total: int) -> str:
    """Return a table of the first of `total` rows; the first column is a text, the others are numbers."""
    heads = "".join(f"<th>{show_html(title)}</th>" for title in titles)
    lines = []
    for _, (first, *others) in zip(range(MAX_ROWS), rows, strict=False):
        cells = "".join(f'<td style="text-align:right">{show_html(cell)}</td>' for cell in others)
        lines.append(f'<tr><td style="text-align:left">{show_html(first)}</td>{cells}</tr>')
    return f"<table><tr>{heads}</tr>{''.join(lines)}</table>{_render_rest(total - len(lines), 'row')}"


def render_mapping(values: Mapping[str, str]) -> str:
    """Return names and values as a table."""
    return render_table(("name", "value"), values.items(), len(values)) if values else ""


def render_tree(nodes: Sequence[Node], notes: bool = False) -> str:
    """Return a tree of tensors; with `notes`, the first note of each is shown.

    Of more than MAX_ROWS names, those nearest to the root are shown.
    """
    return _render_nodes(nodes, _select(nodes), notes)


def _select(nodes: Sequence[Node]) -> set[int]:
    """Return the identities of the nodes to show, level by level."""
    selected: set[int] = set()
    level = nodes
    while level and len(selected) < MAX_ROWS:
        selected.update(id(node) for node in level[: MAX_ROWS - len(selected)])
        level = [child for node in level for child in node.children]
    return selected


def _render_nodes(nodes: Sequence[Node], selected: set[int], notes: bool) -> str:
    shown = [node for node in nodes if id(node) in selected]
    return "".join(_render_node(node, selected, notes) for node in shown) + _render_rest(
        len(nodes) - len(shown), "name"
    )


def _render_node(node: Node, selected: set[int], notes: bool) -> str:
    last, label = node, node.label
    while last.leaf is None and len(last.names) == len(last.children) == 1:
        last = last.children[0]
        label = f"{label}.{last.label}"
    totals = node.totals
    count = pluralize(last.each.tensors, "tensor") + (" each" if len(last.names) > 1 else "")
    content = str(list(last.leaf.shape)) if last.leaf else count
    cells = [(NAME_STYLE, label), (SHAPE_STYLE, content)]
    if notes:
        found = {note[0] for note in last.notes}
        cells.append((SHAPE_STYLE, "varies" if len(found) > 1 else "".join(found)))
    if last.leaf:
        cells.append((SHAPE_STYLE, last.leaf.dtype.name))
    cells += [(NUMBER_STYLE, f"{totals.parameters:,}"), (NUMBER_STYLE, human_bytes(totals.nbytes))]
    spans = "".join(f'<span style="{style}">{show_html(text)}</span>' for style, text in cells)
    if not last.children:
        return f'<div style="{ROW_STYLE};margin-left:1em">{spans}</div>'
    below = _render_nodes(last.children, selected, notes)
    row = f'<summary><div style="{ROW_STYLE};display:inline-flex;width:calc(100% - 1.2em)">{spans}</div></summary>'
    return f'<details>{row}<div style="margin-left:1.5em">{below}</div></details>'


def _render_rest(count: int, noun: str) -> str:
    return f'<div style="margin-left:1em">… and {pluralize(count, f"more {noun}")}</div>' if count > 0 else ""


def show_html(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return a text for HTML: shortened, with unprintable and special characters escaped."""
    return html.escape(escape(shorten(text, max_chars)))
