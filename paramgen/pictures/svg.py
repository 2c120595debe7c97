"""The treemap and the strip of the report as SVG, with classes that the report's style sheet colors."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from paramgen.messages import escape, shorten
from paramgen.pictures.patterns import LEVELS, Strip, shorten_patterns
from paramgen.pictures.treemap import Group, Tile, place_tiles
from paramgen.units import human_bytes, pluralize

WIDTH = 1160
TREEMAP_HEIGHT = 340
CHARACTER_WIDTH = 7.0
LINE_HEIGHT = 16
# Of the strip: the labels, the range of a row, and the height of a row.
LABEL_WIDTH, RANGE_WIDTH, ROW_HEIGHT = 300, 150, 20


def escape_html(text: str) -> str:
    """Return text as HTML, with unprintable characters escaped."""
    return html.escape(escape(text))


def show_name(name: str) -> str:
    """Return a tensor's name with unprintable characters escaped, or '' in quotes."""
    return escape(name) or "''"


def draw_treemap(groups: Sequence[Group], total: int) -> str:
    """Return a treemap, with the modules that have a color below it."""
    parts = []
    for number, tile, (x, y, width, height) in place_tiles(groups, WIDTH, TREEMAP_HEIGHT):
        name = "smaller ones" if tile.pattern is None else show_name(tile.pattern)
        size = f"{human_bytes(tile.nbytes)}, {share_text(tile.nbytes, total)}"
        parts.append(f"<g><title>{html.escape(name)}: {pluralize(tile.tensors, 'tensor')}, {size}</title>")
        area = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="tile t{_color(number, groups)}" {area}/>')
        room = int((width - 10) / CHARACTER_WIDTH)
        lines = [shorten(tile_label(tile, groups[number]), room), size]
        if room >= 8 and height >= LINE_HEIGHT + 4:
            for line, text in enumerate(lines[: 1 + (height >= 2 * LINE_HEIGHT + 4 and len(size) <= room)]):
                parts.append(_text(text, x + 5, y + LINE_HEIGHT * (line + 1) - 1, "on-tile"))
        parts.append("</g>")
    x, y = 0.0, TREEMAP_HEIGHT + 22.0
    for number, group in enumerate(groups):
        label = f"{group_label(group, 40)} {share_text(group.nbytes, total)}"
        length = 24 + CHARACTER_WIDTH * len(label) + 16
        if x and x + length > WIDTH:
            x, y = 0.0, y + 22
        color = _color(number, groups)
        parts.append(f'<rect class="t{color}" x="{x:.1f}" y="{y - 11:.1f}" width="14" height="14"/>')
        parts.append(_text(label, x + 20, y, ""))
        x += length
    return _svg(y + 10, "Treemap of sizes by module", parts)


def _color(number: int, groups: Sequence[Group]) -> int:
    return 7 if groups[number].pattern is None else number


def tile_label(tile: Tile, group: Group) -> str:
    """Return a tile's name within its module, which the colors name."""
    if tile.pattern is None:
        return "smaller ones"
    return show_name(tile.pattern.removeprefix("" if group.pattern is None else f"{group.pattern}."))


def group_label(group: Group, room: int) -> str:
    return "others" if group.pattern is None else fit_name(group.pattern, room)


def fit_name(name: str, room: int) -> str:
    """Return the end of a name that fits: its last parts distinguish the tensors of a module."""
    name = show_name(name)
    return name if len(name) <= room else "…" + name[len(name) - room + 1 :]


def share_text(part: int, total: int) -> str:
    """Return a share in percent."""
    share = 100 * part / total if total else 0.0
    return f"{share:.3g} %" if share >= 0.1 or not part else "<0.1 %"


def draw_strip(strip: Strip) -> str:
    """Return std by layer: a row for each pattern, a column for each layer, and the scale of the colors."""
    cell = min(40.0, (WIDTH - LABEL_WIDTH - RANGE_WIDTH) / len(strip.layers))
    top = 24
    paths: list[list[str]] = [[] for _ in range(LEVELS)]
    parts = [*_layer_labels(strip, cell, top)]
    labels = shorten_patterns(row.pattern for row in strip.rows)
    for number, (label, row) in enumerate(zip(labels, strip.rows, strict=True)):
        y = top + number * ROW_HEIGHT
        for column, std in enumerate(row.stds):
            if std:
                x = LABEL_WIDTH + column * cell
                paths[strip.level(std)].append(f"M{x:.1f} {y}h{max(cell - 1, 1):.1f}v{ROW_HEIGHT - 2}H{x:.1f}z")
        parts.append(_text(fit_name(label, int(LABEL_WIDTH / CHARACTER_WIDTH) - 2), 0, y + 14, ""))
        parts.append(_text(range_text(row.stds), LABEL_WIDTH + cell * len(strip.layers) + 8, y + 14, "quiet"))
    parts += [f'<path class="s{level}" d="{"".join(path)}"/>' for level, path in enumerate(paths) if path]
    y = top + len(strip.rows) * ROW_HEIGHT + 16
    low, high = strip.limits
    parts.append(_text(f"std {low:.3g}", LABEL_WIDTH - 8, y + 12, "quiet", anchor="end"))
    for level in range(LEVELS):
        parts.append(f'<rect class="s{level}" x="{LABEL_WIDTH + 16 * level}" y="{y}" width="16" height="14"/>')
    parts.append(_text(f"{high:.3g}, logarithmic", LABEL_WIDTH + 16 * LEVELS + 8, y + 12, "quiet"))
    return _svg(y + 22, "Standard deviation of repeated layers, by pattern and layer", parts)


def _layer_labels(strip: Strip, cell: float, top: int) -> Iterator[str]:
    """Yield the numbers of layers, as many as have room."""
    widest = CHARACTER_WIDTH * len(str(strip.layers[-1])) + 10
    every = max(1, -(-int(widest) // max(1, int(cell))))
    yield _text("layer", LABEL_WIDTH - 8, top - 8, "quiet", anchor="end")
    for column in range(0, len(strip.layers), every):
        x = LABEL_WIDTH + column * cell + (cell - 1) / 2
        yield _text(str(strip.layers[column]), x, top - 8, "quiet", anchor="middle")


def range_text(stds: Sequence[float | None]) -> str:
    """Return the smallest and the largest std of a row."""
    found = [std for std in stds if std is not None]
    low, high = f"{min(found):.3g}", f"{max(found):.3g}"
    return low if low == high else f"{low} … {high}"


def omitted_text(strip: Strip) -> str:
    """Return what a strip leaves out, or ''."""
    counts = [(strip.omitted_rows, "pattern"), (strip.omitted_layers, "layer")]
    found = [pluralize(count, f"more {noun}") for count, noun in counts if count]
    return f"Not shown: {' and '.join(found)}; use --filter." if found else ""


def _text(text: str, x: float, y: float, css_class: str, anchor: str = "start") -> str:
    given_class = f' class="{css_class}"' if css_class else ""
    given_anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{given_class}{given_anchor}>{escape_html(text)}</text>'


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
