"""Pages of Markdown: tables, and the parts of a page between marks."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import mdformat

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!-- tools/generate\.py: (?P<part>[\w ]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def render_table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


def replace_parts(page: str, parts: dict[str, str]) -> str:
    """Return a page with new text between `<!-- tools/generate.py: PART -->` and `<!-- end -->`, formatted."""
    marked = [mark["part"] for mark in MARK.finditer(page)]
    if marked != list(parts):
        raise ValueError(f"the page must have the marks {', '.join(parts)}, got {', '.join(marked) or 'none'}")
    text = MARK.sub(lambda mark: f"{mark[1]}\n{parts[mark['part']]}\n{mark[3]}", page)
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mdformat"]
    return mdformat.text(text, options=options, extensions={"gfm", "tables"})
