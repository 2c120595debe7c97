"""The entries of a spec for a folded model: which names become groups, and which stay dotted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from paramgen.importing.structure import (
    INDEX,
    Block,
    Element,
    Parameter,
    Repeat,
    join_names,
)
from paramgen.importing.variables import indexed_path

# Fewer neighbours with a common prefix do not get a group of their own.
MIN_GROUP = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """A group, or an operation for tied parameters or a parameter that is one.

    `path` is the full name of its contents, `*` for indices.
    """

    name: str
    path: str
    parameters: tuple[Parameter, ...]
    operations: tuple[Entry, ...] = ()
    indices: tuple[int, ...] | None = None
    when: str | None = None

    @property
    def is_tied(self) -> bool:
        return any(parameter.tied_to for parameter in self.parameters)


def lay_out(block: Block, path: str = "") -> tuple[tuple[Parameter, ...], tuple[Entry, ...]]:
    """Return the own parameters of a group or model, and its entries."""
    own: list[Parameter] = []
    for element in block:
        if not isinstance(element, Parameter) or element.tied_to or element.is_operation:
            break
        own.append(element)
    while own and _is_part_of_group(own[-1], block[len(own) :]):
        own.pop()
    return tuple(own), tuple(_make_entries(block[len(own) :], path))


def _is_part_of_group(parameter: Parameter, rest: Block) -> bool:
    """Return True if a parameter belongs to the group that follows."""
    first = parameter.name.split(".")[0]
    group = tuple(takewhile(lambda element: element.name.split(".")[0] == first, rest))
    return "." in parameter.name and len(group) >= MIN_GROUP and any(isinstance(element, Repeat) for element in group)


def _make_entries(block: Block, path: str) -> Iterator[Entry]:
    for _, group in groupby(block, lambda element: element.name.split(".")[0]):
        elements = tuple(group)
        prefix = _common_prefix(elements)
        if len(elements) >= MIN_GROUP and prefix and any(isinstance(element, Repeat) for element in elements):
            inner = tuple(_strip(prefix, element) for element in elements)
            full_path = join_names(path, prefix)
            own, entries = lay_out(inner, full_path)
            if not _has_late_parameter(inner[len(own) :]):
                yield Entry(prefix, full_path, own, entries)
                continue
        for _, same in groupby(elements, _entry_kind):
            members = tuple(same)
            if isinstance(members[0], Repeat):
                yield from (_make_repeat(element, path) for element in members if isinstance(element, Repeat))
            else:
                prefix = _common_prefix(members)
                parameters = tuple(_strip(prefix, element) for element in members)
                own_parameters = tuple(element for element in parameters if isinstance(element, Parameter))
                yield Entry(prefix, join_names(path, prefix), own_parameters)


def _entry_kind(element: Element) -> tuple[bool, bool, str | None]:
    """Return what neighbours of one entry share; a parameter that is an operation is an entry of its own."""
    if isinstance(element, Repeat):
        return True, False, None
    return False, element.tied_to is not None, element.name if element.is_operation else None


def _make_repeat(repeat: Repeat, path: str) -> Entry:
    inner_path = indexed_path(join_names(path, repeat.name))
    first = repeat.block[0]
    if isinstance(first, Parameter) and first.is_operation and "." not in first.name:  # a repeated operation
        return Entry(repeat.name or INDEX, inner_path, (first,), (), repeat.indices, repeat.when)
    own, entries = lay_out(repeat.block, inner_path)
    return Entry(repeat.name or INDEX, inner_path, own, entries, repeat.indices, repeat.when)


def _common_prefix(elements: Sequence[Element]) -> str:
    """Return the segments that all names share, without the last segment of a parameter's name."""
    names = [element.name.split(".") for element in elements]
    shortest = min(len(name) - isinstance(element, Parameter) for name, element in zip(names, elements, strict=True))
    common = 0
    while common < shortest and all(name[common] == names[0][common] for name in names):
        common += 1
    return ".".join(names[0][:common])


def _strip(prefix: str, element: Element) -> Element:
    return replace(element, name=element.name[len(prefix) :].removeprefix(".") if prefix else element.name)


def _has_late_parameter(block: Block) -> bool:
    """Return True if a parameter without a group follows what needs an entry."""
    return any(isinstance(element, Parameter) and "." not in element.name for element in block)
