"""Text for people: escaped names, short values, units, suggestions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from json.encoder import encode_basestring
from types import MappingProxyType
from typing import Any

MAX_VALUE_CHARS = 60
LONGEST_LIST = 10
_UNPLAIN = re.compile(r"[^\x00-\x7e]")

quote_json = encode_basestring  # a string as JSON has it: in quotes, characters beyond ASCII as they are


def escape(text: str) -> str:
    """Escape control, format and other unprintable characters, so that no name acts on a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def is_word(text: str) -> bool:
    """Return True if a string has Unicode letters, decimal digits and _ only (no ², ① or combining marks)."""
    if text.isascii():
        return text.replace("_", "a").isalnum() or not text
    return all(c.isalpha() or c.isdecimal() or c == "_" for c in text)


def escape_json(text: str) -> str:
    """Escape what is not printable in a string of JSON, which keeps its value."""
    if text.isascii() and "\x7f" not in text:  # control characters below are escaped in any JSON
        return text
    return _UNPLAIN.sub(_escape_in_json, text)


def dump_json(value: Any, indent: str = "\n") -> str:
    """Return what `json.dumps(value, indent=2, ensure_ascii=False)` returns, for finite values, in a third of its time.

    The json module indents in Python, step by step. `indent` is the line break before the value's own lines.
    """
    if isinstance(value, dict | list):
        inner = f"{indent}  "
        if isinstance(value, dict):
            items = [f"{quote_json(key)}: {dump_json(item, inner)}" for key, item in value.items()]
        else:
            items = [dump_json(item, inner) for item in value]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return opening + inner + f",{inner}".join(items) + indent + closing if items else opening + closing
    if isinstance(value, str):
        return quote_json(value)
    return repr(value) if type(value) in (int, float) else json.dumps(value)


def _escape_in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def shorten(text: str, longest: int = MAX_VALUE_CHARS) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def show_text(text: str, longest: int = MAX_VALUE_CHARS) -> str:
    """Return a string as it is, but escaped and shortened."""
    return escape(shorten(text, longest))


def show_path(path: str) -> str:
    """Return a path for messages: escaped, or '' in quotes."""
    return escape(path) or "''"


def show(value: Any) -> str:
    """Return a value as YAML writes it on one line, shortened: strings in quotes, true, false, null."""
    if isinstance(value, str):
        return "'" + escape(shorten(value)) + "'"
    if isinstance(value, dict) and value:
        return "a mapping"
    if isinstance(value, list):
        is_short = len(value) <= 8 and not any(isinstance(item, (dict, list)) for item in value)
        return f"[{', '.join(map(show, value))}]" if is_short else f"a list of {len(value):,} entries"
    if type(value) is int and value.bit_length() > 512:
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f".{value}".replace(".-", "-.")
    is_plain = value is None or isinstance(value, (bool, int, float))
    return shorten(json.dumps(value) if is_plain else escape(repr(value)))


def must_be(expected: str, value: Any) -> str:
    """Return the message of a wrong value."""
    return f"must be {expected}, got {show(value)}"


def must_be_array(value: Any) -> str:
    """Return the message of a value that is not an array."""
    return f"must be a NumPy or CuPy array, got {type(value).__name__}"


def closest_match(
    word: str, known: Collection[str], synonyms: Mapping[str, str] = MappingProxyType({}), likeness: float = 0.65
) -> str | None:
    """Return the known word that `word` is a synonym or a misspelling of; `likeness` is difflib's, 1 for the same."""
    synonym = synonyms.get(word.lower())
    return synonym if synonym in known else _closest_match(word[:80].lower(), tuple(known), likeness)


@lru_cache(1024)
def _closest_match(word: str, known: tuple[str, ...], likeness: float) -> str | None:
    import difflib

    # Comparing words is slow, so only those of about the same length are compared.
    alike = [other for other in known if abs(len(word) - len(other)) <= 0.5 * len(other)]
    matches = difflib.get_close_matches(word, alike, n=1, cutoff=likeness)
    return matches[0] if matches else None


def did_you_mean(match: str | None) -> str:
    """Return '; did you mean …?' of a match, or ''."""
    return f"; did you mean {escape(match)}?" if match else ""


def some_of(words: Iterable[str]) -> str:
    """Join the first words: 'a, b, …'."""
    shown = [*islice(words, LONGEST_LIST + 1)]
    return ", ".join(shown if len(shown) <= LONGEST_LIST else [*shown[:-1], "…"])


def one_of(words: Sequence[str]) -> str:
    """Join words: 'a, b or c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def human_bytes(count: int) -> str:
    """Return a number of bytes in decimal units: 38.9 kB."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000
        if size < 999.95 or unit == "PB":
            return f"{size:.3g} {unit}" if size < 99.95 else f"{size:.0f} {unit}"
    raise AssertionError


def human_count(count: int) -> str:
    """Return a large number in words: 9,728; 1.23 million."""
    for unit, size in (("trillion", 10**12), ("billion", 10**9), ("million", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count:,}"


def format_number(value: float) -> str:
    """Return a number to six significant digits, without trailing zeros."""
    return f"{value:.6g}"


def pluralize(count: int, noun: str) -> str:
    """Return '1 tensor', '2 tensors'."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def summarize(tensors: int, parameters: int, buffer_elements: int, size: int) -> str:
    """Return the counts of a plan or file: '9 tensors, 1.23 million parameters, 40 buffer elements, 4.92 MB'."""
    counts = {"parameter": parameters, **({"buffer element": buffer_elements} if buffer_elements else {})}
    elements = (f"{human_count(count)} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
    return ", ".join((pluralize(tensors, "tensor"), *elements, human_bytes(size)))
