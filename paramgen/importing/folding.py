"""Folding: runs of equal structure among a model's tensors become nested repetitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from paramgen.importing.merging import merge_run
from paramgen.importing.model import ImportedTensor
from paramgen.importing.structure import (
    INDEX,
    Block,
    Element,
    Parameter,
    Repeat,
    count_lines,
    prefix_block,
)
from paramgen.limits import MAX_OPERATIONS

# A repetition with conditions must be this much shorter than several without them.
MIN_SAVING = 0.75

_INTEGER = re.compile(r"0|[1-9][0-9]*")


class _Child(NamedTuple):
    """A segment of names, and what is below it: a tensor, or the block of a group."""

    segment: str
    content: Parameter | Block


class _Run(NamedTuple):
    """Neighbouring groups that differ in an index; `name` has INDEX in place of it, or is empty if it is all."""

    name: str
    indices: tuple[int, ...]
    blocks: tuple[Block, ...]


def fold(tensors: Iterable[ImportedTensor], *, merges: bool = True) -> Block:
    """Return the folded form of tensors, in their order.

    With `merges`, repetitions may have conditions and lists of numbers; else all of a run are equal.
    """
    leaves = [(tensor.name.split("."), _as_parameter(tensor)) for tensor in tensors]
    return _settle(_fold(leaves, 0, merges))


def list_flat(tensors: Iterable[ImportedTensor]) -> Block:
    """Return tensors one by one, without any repetition."""
    return _settle(tuple(replace(_as_parameter(tensor), name=tensor.name) for tensor in tensors))


def _as_parameter(tensor: ImportedTensor) -> Parameter:
    """Return a tensor under the last segment of its name."""
    initializer = tuple((key, _freeze(value)) for key, value in (tensor.initializer or {}).items())
    name = tensor.name.rpartition(".")[2]
    return Parameter(
        name,
        tensor.dtype,
        tuple(tensor.shape),
        initializer,
        tensor.origin,
        tensor.tied_to,
        tensor.padding_index,
        tensor.weight_norm,
    )


def _freeze(value: object) -> object:
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


def _fold(leaves: Sequence[tuple[list[str], Parameter]], depth: int, merges: bool) -> Block:
    """Fold tensors that share the first `depth` segments of their names."""
    children: list[_Child] = []
    for (segment, is_leaf), group in groupby(leaves, lambda leaf: (leaf[0][depth], len(leaf[0]) == depth + 1)):
        members = list(group)
        if is_leaf:
            children += (_Child(segment, parameter) for _, parameter in members)
        else:
            children.append(_Child(segment, _fold(members, depth + 1, merges)))
    elements: list[Element] = []
    for item in _find_runs(children):
        if isinstance(item, _Run):
            elements += _fold_run(item, merges)
        elif isinstance(item.content, Parameter):
            elements.append(item.content)
        else:
            elements += prefix_block(item.segment, item.content)
    return tuple(elements)


def _find_runs(children: Sequence[_Child]) -> Iterator[_Child | _Run]:
    """Yield the children, neighbours that differ in an index joined to runs."""
    position = 0
    while position < len(children):
        run = _read_run(children, position)
        yield run or children[position]
        position += len(run.indices) if run else 1


def _read_run(children: Sequence[_Child], start: int) -> _Run | None:
    """Return the longest run that begins with a child, None if there is none."""
    best: _Run | None = None
    first = children[start].segment
    for number in _INTEGER.finditer(first):
        before, after = first[: number.start()], first[number.end() :]
        if before[-1:].isdigit() or after[:1].isdigit():
            continue
        indices: list[int] = []
        blocks: list[Block] = []
        for child in children[start:]:
            index = _read_index(child, before, after)
            if index is None or index in indices[-1:] or isinstance(child.content, Parameter):
                break
            indices.append(index)
            blocks.append(child.content)
        if len(set(indices)) == len(indices) > max(1, len(best.indices) if best else 0):
            name = f"{before}{INDEX}{after}" if before or after else ""
            best = _Run(name, tuple(indices), tuple(map(_settle, blocks)))
    return best


def _read_index(child: _Child, before: str, after: str) -> int | None:
    """Return the integer between two texts that is the child's segment."""
    segment = child.segment
    if not (segment.startswith(before) and segment.endswith(after)):
        return None
    middle = segment[len(before) : len(segment) - len(after)]
    is_index = _INTEGER.fullmatch(middle) and len(middle) <= len(str(MAX_OPERATIONS))
    return int(middle) if is_index and int(middle) <= MAX_OPERATIONS else None


def _fold_run(run: _Run, merges: bool) -> Block:
    """Return the shortest form of a run: one repetition, several, or its groups one by one."""
    if any(map(_lacks_name, run.blocks)):
        return _list_parts(run, 0, len(run.indices))
    separate: list[Element] = []
    position = 0
    while position < len(run.indices):
        block, stop = run.blocks[position], position
        while stop < len(run.indices) and run.blocks[stop] == block:
            stop += 1
        parts = _list_parts(run, position, stop)
        repeat = Repeat(run.name, run.indices[position:stop], _without_parts(block), parts=parts)
        is_shorter = stop - position > 1 and count_lines((repeat,)) < count_lines(parts)
        separate += (repeat,) if is_shorter else parts
        position = stop
    if not merges or len(separate) == 1 or run.name:
        return tuple(separate)
    merged = merge_run(run.name, run.indices, run.blocks)
    if merged is None or count_lines((merged,)) > MIN_SAVING * count_lines(tuple(separate)):
        return tuple(separate)
    return (replace(merged, parts=_list_parts(run, 0, len(run.indices))),)


def _lacks_name(block: Block) -> bool:
    """Return True if an operation in a repeated group would have no name of its own."""
    return len(block) > 1 and any(
        isinstance(element, Parameter) and element.is_operation and "." not in element.name for element in block
    )


def _list_parts(run: _Run, start: int, stop: int) -> Block:
    parts: list[Element] = []
    for index, block in zip(run.indices[start:stop], run.blocks[start:stop], strict=True):
        parts += prefix_block(run.name.replace(INDEX, str(index)) if run.name else str(index), block)
    return tuple(parts)


def _without_parts(block: Block) -> Block:
    return tuple(replace(element, parts=()) if isinstance(element, Repeat) else element for element in block)


def _settle(block: Block) -> Block:
    """Return a block that a group can have in this order: a group's own parameters come before its operations.

    Repetitions before such a parameter are written out. Tied parameters, which no file holds, move behind it.
    """
    own = [number for number, element in enumerate(block) if _is_own(element)]
    if not own:
        return block
    early, late = block[: own[-1] + 1], block[own[-1] + 1 :]
    if all(isinstance(element, Parameter) and not element.tied_to for element in early):
        return block
    written_out = tuple(_write_out(early))
    untied = (element for element in written_out if not element.tied_to)
    return (*untied, *(element for element in written_out if element.tied_to), *late)


def _is_own(element: Element) -> bool:
    return isinstance(element, Parameter) and "." not in element.name and not element.tied_to


def _write_out(block: Block) -> Iterator[Parameter]:
    for element in block:
        if isinstance(element, Parameter):
            yield element
        else:
            yield from _write_out(element.parts)
