"""Ties: tensors that are parameters of another operation, left out of the file or copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from paramgen.catalog.axes import Rearrangement
from paramgen.catalog.fields import KeyPath
from paramgen.language.diagnostics import Problem, RepeatLocation
from paramgen.messages import shorten, show
from paramgen.planning.tensors import Parameter, Tensor


class Tie(NamedTuple):
    """A tensor that is a tied parameter; `path` and `location` are those of its tie in the spec."""

    name: str
    rearrangement: Rearrangement
    parameter: Parameter
    path: KeyPath
    location: RepeatLocation | None


def resolve_ties(tensors: Sequence[Tensor | Tie], layout: str, copy: bool) -> Iterator[Tensor | Problem]:
    """Yield the tensors in order; a tie is left out or, with `copy`, becomes the tensor that it is tied to."""
    ties = {tie.parameter.name: tie for tie in tensors if isinstance(tie, Tie)}
    wanted = {tie.parameter.tied_to for tie in ties.values()}
    targets = {
        tensor.sources[0].name: tensor
        for tensor in tensors
        if isinstance(tensor, Tensor) and len(tensor.sources) == 1 and tensor.sources[0].name in wanted
    }
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            yield tensor
            continue
        name = str(tensor.parameter.tied_to)
        target = targets.get(name)
        message = ""
        if name in ties:
            message = f"{shorten(name)} is itself tied; tie to {shorten(str(ties[name].parameter.tied_to))}"
        elif target is None:
            message = f"the spec has no parameter {shorten(name)} with a tensor of its own"
        elif copy and tensor.rearrangement.shape != target.shape:
            expected = f"the shape of {shorten(name)} in layout {layout}, {show(list(target.shape))}"
            message = f"must have {expected}, got {show(list(tensor.rearrangement.shape))}; use ties: omit"
        elif tensor.rearrangement.size != target.size:
            message = f"must have the {target.size:,} elements of {shorten(name)}, got {tensor.rearrangement.size:,}"
        if message:
            yield Problem(tensor.path, message, location=tensor.location)
        elif copy and target:
            yield Tensor(tensor.name, target.rearrangement, target.sources, is_copy=True)
