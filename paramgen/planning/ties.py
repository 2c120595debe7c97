"""Ties: tensors that are parameters of another operation, left out of the file or copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from paramgen.catalog.axes import Rearrangement
from paramgen.catalog.fields import KeyPath
from paramgen.catalog.frameworks import CANONICAL
from paramgen.language.diagnostics import Problem, RepeatLocation
from paramgen.messages import closest_match, did_you_mean, shorten, show
from paramgen.planning.tensors import Parameter, Tensor


class Tie(NamedTuple):
    """A tensor that is a tied parameter; `path` and `location` are those of its tie in the spec."""

    name: str
    rearrangement: Rearrangement
    parameter: Parameter
    path: KeyPath
    location: RepeatLocation | None


def resolve_ties(tensors: Sequence[Tensor | Tie], layout: str, copy_ties: bool) -> tuple[list[Tensor], list[Problem]]:
    """Return the tensors in order, and the errors of ties.

    A tie is left out or, with `copy_ties`, becomes a copy of its target.
    """
    own_tensors = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    if len(own_tensors) == len(tensors):
        return own_tensors, []
    ties = {tie.parameter.name: tie for tie in tensors if isinstance(tie, Tie)}
    targets = {source.name: tensor for tensor in own_tensors for source in tensor.sources}
    resolved: list[Tensor] = []
    problems: list[Problem] = []
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            resolved.append(tensor)
        elif problem := _check_target(tensor, ties, targets, layout):
            problems.append(problem)
        else:
            target = targets[str(tensor.parameter.tied_to)]
            if message := _explain_shape(tensor, target, layout, copy_ties):
                problems.append(Problem(tensor.path, message, location=tensor.location))
            elif copy_ties:
                resolved.append(Tensor(tensor.name, target.rearrangement, target.sources, is_copy=True))
    return resolved, problems


def _check_target(tie: Tie, ties: Mapping[str, Tie], targets: Mapping[str, Tensor], layout: str) -> Problem | None:
    """Return an error if the target is not a parameter with a tensor of its own; `targets` are tensors by parameter."""
    name = str(tie.parameter.tied_to)
    suggest = None
    if name == tie.parameter.name:
        message = "cannot be tied to itself"
    elif name in ties:
        next_name = str(ties[name].parameter.tied_to)
        fix = "a parameter that is not" if next_name in ties else shorten(next_name)
        message = f"{shorten(name)} is itself tied; tie to {fix}"
    elif name not in targets:
        message = f"unknown parameter {shorten(name)}"
        suggest = partial(_suggest, name, targets)
    elif len(targets[name].sources) > 1:
        message = f"layout {layout} joins {shorten(name)} with others; tie to another parameter or change the layout"
    else:
        return None
    return Problem(tie.path, message, location=tie.location, suggest=suggest)


def _suggest(name: str, targets: Mapping[str, Tensor]) -> str:
    own_tensors = [target for target, tensor in targets.items() if len(tensor.sources) == 1]
    return did_you_mean(closest_match(name, own_tensors)) or "; paramgen plan --layout canonical lists the names"


def _explain_shape(tie: Tie, target: Tensor, layout: str, copy_ties: bool) -> str | None:
    """Return why a tie does not fit its target in the layout, or None.

    If the canonical layout omits it, only the size must match: an embedding and a head have transposed shapes there,
    and `paramgen plan --layout canonical` lists the names of every model.
    """
    shape = tie.rearrangement.shape
    if shape == target.shape or (layout == CANONICAL and not copy_ties and tie.rearrangement.size == target.size):
        return None
    expected = f"must have shape {show(list(target.shape))}, like {shorten(target.sources[0].name)} in layout {layout}"
    return f"{expected}, got {show(list(shape))}; choose a layout in which they match, or other sizes"
