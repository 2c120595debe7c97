"""Small SVG pictures of values: a histogram, a heat map, bars.

The same values give the same text on every machine. The colours suit light and dark pages.
"""

from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN = 320, 130, 8
LABELS = 18  # height of the line below a plot
POSITIVE, NEGATIVE, GREY = "#4c6fd9", "#d9774c", "#808080"
LEVELS = 8  # of a heat map, for each sign


def draw_histogram(values: Sequence[float], bins: int = 64) -> str:
    """Return a histogram from the smallest to the largest value."""
    low, high = min(values), max(values)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / width), bins - 1)] += 1
    step = (WIDTH - 2 * MARGIN) / bins
    largest = max(counts)
    path = "".join(
        draw_bar(MARGIN + index * step, base_line(), step, (base_line() - MARGIN) * count / largest)
        for index, count in enumerate(counts)
        if count
    )
    return wrap(fill(path, POSITIVE) + draw_line(base_line()) + draw_labels(f"{low:.3g}", f"{high:.3g}"))


def draw_bars(values: Sequence[float]) -> str:
    """Return a bar for each value, in order."""
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (base_line() - MARGIN) / (high - low or 1.0)
    zero = base_line() + low * scale
    step = (WIDTH - 2 * MARGIN) / len(values)
    paths = {POSITIVE: "", NEGATIVE: ""}
    for index, value in enumerate(values):
        if value:
            colour = POSITIVE if value > 0 else NEGATIVE
            paths[colour] += draw_bar(MARGIN + (index + 0.1) * step, zero, 0.8 * step, value * scale)
    bars = "".join(fill(path, colour) for colour, path in paths.items() if path)
    return wrap(bars + draw_line(zero) + draw_labels("0", f"{len(values) - 1}"))


def draw_heat_map(rows: Sequence[Sequence[float]]) -> str:
    """Return a square for each value of a matrix; zeros are empty."""
    size = min((WIDTH - 2 * MARGIN) // len(rows[0]), (HEIGHT - 2 * MARGIN) // len(rows))
    left = (WIDTH - size * len(rows[0])) // 2
    largest = max(abs(value) for row in rows for value in row)
    paths: dict[int, str] = {}
    for down, row in enumerate(rows):
        for across, value in enumerate(row):
            if level := round(LEVELS * value / largest):
                square = f"M{left + across * size} {MARGIN + down * size}h{size}v{size}h-{size}z"
                paths[level] = paths.get(level, "") + square
    frame = (
        f'<rect x="{left}" y="{MARGIN}" width="{size * len(rows[0])}" height="{size * len(rows)}" '
        f'fill="none" stroke="{GREY}" stroke-width="0.5"/>\n'
    )
    squares = "".join(
        fill(paths[level], POSITIVE if level > 0 else NEGATIVE, abs(level) / LEVELS) for level in sorted(paths)
    )
    return wrap(squares + frame)


def base_line() -> int:
    """Return the height of the line below the bars of a histogram."""
    return HEIGHT - LABELS


def draw_bar(x: float, y: float, width: float, height: float) -> str:
    """Return a bar from y upwards, as a part of a path."""
    return f"M{x:.1f} {y:.1f}v{-height:.1f}h{width:.1f}v{height:.1f}z"


def draw_line(y: float) -> str:
    return f'<path d="M{MARGIN} {y:.1f}H{WIDTH - MARGIN}" stroke="{GREY}"/>\n'


def draw_labels(left: str, right: str) -> str:
    """Return the labels of the ends of the horizontal axis."""
    style = f'y="{HEIGHT - 4}" font-family="sans-serif" font-size="11" fill="{GREY}"'
    ends = ((MARGIN, "start", left), (WIDTH - MARGIN, "end", right))
    return "".join(f'<text x="{x}" {style} text-anchor="{anchor}">{text}</text>\n' for x, anchor, text in ends)


def fill(path: str, colour: str, opacity: float = 1.0) -> str:
    shade = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<path fill="{colour}"{shade} d="{path}"/>\n'


def wrap(content: str) -> str:
    """Return the SVG of a picture's elements."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return f"{head}\n{content}</svg>\n"
