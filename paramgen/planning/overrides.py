"""Match overrides to canonical names, with a limit on comparisons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from functools import partial
from itertools import takewhile

from paramgen import limits
from paramgen.language.diagnostics import LimitExceededError, Problem
from paramgen.language.parsed_spec import Override
from paramgen.messages import show


class Pattern:
    """A pattern of names with * ? and [].

    The pattern is split at each *, and each piece is searched for after the one before. For long literal pieces this is
    10 to 30 times as fast as the expression of `fnmatch`. `cost` counts comparisons.
    """

    def __init__(self, pattern: str):
        tokens = re.findall(r"\*+|\?|\[!?+\]?+[^]]*\]|.", pattern, re.DOTALL)
        pieces: list[list[str]] = [[]]
        for token in tokens:
            if token[0] == "*":
                pieces.append([])
            else:
                pieces[-1].append(token)
        first, *middle = [re.compile("".join(map(_one_character, piece)), re.DOTALL) for piece in pieces]
        self._first = first.match if middle else first.fullmatch
        self._last = middle.pop().fullmatch if middle else None
        self._width = len(pieces[-1])
        self._middle = [piece.search for piece in middle if piece.pattern]
        self._start = "".join(takewhile(lambda token: token not in ("*", "?") and len(token) == 1, tokens))
        self.cost = 1
        for piece in filter(None, pieces[1:-1]):
            is_literal = all(len(token) == 1 and token != "?" for token in piece)
            self.cost += 1 if is_literal else limits.SEARCH_COMPARISONS

    def matches(self, name: str) -> bool:
        if not name.startswith(self._start):
            return False
        match = self._first(name)
        if self._last is None or not match:
            return match is not None
        end = len(name) - self._width
        if end < match.end() or not self._last(name, end):
            return False
        for search in self._middle:
            match = search(name, match.end(), end)
            if not match:
                return False
        return True


def _one_character(token: str) -> str:
    """Return the regular expression of a pattern's token for one character."""
    if token == "?":
        return "."
    if len(token) == 1:
        return re.escape(token)
    before, after = translate("x").split("x")  # what fnmatch puts around any expression
    return translate(token).removeprefix(before).removesuffix(after)


class Overrides:
    """The overrides of a spec, with a limit on comparisons of patterns with names."""

    def __init__(self, overrides: Sequence[Override]):
        self._entries = [
            (Pattern(override.match), index, override) for index, override in enumerate(overrides) if override.when
        ]
        self._used = [False] * len(overrides)
        self._cost = sum(pattern.cost for pattern, _, _ in self._entries)
        self._num_comparisons = 0

    def count_names(self, count: int) -> None:
        """Count the comparisons with further names. Raises LimitExceededError if there are too many."""
        self._num_comparisons += count * self._cost
        if self._num_comparisons > limits.MAX_COMPARISONS:
            limit = f"more than {limits.MAX_COMPARISONS:,} comparisons of patterns with tensors (the limit)"
            message = f"{limit}; use fewer overrides, or fewer * in them"
            raise LimitExceededError(("overrides",), message)

    def matching(self, name: str) -> list[tuple[int, Override]]:
        """Return the overrides that match a name, with their indices, in order."""
        overrides = []
        for pattern, index, override in self._entries:
            if pattern.matches(name):
                overrides.append((index, override))
                self._used[index] = True
        return overrides

    def find_unused(self, suggest: Callable[[str], str], is_warning: bool) -> Iterator[Problem]:
        """Yield an error, or a warning, for each override that matched no name."""
        for _, index, override in self._entries:
            if not self._used[index]:
                message = f"{show(override.match)} matches no parameter"
                hint = partial(suggest, override.match)
                yield Problem(("overrides", index, "match"), message, suggest=hint, is_warning=is_warning)
