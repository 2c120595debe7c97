"""YAML text as plain data that records the line and column of every key and value.

Nodes are built from libyaml's events, because its own `compose` overflows the stack on deep input. Plain scalars follow
the core schema of YAML 1.2. Size, depth and aliases are bounded as events arrive.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from paramgen import limits
from paramgen.errors import Diagnostic, SpecError
from paramgen.language.expressions import has_expression
from paramgen.messages import must_be, shorten

KeyPath = tuple[str | int, ...]

NESTED = f"nested more than {limits.MAX_DEPTH} levels deep (the limit)"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# libyaml implements YAML 1.1, which breaks lines at the last three of these; YAML 1.2 does not.
_REFUSED = (yaml.reader.Reader.NON_PRINTABLE, re.compile("[\x85\u2028\u2029]"))
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((sign + name for sign in ("", "+") for name in (".inf", ".Inf", ".INF")), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class Map(dict[str, Any]):
    """A mapping of a document. `places` holds four numbers per entry: 0-based line and column of key and value."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        self.places = array("I")


class Seq(list[Any]):
    """A sequence of a document. `places` holds two numbers per entry: 0-based line and column."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        self.places = array("I")


class Document:
    """A spec as read: `data` (Map, Seq and scalars), with the line and column of each path.

    `has_expressions` is True if any text in it contains `${`.
    """

    def __init__(self, data: Any, source: str, start: tuple[int, int] | None, has_expressions: bool):
        self.data = data
        self.source = source
        self.start = start
        self.has_expressions = has_expressions
        self._put: set[KeyPath] = set()

    def put(self, path: KeyPath, value: Any) -> None:
        """Set the value at a path, which then no longer has a line and column."""
        self.value(path[:-1])[path[-1]] = to_plain(value)
        self._put.add(path)

    def normalize(self, path: Iterable[str | int]) -> KeyPath:
        """Return the path without entries of what was written as a scalar; the last may be a missing key."""
        return normalize(self.data, path)

    def place(self, path: KeyPath, of_key: bool = False) -> tuple[int, int] | None:
        """Return the 1-based line and column of the value (or key) at a path, or of the nearest one around it."""
        if self.start is None or any(path[: len(put)] == put for put in self._put):
            return None
        node, place = self.data, self.start
        for entry in path:
            if isinstance(node, Seq) and isinstance(entry, int) and entry < len(node):
                line, column = node.places[2 * entry : 2 * entry + 2]
            elif isinstance(node, Map) and entry in node:
                start = 4 * list(node).index(str(entry))
                key, value = node.places[start : start + 2], node.places[start + 2 : start + 4]
                line, column = key if of_key and entry == path[-1] else value
            else:
                break
            node, place = node[entry], (line + 1, column + 1)
        return place

    def value(self, path: KeyPath) -> Any:
        """Return the value at a path, None if there is none."""
        node: Any = self.data
        for entry in path:
            try:
                node = node[entry]
            except (LookupError, TypeError):
                return None
        return node


def normalize(node: Any, path: Iterable[str | int]) -> KeyPath:
    """Return a path in data without entries of what was written as a scalar; the last may be a missing key."""
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


def from_yaml(raw: bytes, source: str) -> Document:
    """Parse YAML text in UTF-8; SpecError with line and column if it is invalid."""
    if len(raw) > limits.MAX_FILE_BYTES:
        raise SpecError(source, [Diagnostic(f"the spec is larger than {limits.MAX_FILE_BYTES:,} bytes (the limit)")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"must be UTF-8, got byte 0x{raw[error.start]:02x}; save the spec as UTF-8"
        raise SpecError(source, [_after(raw[: error.start].decode("utf-8", "replace"), message)]) from None
    if bad := min(filter(None, (pattern.search(text) for pattern in _REFUSED)), key=re.Match.start, default=None):
        message = f"character U+{ord(bad[0]):04X} is not allowed; write it as an escape in double quotes"
        raise SpecError(source, [_after(text[: bad.start()], message)])
    composer = _Composer(source)
    try:
        composer.compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        place = (mark.line, mark.column) if mark else (0, 0)
        before, after = _around(text, *place)
        if "cannot start any token" in reason and after.startswith("\t"):
            reason += "; indent with spaces, not tabs"
        if before.endswith("$") and after.startswith("{"):
            reason += '; inside [ ] and { } write "${…}" in quotes'
        raise SpecError(source, [_at(f"not valid YAML: {reason}", *place)]) from None
    line, column = composer.start
    return Document(composer.root, source, (line + 1, column + 1), composer.has_expressions)


def escape_refused(text: str) -> str:
    """Return a string with the characters that a spec refuses as JSON's escapes."""
    for pattern in _REFUSED:
        text = pattern.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


def _around(text: str, line: int, column: int) -> tuple[str, str]:
    """Return the text before and after a place in its line."""
    lines = text.splitlines()[line : line + 1] or [""]
    return lines[0][:column], lines[0][column:]


def from_mapping(mapping: Mapping[str, Any], source: str = "<mapping>") -> Document:
    """Make a document of a Python mapping of dicts, lists or tuples, strings, numbers, booleans and None."""
    nodes = 0
    has_expressions = False

    def convert(value: Any, path: KeyPath) -> Any:
        nonlocal nodes, has_expressions
        nodes += 1
        if len(path) > limits.MAX_DEPTH or nodes > limits.MAX_NODES:
            is_deep = len(path) > limits.MAX_DEPTH
            message = NESTED if is_deep else f"the spec has more than {limits.MAX_NODES:,} values (the limit)"
            raise SpecError(source, [Diagnostic(message, path_text(path))])
        value = to_plain(value)
        if value is None or isinstance(value, (str, bool, int, float)):
            if isinstance(value, str) and not _encodable(value):
                raise SpecError(source, [Diagnostic(must_be("valid Unicode", value), path_text(path))])
            has_expressions = has_expressions or has_expression(value)
            return value
        if isinstance(value, Mapping):
            result: dict[str, Any] = {}
            for key, entry in value.items():
                if type(key) is not str or not _encodable(key):
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


def _at(message: str, line: int, column: int) -> Diagnostic:
    return Diagnostic(message, "", line + 1, column + 1)


def _after(before: str, message: str) -> Diagnostic:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _at(message, len(lines) - 1, len(lines[-1]))


def _tag(tag: str) -> str:
    return shorten(tag.replace("tag:yaml.org,2002:", "!!"))


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


class _Frame:
    """A mapping or sequence under construction. `first` is the number of events up to its own."""

    __slots__ = (
        "anchor",
        "column",
        "container",
        "first",
        "is_merge",
        "key",
        "key_column",
        "key_line",
        "line",
        "merged",
    )

    def __init__(self, container: Map | Seq, line: int, column: int, anchor: str | None, first: int):
        self.container = container
        self.line, self.column = line, column
        self.anchor = anchor
        self.first = first
        self.key: str | None = None
        self.key_line = self.key_column = 0
        self.is_merge = False
        self.merged: list[Map] = []


class _Composer:
    """Builds `root` from YAML events, with an explicit stack and limits checked at each event."""

    def __init__(self, source: str):
        self.source = source
        self.root: Any = None
        self.start = (0, 0)
        self.documents = 0
        self.events = 0
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.plain: dict[str, Any] = dict(_CONSTANTS)
        self.has_expressions = False

    def compose(self, text: str) -> None:
        for event in yaml.parse(text, Loader=_Loader):
            self.count(1, event)
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.open(event, Map() if kind is yaml.MappingStartEvent else Seq())
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.close()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    self.fail(event.start_mark, "must be a single YAML document, got a second one; remove it")

    def fail(self, mark: Any, message: str) -> None:
        raise SpecError(self.source, [_at(message, mark.line, mark.column)])

    def count(self, events: int, event: Any) -> None:
        self.events += events
        if self.events > limits.MAX_NODES:
            limit = f"{limits.MAX_NODES:,} keys and values (the limit), with aliases expanded"
            self.fail(event.start_mark, f"the spec has more than {limit}")

    def scalar(self, event: Any) -> None:
        text, mark = event.value, event.start_mark
        if event.tag is not None:
            self.fail(mark, f"tag {_tag(event.tag)} is not allowed; remove it")
        if not event.implicit[0]:
            value = text
        elif text in self.plain:
            value = self.plain[text]
        else:
            value = self.plain[text] = self.resolve(text, mark)
        if not text.isascii() and not _encodable(text):
            self.fail(mark, must_be("valid Unicode", text))
        if has_expression(text):
            self.has_expressions = True
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self.put(value, mark.line, mark.column, is_merge=text == "<<" and event.implicit[0])

    def resolve(self, text: str, mark: Any) -> Any:
        if text[0] not in "+-.0123456789":
            return text
        integer = _INTEGER.fullmatch(text)
        if not integer and not _FLOAT.fullmatch(text):
            return text
        if len(text) > limits.MAX_NUMBER_LENGTH:
            self.fail(mark, f"numbers must have at most {limits.MAX_NUMBER_LENGTH} characters, got {len(text):,}")
        if integer:
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        return float(text)

    def put(self, value: Any, line: int, column: int, is_merge: bool = False) -> None:
        """Add a finished value to the container under construction: as an entry, a key or a value."""
        if not self.stack:
            self.root, self.start = value, (line, column)
            return
        frame = self.stack[-1]
        container = frame.container
        if container.__class__ is Seq:
            container.append(value)
            container.places.extend((line, column))
        elif frame.key is None:
            if value.__class__ is not str:
                message = f"keys {must_be('strings', value)}; write it in quotes"
                raise SpecError(self.source, [_at(message, line, column)])
            if value in container or (is_merge and frame.merged):
                message = f"duplicate key {shorten(value)}; remove one"
                raise SpecError(self.source, [_at(message, line, column)])
            frame.key, frame.key_line, frame.key_column, frame.is_merge = value, line, column, is_merge
        elif frame.is_merge:
            frame.key = None
            sources = value if isinstance(value, Seq) else [value]
            if not sources or not all(isinstance(source, Map) for source in sources):
                message = f"<< {must_be('a mapping or a list of mappings', value)}"
                raise SpecError(self.source, [_at(message, line, column)])
            frame.merged = sources
        else:
            assert isinstance(container, Map)
            container[frame.key] = value
            container.places.extend((frame.key_line, frame.key_column, line, column))
            frame.key = None

    def open(self, event: Any, container: Map | Seq) -> None:
        mark = event.start_mark
        if event.tag is not None:
            self.fail(mark, f"tag {_tag(event.tag)} is not allowed; remove it")
        if len(self.stack) == limits.MAX_DEPTH:
            self.fail(mark, NESTED)
        if self.stack and self.stack[-1].key is None and isinstance(self.stack[-1].container, Map):
            self.fail(mark, "keys must be strings, got a mapping or a list")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(container, mark.line, mark.column, event.anchor, self.events))

    def close(self) -> None:
        frame = self.stack.pop()
        container = frame.container
        if isinstance(container, Map):
            for source in frame.merged:
                for index, (key, value) in enumerate(source.items()):
                    if key not in container:
                        container[key] = value
                        container.places.extend(source.places[4 * index : 4 * index + 4])
            if len(container) > limits.MAX_KEYS:
                message = f"must have at most {limits.MAX_KEYS:,} keys, got {len(container):,}"
                raise SpecError(self.source, [_at(message, frame.line, frame.column)])
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (container, self.events - frame.first + 1)
        self.put(container, frame.line, frame.column)

    def alias(self, event: Any) -> None:
        mark = event.start_mark
        if event.anchor not in self.anchors:
            self.fail(mark, f"alias *{shorten(event.anchor)} has no anchor before it")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            self.fail(mark, f"alias *{shorten(event.anchor)} is inside its own anchor")
        assert anchored is not None
        value, events = anchored
        self.count(events, event)
        self.put(value, mark.line, mark.column)
