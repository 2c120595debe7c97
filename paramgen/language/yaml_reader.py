"""YAML text as plain data that records the line and column of every key and value.

Nodes are built from libyaml's events, because its own `compose` overflows the stack on deep input. Plain scalars follow
the core schema of YAML 1.2. Size, depth and aliases are bounded as events arrive.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from paramgen import limits
from paramgen.errors import Diagnostic, SpecError
from paramgen.language.document import TOO_DEEP, Document, LocatedDict, LocatedList, is_encodable
from paramgen.language.expressions import has_expression
from paramgen.messages import must_be, shorten

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# libyaml implements YAML 1.1, which breaks lines at the last three of these; YAML 1.2 does not.
_FORBIDDEN = (yaml.reader.Reader.NON_PRINTABLE, re.compile("[\x85\u2028\u2029]"))
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


class _InvalidYamlError(Exception):
    """Text that is not a spec's YAML, with the 0-based line and column of the error."""

    def __init__(self, message: str, line: int, column: int):
        super().__init__(message)
        self.line, self.column = line, column


def from_yaml(raw: bytes, source: str) -> Document:
    """Parse YAML text in UTF-8. Raises SpecError with line and column if it is invalid."""
    if raw[8:9] == b"{" and b"\0" in raw[:8]:  # a spec has no NUL
        message = "must be a spec, got a safetensors file; paramgen inspect FILE --spec prints the spec that it stores"
        raise SpecError(source, [Diagnostic(message, "", 1, 1)])
    if len(raw) > limits.MAX_FILE_BYTES:
        raise SpecError(source, [Diagnostic(f"the spec is larger than {limits.MAX_FILE_BYTES:,} bytes (the limit)")])
    composer = _Composer()
    try:
        composer.compose(_decode(raw))
    except _InvalidYamlError as error:
        raise SpecError(source, [Diagnostic(str(error), "", error.line + 1, error.column + 1)]) from None
    line, column = composer.start
    return Document(composer.root, source, (line + 1, column + 1), composer.has_expressions)


def escape_forbidden(text: str) -> str:
    """Return a string with the characters that a spec cannot contain as JSON's escapes."""
    for pattern in _FORBIDDEN:
        text = pattern.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def _decode(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"must be UTF-8, got byte 0x{raw[error.start]:02x}; save the spec as UTF-8"
        raise _error_after(raw[: error.start].decode("utf-8", "replace"), message) from None
    matches = (pattern.search(text) for pattern in _FORBIDDEN)
    if first := min(filter(None, matches), key=re.Match.start, default=None):
        message = f"character U+{ord(first[0]):04X} is not allowed; write it as an escape in double quotes"
        raise _error_after(text[: first.start()], message)
    return text


def _error_after(before: str, message: str) -> _InvalidYamlError:
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _InvalidYamlError(message, len(lines) - 1, len(lines[-1]))


def _explain_syntax(error: yaml.YAMLError, text: str) -> _InvalidYamlError:
    """Return libyaml's error with a hint on two common errors."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    line, column = (mark.line, mark.column) if mark else (0, 0)
    written = "".join(text.splitlines()[line : line + 1])
    before, after = written[:column], written[column:]
    if "cannot start any token" in reason and after.startswith("\t"):
        reason += "; indent with spaces, not tabs"
    if before.endswith("$") and after.startswith("{"):
        reason += '; inside [ ] and { } write "${…}" in quotes'
    return _InvalidYamlError(f"not valid YAML: {reason}", line, column)


class _ListFrame:
    """A list under construction. `first_event` is the number of events up to its own."""

    __slots__ = ("anchor", "column", "container", "first_event", "line")

    def __init__(self, event: Any, first_event: int):
        self.container = LocatedList()
        self.line, self.column = event.start_mark.line, event.start_mark.column
        self.anchor = event.anchor
        self.first_event = first_event

    @property
    def expects_key(self) -> bool:
        return False

    def add(self, value: Any, line: int, column: int, is_merge: bool) -> None:
        """Add a finished value as the next entry."""
        self.container.append(value)
        self.container.positions.extend((line, column))

    def end(self) -> LocatedList:
        return self.container


class _DictFrame:
    """A mapping under construction; `is_merge` if its last key is `<<`, which adds the keys of other mappings."""

    __slots__ = (
        "anchor",
        "column",
        "container",
        "first_event",
        "is_merge",
        "key",
        "key_column",
        "key_line",
        "line",
        "merged",
    )

    def __init__(self, event: Any, first_event: int):
        self.container = LocatedDict()
        self.line, self.column = event.start_mark.line, event.start_mark.column
        self.anchor = event.anchor
        self.first_event = first_event
        self.key: str | None = None
        self.key_line = self.key_column = 0
        self.is_merge = False
        self.merged: list[LocatedDict] = []

    @property
    def expects_key(self) -> bool:
        return self.key is None

    def add(self, value: Any, line: int, column: int, is_merge: bool) -> None:
        """Add a finished value as a key, or as the value of the last key."""
        if self.key is None:
            self._add_key(value, line, column, is_merge)
        elif self.is_merge:
            self._add_merged(value, line, column)
        else:
            self.container[self.key] = value
            self.container.positions.extend((self.key_line, self.key_column, line, column))
            self.key = None

    def _add_key(self, key: Any, line: int, column: int, is_merge: bool) -> None:
        if key.__class__ is not str:
            raise _InvalidYamlError(f"keys {must_be('strings', key)}; write it in quotes", line, column)
        if key in self.container or (is_merge and self.merged):
            raise _InvalidYamlError(f"duplicate key {shorten(key)}; remove one", line, column)
        self.key, self.key_line, self.key_column, self.is_merge = key, line, column, is_merge

    def _add_merged(self, value: Any, line: int, column: int) -> None:
        self.key = None
        sources = value if isinstance(value, LocatedList) else [value]
        if not sources or not all(isinstance(source, LocatedDict) for source in sources):
            raise _InvalidYamlError(f"<< {must_be('a mapping or a list of mappings', value)}", line, column)
        self.merged = sources

    def end(self) -> LocatedDict:
        """Return the mapping with the merged keys that it does not have itself."""
        container = self.container
        for source in self.merged:
            for index, (key, value) in enumerate(source.items()):
                if key not in container:
                    container[key] = value
                    container.positions.extend(source.positions[4 * index : 4 * index + 4])
        if len(container) > limits.MAX_KEYS:
            message = f"must have at most {limits.MAX_KEYS:,} keys, got {len(container):,}"
            raise _InvalidYamlError(message, self.line, self.column)
        return container


class _Composer:
    """Builds `root` from YAML events, with an explicit stack and limits checked at each event."""

    def __init__(self) -> None:
        self.root: Any = None
        self.start = (0, 0)
        self.has_expressions = False
        self._num_documents = 0
        self._num_events = 0
        self._stack: list[_DictFrame | _ListFrame] = []
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        self._resolved_scalars: dict[str, Any] = dict(_CONSTANTS)

    def compose(self, text: str) -> None:
        loader = _Loader(text)
        try:
            while event := loader.get_event():
                self._count_events(1, event)
                self._handle(event)
        except yaml.YAMLError as error:
            raise _explain_syntax(error, text) from None
        finally:
            loader.dispose()

    def _handle(self, event: Any) -> None:
        kind = event.__class__
        if kind is ScalarEvent:
            self._on_scalar(event)
        elif kind is MappingStartEvent:
            self._begin_collection(event, _DictFrame(event, self._num_events))
        elif kind is SequenceStartEvent:
            self._begin_collection(event, _ListFrame(event, self._num_events))
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._end_collection()
        elif kind is AliasEvent:
            self._on_alias(event)
        elif kind is DocumentStartEvent:
            self._num_documents += 1
            if self._num_documents > 1:
                _fail(event, "must be a single YAML document, got a second one; remove it")

    def _count_events(self, count: int, event: Any) -> None:
        self._num_events += count
        if self._num_events > limits.MAX_NODES:
            limit = f"{limits.MAX_NODES:,} keys and values (the limit), with aliases expanded"
            _fail(event, f"the spec has more than {limit}")

    def _on_scalar(self, event: Any) -> None:
        text = event.value
        if event.tag is not None:
            _fail(event, _explain_tag(event.tag))
        is_plain = event.implicit[0]
        if is_plain and text in self._resolved_scalars:
            value = self._resolved_scalars[text]
        else:
            value = _resolve(event) if is_plain else text
            if not is_encodable(text):
                _fail(event, must_be("valid Unicode", text))
            self.has_expressions = self.has_expressions or has_expression(text)
            if is_plain:
                self._resolved_scalars[text] = value
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, event.start_mark.line, event.start_mark.column, is_merge=is_plain and text == "<<")

    def _add(self, value: Any, line: int, column: int, is_merge: bool = False) -> None:
        """Add a finished value to the collection under construction, or as the root."""
        if self._stack:
            self._stack[-1].add(value, line, column, is_merge)
        else:
            self.root, self.start = value, (line, column)

    def _begin_collection(self, event: Any, frame: _DictFrame | _ListFrame) -> None:
        if event.tag is not None:
            _fail(event, _explain_tag(event.tag))
        if len(self._stack) == limits.MAX_DEPTH:
            _fail(event, TOO_DEEP)
        if self._stack and self._stack[-1].expects_key:
            _fail(event, "keys must be strings, got a mapping or a list")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(frame)

    def _end_collection(self) -> None:
        frame = self._stack.pop()
        container = frame.end()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (container, self._num_events - frame.first_event + 1)
        self._add(container, frame.line, frame.column)

    def _on_alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            _fail(event, f"alias *{shorten(event.anchor)} has no anchor before it")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            _fail(event, f"alias *{shorten(event.anchor)} is inside its own anchor")
        value, num_events = anchored
        self._count_events(num_events, event)
        self._add(value, event.start_mark.line, event.start_mark.column)


def _fail(event: Any, message: str) -> NoReturn:
    raise _InvalidYamlError(message, event.start_mark.line, event.start_mark.column)


def _explain_tag(tag: str) -> str:
    return f"tag {shorten(tag.replace('tag:yaml.org,2002:', '!!'))} is not allowed; remove it"


def _resolve(event: Any) -> Any:
    """Return the number that a plain scalar other than the constants stands for, or its text."""
    text = event.value
    if text[0] not in "+-.0123456789":
        return text
    integer = _INTEGER.fullmatch(text)
    if not integer and not _FLOAT.fullmatch(text):
        return text
    if len(text) > limits.MAX_NUMBER_LENGTH:
        _fail(event, f"numbers must have at most {limits.MAX_NUMBER_LENGTH} characters, got {len(text):,}")
    if integer:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text)
