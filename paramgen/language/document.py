"""Documents: plain data of a spec, with the line and column of every key and value if it was read from a file."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from paramgen import limits
from paramgen.catalog.fields import KeyPath
from paramgen.errors import Diagnostic, SpecError
from paramgen.language.expressions import has_expression
from paramgen.messages import must_be

TOO_DEEP = f"nested more than {limits.MAX_DEPTH} levels deep (the limit)"


class LocatedDict(dict[str, Any]):
    """A mapping of a document. `positions` holds four numbers per entry: 0-based line and column of key and value."""

    __slots__ = ("positions",)

    def __init__(self) -> None:
        self.positions = array("I")


class LocatedList(list[Any]):
    """A sequence of a document. `positions` holds two numbers per entry: 0-based line and column."""

    __slots__ = ("positions",)

    def __init__(self) -> None:
        self.positions = array("I")


class Document:
    """A spec as read: `data` (LocatedDict, LocatedList and scalars), with the line and column of each path.

    `has_expressions` is True if any text in it contains `${`. `folder` is that of the spec's file, whose files it may
    name; None if the spec is not a file.
    """

    def __init__(self, data: Any, source: str, start: tuple[int, int] | None, has_expressions: bool):
        self.data = data
        self.source = source
        self.start = start
        self.has_expressions = has_expressions
        self.folder: str | None = None
        self._replaced: set[KeyPath] = set()

    @property
    def default_name(self) -> str:
        """The name of a model whose spec has none: that of the spec's file without its ending."""
        stem = os.path.splitext(os.path.basename(self.source))[0] if self.start else ""
        return "model" if stem.startswith("<") else stem or "model"

    def replace(self, path: KeyPath, value: Any) -> None:
        """Set the value at a path, which then no longer has a line and column."""
        self.value(path[:-1])[path[-1]] = to_plain(value)
        self._replaced.add(path)

    def is_replaced(self, path: KeyPath) -> bool:
        """Return True if the value at a path, or one around it, was set by `replace`."""
        return any(path[: len(replaced)] == replaced for replaced in self._replaced)

    def clip_path(self, path: Iterable[str | int]) -> KeyPath:
        """Drop the entries of a path that are inside a value written as a scalar; the last may be a missing key."""
        return clip_path(self.data, path)

    def locate(self, path: KeyPath, of_key: bool = False) -> tuple[int, int] | None:
        """Return the 1-based line and column of the value (or key) at a path, or of the nearest one around it."""
        if self.start is None or self.is_replaced(path):
            return None
        node, position = self.data, self.start
        for entry in path:
            if isinstance(node, LocatedList) and isinstance(entry, int) and entry < len(node):
                line, column = node.positions[2 * entry : 2 * entry + 2]
            elif isinstance(node, LocatedDict) and entry in node:
                start = 4 * list(node).index(str(entry))
                key, value = node.positions[start : start + 2], node.positions[start + 2 : start + 4]
                line, column = key if of_key and entry == path[-1] else value
            else:
                break
            node, position = node[entry], (line + 1, column + 1)
        return position

    def value(self, path: KeyPath) -> Any:
        """Return the value at a path, None if there is none."""
        node: Any = self.data
        for entry in path:
            try:
                node = node[entry]
            except (LookupError, TypeError):
                return None
        return node


def clip_path(node: Any, path: Iterable[str | int]) -> KeyPath:
    """Drop the entries of a path in data that are inside a scalar; the last may be a missing key."""
    kept: list[str | int] = []
    for entry in path:
        if entry in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
            node = node[entry]
        elif isinstance(entry, str) and (isinstance(node, dict) or entry != "type"):
            return (*kept, entry)
        else:
            continue
        kept.append(entry)
    return tuple(kept)


def path_text(path: KeyPath) -> str:
    """Format a path: `operations[1].num_filters`."""
    text = "".join(f"[{entry}]" if isinstance(entry, int) else f".{entry[:80]}" for entry in path)
    return text.removeprefix(".")


def from_mapping(mapping: Mapping[str, Any], source: str = "<mapping>") -> Document:
    """Make a document of a Python mapping of dicts, lists or tuples, strings, numbers, booleans and None."""
    nodes = 0
    has_expressions = False

    def convert(value: Any, path: KeyPath) -> Any:
        nonlocal nodes, has_expressions
        nodes += 1
        if len(path) > limits.MAX_DEPTH or nodes > limits.MAX_NODES:
            is_deep = len(path) > limits.MAX_DEPTH
            message = TOO_DEEP if is_deep else f"the spec has more than {limits.MAX_NODES:,} values (the limit)"
            raise SpecError(source, [Diagnostic(message, path_text(path))])
        value = to_plain(value)
        if value is None or isinstance(value, (str, bool, int, float)):
            if isinstance(value, str) and not is_encodable(value):
                raise SpecError(source, [Diagnostic(must_be("valid Unicode", value), path_text(path))])
            has_expressions = has_expressions or has_expression(value)
            return value
        if isinstance(value, Mapping):
            result: dict[str, Any] = {}
            for key, entry in value.items():
                if type(key) is not str or not is_encodable(key):
                    raise SpecError(source, [Diagnostic(f"keys {must_be('strings', key)}", path_text(path))])
                result[key] = convert(entry, (*path, key))
            return result
        if isinstance(value, (list, tuple)):
            return [convert(entry, (*path, index)) for index, entry in enumerate(value)]
        message = must_be("a mapping, list, string, number, boolean or null", value)
        raise SpecError(source, [Diagnostic(message, path_text(path))])

    data = convert(mapping, ())
    return Document(data, source, None, has_expressions)


def to_plain(value: Any) -> Any:
    """Convert subclasses of strings, booleans and numbers (enums) and NumPy scalars to Python's own types."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return str.__str__(value) if kind is str else kind(value)
    return value


def is_encodable(text: str) -> bool:
    """Return False if a string contains surrogates, which have no encoding in UTF-8."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
