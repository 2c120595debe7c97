"""The vocabulary of messages: escaped and shortened values, expectations and suggestions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any

MAX_VALUE_CHARS = 60
MAX_LISTED_WORDS = 10
_USER_INFO = re.compile(r"(://)[^/\s@]*@")
_QUERY = re.compile(r"(://[^\s?\"']*)\?[^\s\"']*")


def escape(text: str) -> str:
    """Escape control, format and other unprintable characters, so that no name acts on a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def shorten(text: str, max_chars: int = MAX_VALUE_CHARS) -> str:
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def show_text(text: str, max_chars: int = MAX_VALUE_CHARS) -> str:
    """Return a string as it is, but escaped and shortened."""
    return escape(shorten(text, max_chars))


def show_path(path: str) -> str:
    """Return a path or URL for messages: escaped, without credentials, or '' in quotes."""
    if "://" in path:
        address, query, _ = path.partition("?")  # a name may have spaces, which end a URL in other texts
        path = redact_urls(address) + (query and "?***")
    return escape(path) or "''"


def redact_urls(text: str) -> str:
    """Replace what may hold credentials in the URLs of a text: user names, passwords and queries."""
    if "://" not in text:
        return text
    text = _USER_INFO.sub(r"\1***@", text)
    return _QUERY.sub(r"\1?***", text)


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
    word: str, known: Collection[str], synonyms: Mapping[str, str] = MappingProxyType({}), cutoff: float = 0.65
) -> str | None:
    """Return the known word that `word` means or misspells. `cutoff` is difflib's: 1 accepts only the same word."""
    synonym = synonyms.get(word.lower())
    return synonym if synonym in known else _closest_match(word[:80].lower(), tuple(known), cutoff)


@lru_cache(1024)
def _closest_match(word: str, known: tuple[str, ...], cutoff: float) -> str | None:
    import difflib

    # Comparing words is slow, so only those of about the same length are compared.
    candidates = [name for name in known if abs(len(word) - len(name)) <= 0.5 * len(name)]
    matches = difflib.get_close_matches(word, candidates, n=1, cutoff=cutoff)
    return matches[0] if matches else None


def did_you_mean(match: str | None) -> str:
    """Return '; did you mean …?' of a match, or ''."""
    return f"; did you mean {escape(match)}?" if match else ""


def join_first(words: Iterable[str]) -> str:
    """Join the first words: 'a, b, …'."""
    first = [*islice(words, MAX_LISTED_WORDS + 1)]
    return ", ".join(first if len(first) <= MAX_LISTED_WORDS else [*first[:-1], "…"])


def join_or(words: Sequence[str]) -> str:
    """Join words: 'a, b or c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
