"""Expressions of the indices of repetitions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paramgen.importing.merging import describe_condition
from paramgen.importing.structure import END, INDEX, Varying
from paramgen.importing.variables import Variables


@dataclass(slots=True)
class Frame:
    """A repetition around the text that is written, with the variable of its index."""

    variable: str
    indices: tuple[int, ...]
    path: str
    is_used: bool = False

    def position(self) -> str:
        """Return an expression that counts the repetitions from 0."""
        self.is_used = True
        return self.variable if self.indices[0] == 0 else f"({self.variable} - {self.indices[0]})"

    def insert(self, condition: str, variables: Variables) -> str:
        """Return a condition with the variable of the index in it."""
        self.is_used = True
        if END in condition:
            count = variables.count(self.path, len(self.indices)) if self.indices[0] == 0 else None
            last = f"{count} - 1" if count else str(self.indices[-1])
            condition = condition.replace(f"{END} - 1", last)
        return condition.replace(INDEX, self.variable)


def write_varying(
    number: Varying, frames: Sequence[Frame], variables: Variables, path: str, suffix: str, axis: int | None
) -> str:
    """Return an expression for a number that depends on indices: a choice of two, or an item of a list.

    `axis` is that of a size. `path` and `suffix` name a new list.
    """
    distances = sorted(_find_distances(number), reverse=True)
    used = [frames[-1 - distance] for distance in distances]
    if len(used) == 1 and (choice := _write_choice(number, used[0], variables, path, axis)):
        return choice
    position = used[0].position()
    for frame in used[1:]:
        outer = f"({position})" if " + " in position else position
        position = f"{len(frame.indices)} * {outer} + {frame.position()}"
    numbers = [_find_number(number, dict(zip(distances, positions, strict=True))) for positions in _product(used)]
    words = [word for word in path.split(".") if word != "*" and not word.isdigit()]
    word = re.sub(r"\W+", "_", words[-2] if len(words) > 1 else words[0] if words else "list")
    factor, name = variables.list_of(numbers, f"{word}_{suffix}")
    return f"{factor} * {name}[{position}]" if factor > 1 else f"{name}[{position}]"


def _write_choice(number: Varying, frame: Frame, variables: Variables, path: str, axis: int | None) -> str | None:
    """Return `a if condition else b`, None if there are more numbers or no short condition."""
    first = number.items[0]
    others = {item for item in number.items if item != first}
    if len(others) != 1:
        return None
    selected = [index for index, item in zip(frame.indices, number.items, strict=True) if item == first]
    condition = describe_condition(selected, frame.indices)
    if condition is None or " or " in condition or " and " in condition:
        return None
    texts = []
    for item in (first, *others):
        name = variables.size(path, item, axis) if axis is not None else None
        texts.append(name or repr(item))
    return f"{texts[0]} if {frame.insert(condition, variables)} else {texts[1]}"


def _find_distances(number: Any) -> set[int]:
    if not isinstance(number, Varying):
        return set()
    return {number.distance}.union(*map(_find_distances, number.items))


def _product(frames: Sequence[Frame]) -> list[tuple[int, ...]]:
    positions: list[tuple[int, ...]] = [()]
    for frame in frames:
        positions = [(*outer, inner) for outer in positions for inner in range(len(frame.indices))]
    return positions


def _find_number(number: Any, positions: dict[int, int]) -> Any:
    while isinstance(number, Varying):
        number = number.items[positions[number.distance]]
    return number
