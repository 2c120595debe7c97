"""The report: one self-contained HTML file with tree, search, histograms, std by layer, sizes, metadata and spec."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from paramgen.analysis.file_report import Statistics
from paramgen.catalog.frameworks import is_buffer
from paramgen.errors import MalformedFileError
from paramgen.messages import escape, shorten
from paramgen.name_tree import Node, TreeTensor, fold
from paramgen.pictures.measurement import Measurement
from paramgen.pictures.patterns import make_strip
from paramgen.pictures.svg import draw_strip, draw_treemap, escape_html, omitted_text, show_name
from paramgen.pictures.treemap import group_tiles
from paramgen.spec import Spec
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.header import TensorEntry
from paramgen.units import human_bytes, summarize

# The heights of bars, as report.js reads them.
LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
MAX_LEVEL = len(LEVELS) - 1
MAX_STRIP_ROWS = 40
MAX_STRIP_LAYERS = 200
MAX_VALUE_CHARS = 2000
MAX_SPEC_CHARS = 200_000


def make_report(checkpoint: Checkpoint, measurement: Measurement) -> bytes:
    """Return a report of measured tensors as HTML. Equal files have equal reports."""
    style, script, page = ((files("paramgen.pictures") / f"report.{kind}").read_text("utf-8") for kind in _KINDS)
    values = {
        "title": escape_html(checkpoint.name),
        "summary": escape_html(_summary(checkpoint, measurement.entries)),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": _pack(_data(measurement)),
        "pictures": "".join(_pictures(measurement)),
        "metadata": "".join(_metadata(checkpoint)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], page).encode()


_KINDS = ("css", "js", "html")


def _hash(text: str) -> str:
    """Return the hash by which the page's policy permits a style or script, and nothing else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _pack(data: Any) -> str:
    """Return JSON, compressed, as letters and digits: no text in it is markup."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _summary(checkpoint: Checkpoint, entries: Sequence[TensorEntry]) -> str:
    buffers = sum(entry.size for entry in entries if is_buffer(entry.name))
    parameters = sum(entry.size for entry in entries) - buffers
    text = summarize(len(entries), parameters, buffers, sum(entry.nbytes for entry in entries))
    dtypes = ", ".join(dict.fromkeys(entry.dtype.name for entry in entries))
    count = len(checkpoint.tensors)
    return f"{text}, {dtypes}" if len(entries) == count else f"{text} (of {count:,} tensors), {dtypes}"


def _data(measurement: Measurement) -> dict[str, Any]:
    """Return what report.js reads: a column for each fact, which compresses best, and the tree."""
    entries = measurement.entries
    types: dict[tuple[str, str, str, str], int] = {}
    promises: dict[str, int] = {"": 0}
    numbers = {entry.name: number for number, entry in enumerate(entries)}
    tree = fold(TreeTensor(entry.name, entry.dtype, entry.shape) for entry in entries)
    return {
        "names": [show_name(entry.name) for entry in entries],
        "type": [types.setdefault(_type(entry), len(types)) for entry in entries],
        "promise": [promises.setdefault(_promise_text(measurement, entry), len(promises)) for entry in entries],
        "statistics": [_statistics(measurement.statistics[entry.name]) for entry in entries],
        "bars": [_bars(measurement, entry) for entry in entries],
        "types": [*types],
        "promises": [*promises],
        "tree": [_branch(node, [""], numbers) for node in tree],
    }


def _type(entry: TensorEntry) -> tuple[str, str, str, str]:
    return entry.dtype.name, str(list(entry.shape)), f"{entry.size:,}", human_bytes(entry.nbytes)


def _promise_text(measurement: Measurement, entry: TensorEntry) -> str:
    tensor = measurement.planned_tensor(entry)
    return escape(", ".join(dict.fromkeys(part.summary() for part in tensor.resolved))) if tensor else ""


def _statistics(found: Statistics | None) -> list[float | int | None] | None:
    """Return statistics with four digits, in the order of report.js."""
    if found is None:
        return None
    values = (found["mean"], found["std"], found["min"], found["max"], found["zeros"], found["nan"], found["inf"])
    return [float(f"{value:.4g}") if isinstance(value, float) else value for value in values]


def _bars(measurement: Measurement, entry: TensorEntry) -> list[Any] | None:
    """Return where bars begin, their width, heights and promised heights, and the share of the highest."""
    bars = measurement.bars.get(entry.name)
    if bars is None:
        return None
    total = sum(bars.counts)
    shares = [count / total for count in bars.counts]
    expected = measurement.expected(entry) or []
    top = max(*shares, *expected, 0.0)
    heights = "".join(LEVELS[max(1, round(share / top * MAX_LEVEL)) if share else 0] for share in shares)
    promised = "".join(LEVELS[round(share / top * MAX_LEVEL)] for share in expected)
    return [bars.start, bars.width, heights, promised, float(f"{top:.3g}")]


def _branch(node: Node, prefixes: Sequence[str], numbers: Mapping[str, int]) -> list[Any]:
    """Return a node for report.js: label, numbers of its tensors, children, size. Groups of one name are joined."""
    label, names = node.label, _join(prefixes, node.names)
    while node.leaf is None and len(node.names) == len(node.children) == 1:
        (node,) = node.children
        label, names = f"{label}.{node.label}", _join([f"{name}." for name in names], node.names)
    tensors = [numbers[name] for name in names] if node.leaf else []
    below = [f"{name}." for name in names]
    size = human_bytes(node.totals.nbytes * (len(names) // len(node.names)))
    return [show_name(label), tensors, [_branch(child, below, numbers) for child in node.children], size]


def _join(prefixes: Sequence[str], names: Sequence[str]) -> list[str]:
    return [prefix + name for prefix in prefixes for name in names]


def _pictures(measurement: Measurement) -> Iterator[str]:
    """Yield the sections of the strip and the treemap."""
    strip = make_strip(measurement.statistics, max_rows=MAX_STRIP_ROWS, max_layers=MAX_STRIP_LAYERS)
    if strip:
        yield _section("Standard deviation by layer", draw_strip(strip), omitted_text(strip))
    total = sum(entry.nbytes for entry in measurement.entries)
    if total:
        note = "Areas are sizes in bytes. Layers of equal names are one tile, and colors are modules."
        yield _section("Sizes", draw_treemap(group_tiles(measurement.entries), total), note)


def _section(heading: str, picture: str, note: str) -> str:
    caption = f"<figcaption>{escape_html(note)}</figcaption>" if note else ""
    return f'<section><h2>{heading}</h2><figure><div class="scroll">{picture}</div>{caption}</figure></section>'


def _metadata(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield the sections of the metadata and of the stored spec."""
    metadata = dict(checkpoint.metadata)
    spec_text = _spec_text(checkpoint) if "paramgen_spec" in metadata else None
    if spec_text is not None:
        del metadata["paramgen_spec"]
    if metadata:
        rows = (
            f'<tr><th scope="row">{escape_html(key)}</th><td>{escape_html(shorten(value, MAX_VALUE_CHARS))}</td></tr>'
            for key, value in metadata.items()
        )
        yield f"<section><h2>Metadata</h2><table>{''.join(rows)}</table></section>"
    if spec_text is not None:
        text = "\n".join(map(escape_html, shorten(spec_text, MAX_SPEC_CHARS).split("\n")))
        yield f'<section><h2>Spec</h2><pre tabindex="0" aria-label="Stored spec">{text}</pre></section>'


def _spec_text(checkpoint: Checkpoint) -> str | None:
    """Return the stored spec as YAML, None if this version cannot read it."""
    try:
        return Spec.from_file(checkpoint.files[0].path).to_yaml()
    except MalformedFileError:
        return None
