"""Runs of groups that differ: one repetition with conditions, and with lists of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from paramgen.importing.structure import (
    END,
    INDEX,
    Block,
    Element,
    Parameter,
    Repeat,
    combine,
    find_skeleton,
    fits_variables,
    has_variation,
    is_consecutive,
)

# More kinds of groups in a run than this are written one by one.
MAX_KINDS = 64
LARGEST_PERIOD = 12


def merge_run(name: str, indices: tuple[int, ...], blocks: Sequence[Block]) -> Repeat | None:
    """Return one repetition for a run of groups, None if there is no plain one.

    A part that only some groups have gets a condition on the index. Numbers that differ become `Varying`.
    """
    if not all(before < after for before, after in pairwise(indices)):
        return None
    keys = [tuple(map(find_skeleton, block)) for block in blocks]
    kinds = list(dict.fromkeys(keys))
    order = _merge_orders(kinds) if len(kinds) <= MAX_KINDS else None
    if order is None:
        return None
    found: dict[Any, dict[int, Element]] = {key: {} for key in order}
    for position, (block_keys, block) in enumerate(zip(keys, blocks, strict=True)):
        for key, element in zip(block_keys, block, strict=True):
            found[key][position] = element
    elements = [_merge_elements(by_position, indices) for by_position in found.values()]
    if any(element is None for element in elements):
        return None
    block = tuple(element for element in elements if element is not None)
    own_names = [element.name for element in block if isinstance(element, Parameter)]
    if len(set(own_names)) < len(own_names):
        return None
    varies = any(map(has_variation, block))
    if varies and not (is_consecutive(indices) and all(map(fits_variables, block))):
        return None
    return Repeat(name, indices, block)


def _merge_orders(orders: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """Return a list of which each of these is a part in the same order; None if they contradict each other."""
    merged: list[Any] = []
    for order in orders:
        if len(set(order)) < len(order):
            return None
        known = {key: position for position, key in enumerate(merged)}
        result: list[Any] = []
        position = 0
        for key in order:
            if key in known:
                if known[key] < position:
                    return None
                result += merged[position : known[key] + 1]
                position = known[key] + 1
            else:
                result.append(key)
        merged = [*result, *merged[position:]]
    return merged


def _merge_elements(by_position: dict[int, Element], indices: tuple[int, ...]) -> Element | None:
    """Return the element that stands for those of the groups at some positions; None if no condition selects them."""
    positions = list(by_position)
    if len(positions) == len(indices):
        return combine([*by_position.values()])
    condition = describe_condition([indices[position] for position in positions], indices)
    if condition is None or any(element.when for element in by_position.values()):
        return None
    # Where the condition is false, any number will do.
    filled: list[Element] = []
    last = by_position[positions[0]]
    for position in range(len(indices)):
        last = by_position.get(position, last)
        filled.append(last)
    return replace(combine(filled), when=condition)


def describe_condition(selected: Sequence[int], indices: Sequence[int]) -> str | None:
    """Return an expression of INDEX that is true for the selected indices only, None if there is no short one."""
    chosen = set(selected)
    rest = [index for index in indices if index not in chosen]
    for condition, members in _conditions(indices):
        if members == chosen:
            return condition
    if len(selected) <= 4:
        return " or ".join(f"{INDEX} == {index}" for index in selected)
    if len(rest) <= 4:
        return " and ".join(f"{INDEX} != {index}" for index in rest)
    return None


def _conditions(indices: Sequence[int]) -> Iterator[tuple[str, set[int]]]:
    """Yield short conditions, and the indices for which they hold."""
    everything, last = set(indices), indices[-1]
    at_end = f"{END} - 1" if is_consecutive(indices) else str(last)
    if len(indices) > 2:
        yield f"{INDEX} < {at_end}", everything - {last}
        yield f"{INDEX} == {at_end}", {last}
    yield f"{INDEX} > {indices[0]}", everything - {indices[0]}
    for index in indices:
        yield f"{INDEX} == {index}", {index}
        yield f"{INDEX} < {index}", {other for other in indices if other < index}
        yield f"{INDEX} >= {index}", {other for other in indices if other >= index}
    for period in range(2, min(LARGEST_PERIOD, len(indices) // 2) + 1):
        for rest in range(period):
            members = {index for index in indices if index % period == rest}
            yield f"{INDEX} % {period} == {rest}", members
            yield f"{INDEX} % {period} != {rest}", everything - members
    for index in indices:
        yield f"{INDEX} != {index}", everything - {index}
