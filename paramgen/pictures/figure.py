"""The figure of `inspect --plot`: histograms, std by layer and sizes, drawn by Matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from paramgen.analysis.bins import Bars
from paramgen.errors import UsageError
from paramgen.messages import escape, shorten
from paramgen.pictures.measurement import MAX_BARS, Measurement
from paramgen.pictures.patterns import LEVELS, Strip, find_pattern, make_strip, shorten_patterns
from paramgen.pictures.svg import fit_name, group_label, omitted_text, range_text, share_text, tile_label
from paramgen.pictures.treemap import Group, group_tiles, place_tiles
from paramgen.storage.header import TensorEntry
from paramgen.units import human_bytes, pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")
MAX_HISTOGRAMS = 12
COLUMNS = 4
MAX_STRIP_ROWS = 24
MAX_STRIP_LAYERS = 200
# Inches.
WIDTH, HISTOGRAM_HEIGHT, ROW_HEIGHT, TREEMAP_HEIGHT, TITLE_HEIGHT, GAP = 12.0, 1.75, 0.24, 3.0, 0.7, 0.55
SIDE, STRIP_LABEL, STRIP_RANGE = 0.3, 2.9, 1.5
BAR, PROMISE, QUIET, TEXT = "#8fb4d8", "#b4420f", "#5b6570", "#1b2026"
TILES = ("#a9c8e6", "#f2c9a1", "#b5d9b2", "#d9c3e3", "#f0b9b5", "#b9dede", "#e3dba6", "#cfd4d9")
STDS = (
    *("#e3eef9", "#d3e4f3", "#bfd8ed", "#a6cbe6", "#8abcde", "#6caed6"),
    *("#519ccc", "#3989c1", "#2575b3", "#1561a2", "#084d8b", "#08366a"),
)


def choose_patterns(entries: Iterable[TensorEntry]) -> list[str]:
    """Return the patterns whose histograms are drawn: those with the most elements."""
    sizes: dict[str, int] = {}
    for entry in entries:
        pattern = find_pattern(entry.name)
        sizes[pattern] = sizes.get(pattern, 0) + entry.size
    return sorted(sizes, key=lambda pattern: -sizes[pattern])[:MAX_HISTOGRAMS]


def require_matplotlib() -> None:
    """Raise UsageError if Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("--plot needs the extra plot; run pip install 'paramgen[plot]'") from None


def draw_figure(title: str, measurement: Measurement, suffix: str) -> bytes:
    """Return a figure of measured tensors in one of FORMATS. Equal measurements have equal figures."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        # Text as outlines looks the same everywhere; the salt makes the names of elements the same each time.
        mpl.rcParams.update({"svg.hashsalt": "paramgen", "font.size": 8.0, "text.parse_math": False})
        mpl.rcParams.update({"text.color": TEXT, "xtick.color": QUIET, "axes.edgecolor": QUIET})
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = _draw(title, measurement)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
        figure.savefig(buffer, format=suffix, dpi=110, metadata=metadata)
    return buffer.getvalue()


def _draw(title: str, measurement: Measurement) -> Figure:
    """Return the figure. Its height follows from what it shows."""
    from matplotlib.figure import Figure

    entries = measurement.entries
    pools = {pattern: bins.bars(MAX_BARS) for pattern, bins in measurement.pools.items() if not bins.is_empty}
    strip = make_strip(measurement.statistics, max_rows=MAX_STRIP_ROWS, max_layers=MAX_STRIP_LAYERS)
    total = sum(entry.nbytes for entry in entries)
    heights = [
        -(-len(pools) // COLUMNS) * HISTOGRAM_HEIGHT,
        len(strip.rows) * ROW_HEIGHT + 0.4 if strip else 0.0,
        TREEMAP_HEIGHT if total else 0.0,
    ]
    height = TITLE_HEIGHT + sum(part + GAP for part in heights if part) + 0.15
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    page = _Page(figure, height)
    counts = f"{pluralize(len(entries), 'tensor')}, {human_bytes(total)}"
    page.text(SIDE, 0.4, shorten(escape(title), 100), size=13, weight="bold")
    page.text(SIDE, 0.6, counts, color=QUIET)
    top = TITLE_HEIGHT + GAP
    if pools:
        patterns = {find_pattern(entry.name) for entry in entries}
        of_all = f" (the {len(pools)} largest of {len(patterns):,} patterns)" if len(pools) < len(patterns) else ""
        promised = "; line: promised by the spec" if any(map(measurement.promise, entries)) else ""
        _head(page, top, f"Values{of_all}", f"bars: in the file{promised}")
        _draw_histograms(page, top, pools, measurement)
        top += heights[0] + GAP
    if strip:
        _head(page, top, "Standard deviation by layer", omitted_text(strip))
        _draw_strip(page, top, strip)
        top += heights[1] + GAP
    if total:
        _head(page, top, "Sizes", "colors: modules")
        _draw_treemap(page, top, group_tiles(entries), total)
    return figure


class _Page:
    """A figure with places in inches from its upper left corner."""

    def __init__(self, figure: Figure, height: float):
        self.figure = figure
        self.height = height

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        self.figure.text(x / WIDTH, 1 - y / self.height, text, **style)


def _head(page: _Page, top: float, heading: str, note: str) -> None:
    page.text(SIDE, top - 0.14, heading, size=10, weight="bold")
    page.text(WIDTH - SIDE, top - 0.14, note, color=QUIET, ha="right")


def _draw_histograms(page: _Page, top: float, pools: dict[str, Bars], measurement: Measurement) -> None:
    width = (WIDTH - 2 * SIDE) / COLUMNS
    for number, (pattern, bars) in enumerate(pools.items()):
        row, column = divmod(number, COLUMNS)
        x, y = SIDE + column * width, top + row * HISTOGRAM_HEIGHT
        axes = page.axes(x, y + 0.27, width - 0.25, HISTOGRAM_HEIGHT - 0.62)
        expected = measurement.expected_in_pool(pattern, bars)
        total = sum(bars.counts)
        shares, edges = [count / total for count in bars.counts], bars.edges
        ticks, labels = _ticks(edges)
        if len(shares) == 1:  # equal values, as a bar of some width
            edges, shares, expected = (
                [-4.5, -0.5, 0.5, 4.5],
                [0.0, 1.0, 0.0],
                [0.0, *expected, 0.0] if expected else None,
            )
            ticks, labels = [0.0], [f"{measurement.pools[pattern].low:.4g}"]
        axes.stairs(shares, edges, fill=True, color=BAR)
        if expected:
            axes.stairs(expected, edges, color=PROMISE, linewidth=1.1, baseline=None)
        axes.set_ylim(0, 1.08 * max(*shares, *(expected or ())))
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xticks(ticks, labels, size=7)
        axes.tick_params(length=2, pad=2)
        axes.set_yticks([])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        page.text(x, y + 0.2, fit_name(pattern, 42), size=7.5)


def _ticks(edges: Sequence[float]) -> tuple[list[float], list[str]]:
    """Return a few round numbers within a range, and their texts."""
    from matplotlib.ticker import MaxNLocator

    ticks = [float(tick) for tick in MaxNLocator(5).tick_values(edges[0], edges[-1])]
    ticks = [tick for tick in ticks if edges[0] <= tick <= edges[-1]]
    return ticks, [f"{tick:.6g}" for tick in ticks]


def _draw_strip(page: _Page, top: float, strip: Strip) -> None:
    from matplotlib.colors import ListedColormap

    width = min(0.4 * len(strip.layers), WIDTH - 2 * SIDE - STRIP_LABEL - STRIP_RANGE)
    axes = page.axes(SIDE + STRIP_LABEL, top + 0.15, width, len(strip.rows) * ROW_HEIGHT)
    levels = [[strip.level(std) if std else float("nan") for std in row.stds] for row in strip.rows]
    axes.imshow(levels, cmap=ListedColormap(STDS), vmin=0, vmax=LEVELS, aspect="auto", interpolation="nearest")
    every = max(1, -(-len(strip.layers) // int(width / 0.3)))
    columns = range(0, len(strip.layers), every)
    axes.set_xticks(columns, [str(strip.layers[column]) for column in columns], size=7)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(strip.rows)), [fit_name(label, 44) for label in _labels(strip)], size=7.5, color=TEXT)
    axes.tick_params(length=0, pad=3)
    axes.set_xticks([column - 0.5 for column in range(1, len(strip.layers))], minor=True)
    axes.set_yticks([row - 0.5 for row in range(1, len(strip.rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0 if len(strip.layers) <= 60 else 0.4)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    page.text(SIDE + STRIP_LABEL - 0.06, top + 0.08, "layer", size=7, color=QUIET, ha="right")
    for number, row in enumerate(strip.rows):
        y = top + 0.15 + (number + 0.65) * ROW_HEIGHT
        page.text(SIDE + STRIP_LABEL + width + 0.1, y, range_text(row.stds), size=7, color=QUIET)
    y = top + 0.15 + len(strip.rows) * ROW_HEIGHT + 0.1
    scale = page.axes(SIDE + STRIP_LABEL, y, 1.8, 0.13)
    scale.imshow([range(LEVELS)], cmap=ListedColormap(STDS), aspect="auto", interpolation="nearest")
    scale.set_axis_off()
    low, high = strip.limits
    page.text(SIDE + STRIP_LABEL - 0.06, y + 0.11, f"std {low:.3g}", size=7, color=QUIET, ha="right")
    page.text(SIDE + STRIP_LABEL + 1.88, y + 0.11, f"{high:.3g}, logarithmic", size=7, color=QUIET)


def _labels(strip: Strip) -> list[str]:
    return shorten_patterns(row.pattern for row in strip.rows)


def _draw_treemap(page: _Page, top: float, groups: Sequence[Group], total: int) -> None:
    from matplotlib.patches import Rectangle

    width, height = WIDTH - 2 * SIDE, TREEMAP_HEIGHT - 0.35
    axes = page.axes(SIDE, top, width, height)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for number, tile, (x, y, tile_width, tile_height) in place_tiles(groups, width, height):
        color = _color(number, groups)
        axes.add_patch(Rectangle((x, y), tile_width, tile_height, facecolor=color, edgecolor="white", linewidth=1))
        room = int((tile_width - 0.1) / 0.068)
        size = f"{human_bytes(tile.nbytes)}, {share_text(tile.nbytes, total)}"
        if room >= 8 and tile_height >= 0.2:
            axes.text(x + 0.06, y + 0.15, shorten(tile_label(tile, groups[number]), room), size=7.5)
        if room >= len(size) and tile_height >= 0.36:
            axes.text(x + 0.06, y + 0.29, size, size=7, color="#3b4650")
    x = SIDE
    for number, group in enumerate(groups):
        label = f"{group_label(group, 34)} {share_text(group.nbytes, total)}"
        length = 0.35 + 0.075 * len(label)
        if x + length > WIDTH - SIDE:
            break
        swatch = (x - SIDE, height + 0.13)
        axes.add_patch(Rectangle(swatch, 0.13, 0.13, facecolor=_color(number, groups), clip_on=False))
        page.text(x + 0.19, top + height + 0.24, label, size=7.5)
        x += length


def _color(number: int, groups: Sequence[Group]) -> str:
    return TILES[-1 if groups[number].pattern is None else number]
