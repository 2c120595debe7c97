"""The folded form of a model: parameters and repetitions, with numbers that may depend on an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from paramgen.importing.model import WeightNorm
from paramgen.limits import MAX_LIST_LENGTH

# In names and conditions, these stand for the index of the repetition, and for the end of its range.
INDEX = "\0"
END = "\1"


@dataclass(frozen=True, slots=True)
class Varying:
    """A number that depends on the index of the repetition that is `distance` levels further out."""

    distance: int
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor, or equal tensors of a repetition. Sizes and the numbers of the initializer may be `Varying`.

    With `weight_norm`, it is a direction, and stands for its magnitude, too.
    """

    name: str
    dtype: str
    shape: tuple[Any, ...]
    initializer: tuple[tuple[str, Any], ...]
    origin: str | None = None
    tied_to: str | None = None
    padding_index: int | None = None
    weight_norm: WeightNorm | None = None
    when: str | None = None

    @property
    def is_operation(self) -> bool:
        """True if only an operation describes it, not a shape and an initializer."""
        return self.padding_index is not None or self.weight_norm is not None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeated block. `parts` has the elements that it stands for, with their full names, as they were found."""

    name: str
    indices: tuple[int, ...]
    block: Block
    when: str | None = None
    parts: Block = field(default=(), compare=False)


Element = Parameter | Repeat
Block = tuple[Element, ...]


def join_names(prefix: str, name: str) -> str:
    """Join two dotted names, of which either may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def prefix_block(prefix: str, block: Block) -> Block:
    """Return a block with a prefix before all names."""
    return tuple(
        replace(element, name=join_names(prefix, element.name), parts=prefix_block(prefix, element.parts))
        if isinstance(element, Repeat)
        else replace(element, name=join_names(prefix, element.name))
        for element in block
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | Varying) and not isinstance(value, bool)


def find_skeleton(element: Element) -> Any:
    """Return what elements must share to differ in numbers only."""
    if isinstance(element, Repeat):
        return element.name, element.indices, element.when, tuple(map(find_skeleton, element.block))
    fields = tuple((key, None if is_number(value) else value) for key, value in element.initializer)
    rank = len(element.shape)
    parts = element.origin, element.tied_to, element.padding_index, element.weight_norm, element.when
    return element.name, element.dtype, rank, fields, *parts


def combine(elements: Sequence[Element], distance: int = 0) -> Element:
    """Return one element for those of a repetition, which have the same skeleton."""
    first = elements[0]
    if all(element == first for element in elements):
        return replace(first, parts=()) if isinstance(first, Repeat) else first
    if isinstance(first, Repeat):
        blocks = zip(*(element.block for element in elements if isinstance(element, Repeat)), strict=True)
        return replace(first, block=tuple(combine(column, distance + 1) for column in blocks), parts=())
    parameters = [element for element in elements if isinstance(element, Parameter)]
    shapes = zip(*(parameter.shape for parameter in parameters), strict=True)
    fields = zip(*(parameter.initializer for parameter in parameters), strict=True)
    return replace(
        first,
        shape=tuple(_combine_values(column, distance) for column in shapes),
        initializer=tuple((column[0][0], _combine_values([item[1] for item in column], distance)) for column in fields),
    )


def _combine_values(values: Sequence[Any], distance: int) -> Any:
    first = values[0]
    return first if all(value == first for value in values) else Varying(distance, tuple(values))


def has_variation(element: Element) -> bool:
    """Return True if a number depends on an index."""
    if isinstance(element, Repeat):
        return any(map(has_variation, element.block))
    values = (*element.shape, *(value for _, value in element.initializer))
    return any(isinstance(value, Varying) for value in values)


def fits_variables(element: Element) -> bool:
    """Return True if each number that depends on indices has few enough values for a list of the spec."""
    if isinstance(element, Repeat):
        return all(map(fits_variables, element.block))
    values = (*element.shape, *(value for _, value in element.initializer))
    return all(_count_values(value) <= MAX_LIST_LENGTH for value in values)


def _count_values(value: Any) -> int:
    if not isinstance(value, Varying):
        return 1
    return len(value.items) * max(map(_count_values, value.items))


def is_consecutive(indices: Sequence[int]) -> bool:
    return all(after == before + 1 for before, after in pairwise(indices))


def count_lines(block: Block) -> float:
    """Estimate the lines of a spec that a block takes; conditions, lists and names with an index cost reading, too."""
    lines = 0.0
    for element in block:
        if isinstance(element, Repeat):
            is_line = len(element.block) == 1 and isinstance(element.block[0], Parameter)
            lines += 2 if is_line else 3 + count_lines(element.block)
            lines += INDEX in element.name
        else:
            lines += 1 + has_variation(element)
        lines += 0.5 * (element.when is not None)
    return lines
