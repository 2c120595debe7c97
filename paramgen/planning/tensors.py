"""Parameters and tensors of a plan: what samplers see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from paramgen.catalog.axes import Rearrangement, identity_rearrangement
from paramgen.catalog.distributions import Distribution, Norm
from paramgen.catalog.initializers import Initializer, ParameterShape
from paramgen.dtypes import DTYPES_BY_NAME, DType
from paramgen.formatting import escape, shorten
from paramgen.planning.streams import stream_id


@dataclass(frozen=True)
class ResolvedParameter:
    """A parameter's shape, dtype, fans, initializer and distribution, whatever its name.

    The elements at `padding_index` of the last axis are zero instead.
    """

    shape: tuple[int, ...]
    dtype: DType
    fan_in: int | None
    fan_out: int | None
    initializer: Initializer
    distribution: Distribution
    padding_index: int | None = None

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    @cached_property
    def is_norm(self) -> bool:
        """True if its values are the norms of another parameter."""
        return isinstance(self.distribution, Norm)

    def dtype_error(self, name: str) -> str | None:
        """Return why the dtype cannot hold the values of the parameter `name`, or None."""
        reason = self.distribution.why_unsupported(self.dtype)
        return f"{escape(shorten(name))} {reason}" if reason else None


def resolve_parameter(info: ParameterShape, initializer: Initializer, dtype: str) -> ResolvedParameter:
    """Resolve a parameter whose initializer has been checked."""
    distribution, fans = initializer.to_distribution(info), (info.fan_in, info.fan_out)
    return ResolvedParameter(info.shape, DTYPES_BY_NAME[dtype], *fans, initializer, distribution, info.padding_index)


class Parameter(NamedTuple):
    """A parameter in canonical form: name, spec, and the id of its random stream.

    With `tied_to`, the parameter is another one, by this name, and has only its shape from its own operation.
    A norm has the stream of its direction.
    """

    name: str
    resolved: ResolvedParameter
    stream: int
    tied_to: str | None = None

    @property
    def has_own_stream(self) -> bool:
        """False if it is another parameter, or the norm of one."""
        return self.tied_to is None and not self.resolved.is_norm


def name_parameter(name: str, spec: ResolvedParameter) -> Parameter:
    return Parameter(name, spec, stream_id(name))


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
        return self.sources[0].resolved.dtype

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
    def resolved(self) -> list[ResolvedParameter]:
        """Its parameters, whatever their names."""
        return [source.resolved for source in self.sources]

    @property
    def canonical_name(self) -> str | None:
        """The names of its parameters, joined by " + "; None for a buffer."""
        return " + ".join(source.name for source in self.sources if source.name) or None

    @property
    def key(self) -> tuple[int, ...]:
        """A cache key: equal for tensors that differ only in name. Valid while the plan lives."""
        return id(self.rearrangement), *(id(source.resolved) for source in self.sources)


def as_tensor(name: str, spec: ResolvedParameter) -> Tensor:
    """Return a tensor that is one parameter, unchanged."""
    return Tensor(name, identity_rearrangement("", spec.shape, name), (name_parameter(name, spec),))
