"""Tensors of a file: made of parameters, or tied to another tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from paramgen.catalog.axes import Rearrangement, plain
from paramgen.dtypes import DType
from paramgen.formatting import shorten, show
from paramgen.language.diagnostics import Finding, RepeatLocation
from paramgen.language.yaml_reader import Path
from paramgen.planning.resolve import Parameter, ParameterSpec, name_parameter


class Tensor(NamedTuple):
    """A tensor of the output file, made of the parameters in `sources`. A buffer's parameters have no name.

    A copy is written for a tied parameter, and does not count as another one.
    """

    name: str
    rearrangement: Rearrangement
    sources: tuple[Parameter, ...]
    is_copy: bool = False

    @property
    def dtype(self) -> DType:
        return self.sources[0].spec.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rearrangement.shape

    @property
    def size(self) -> int:
        return self.rearrangement.size

    @property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    @property
    def specs(self) -> list[ParameterSpec]:
        """The specs of its parameters."""
        return [source.spec for source in self.sources]

    @property
    def canonical_name(self) -> str | None:
        """The names of its parameters, joined by " + "; None for a buffer."""
        return " + ".join(source.name for source in self.sources if source.name) or None

    @property
    def key(self) -> tuple[int, ...]:
        """A cache key: equal for tensors that differ only in name. Valid while the plan lives."""
        return id(self.rearrangement), *(id(source.spec) for source in self.sources)


def as_tensor(name: str, spec: ParameterSpec) -> Tensor:
    """Return a tensor that is one parameter, unchanged."""
    return Tensor(name, plain("", spec.shape, name), (name_parameter(name, spec),))


class Tie(NamedTuple):
    """A tensor that is a tied parameter; `path` and `location` are those of its tie in the spec."""

    name: str
    rearrangement: Rearrangement
    parameter: Parameter
    path: Path
    location: RepeatLocation | None


def resolve_ties(tensors: Sequence[Tensor | Tie], layout: str, copy: bool) -> Iterator[Tensor | Finding]:
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
            yield Finding(tensor.path, message, location=tensor.location)
        elif copy and target:
            yield Tensor(tensor.name, target.rearrangement, target.sources, is_copy=True)
