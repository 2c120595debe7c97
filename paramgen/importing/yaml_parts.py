"""Pieces of YAML: scalars, lists and mappings in flow style, and lines that are not too long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from paramgen.json_text import quote_json
from paramgen.language.yaml_reader import escape_forbidden

WIDTH = 120

_WORD = re.compile(r"(?!(?:true|false|null)\Z)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)
# What needs no quotes outside of flow style, if an expression is in it.
_BLOCK_TEXT = re.compile(r"[A-Za-z_$][\w.${}\[\]()<>=!%+*/ -]*", re.ASCII)


def scalar(text: str, *, in_flow: bool = True) -> str:
    """Return a string, in quotes unless the reader of specs takes it for a string anyway."""
    is_plain = _WORD.fullmatch(text) or (not in_flow and _BLOCK_TEXT.fullmatch(text) and "$" in text)
    return text if is_plain else escape_forbidden(quote_json(text))


def value(data: Any) -> str:
    """Return any data in flow style."""
    if isinstance(data, str):
        return scalar(data)
    if isinstance(data, Mapping):
        return flow_mapping(f"{scalar(key)}: {value(item)}" for key, item in data.items())
    if isinstance(data, Sequence):
        return f"[{', '.join(map(value, data))}]"
    return {True: "true", False: "false"}.get(data, repr(data)) if isinstance(data, bool) else repr(data)


def flow_mapping(fields: Any) -> str:
    return f"{{{', '.join(fields)}}}"


def fill(prefix: str, text: str) -> list[str]:
    """Return a line, broken after commas of flow style if it is too long."""
    if len(prefix) + len(text) <= WIDTH or ", " not in text:
        return [prefix + text]
    margin = " " * (len(prefix) - len(prefix.lstrip()) + 2)
    lines, line = [], prefix
    for part in text.split(", "):
        if len(line) + len(part) + 1 > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = margin
        line += f"{part}, "
    return [*lines, line.removesuffix(", ")]


def with_comment(lines: Sequence[str], comment: str | None) -> list[str]:
    """Return lines with a comment at the end of the first one or, if it does not fit there, before it."""
    if not comment:
        return list(lines)
    first, *others = lines
    line = f"{first} # {comment}"
    if len(line) <= WIDTH:
        return [line, *others]
    margin = " " * (len(first) - len(first.lstrip()))
    return [f"{margin}# {comment}", *lines]
