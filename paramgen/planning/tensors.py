"""Parameters and tensors of a plan, as samplers see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from paramgen.catalog.axes import Rearrangement, identity_rearrangement
from paramgen.catalog.distributions import Distribution, Norm
from paramgen.catalog.frameworks import is_buffer
from paramgen.catalog.initializers import Initializer, ParameterTraits
from paramgen.dtypes import DTYPES_BY_NAME, DType
from paramgen.messages import show_text
from paramgen.planning.streams import stream_id
from paramgen.units import format_number


@dataclass  # not frozen: a frozen dataclass takes four times as long to make
class ResolvedParameter:
    """A parameter's shape, dtype, fans, initializer and distribution, without its name.

    The elements at `padding_index` of the last axis are zero.
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

    def summary(self) -> str:
        """Return its values in a few words, for tables."""
        text = self.distribution.summary()
        return text if self.padding_index is None else f"{text}, zero at {self.padding_index}"

    def dtype_error(self, name: str) -> str | None:
        """Return why the dtype cannot hold the values of the parameter `name`, or None."""
        reason = self.distribution.why_unsupported(self.dtype)
        if not reason and self.padding_index is not None and self.dtype.min > 0:
            limit = f"must be at least {format_number(self.dtype.min)} to fit {self.dtype.name}"
            reason = f"{limit}, got 0 (padding_index); choose another dtype"
        return f"{show_text(name)} {reason}" if reason else None


def resolve_parameter(traits: ParameterTraits, initializer: Initializer, dtype: str) -> ResolvedParameter:
    """Resolve a parameter whose initializer has been checked."""
    return ResolvedParameter(
        traits.shape,
        DTYPES_BY_NAME[dtype],
        traits.fan_in,
        traits.fan_out,
        initializer,
        initializer.to_distribution(traits),
        traits.padding_index,
    )


@dataclass(slots=True)  # not frozen: a frozen dataclass takes four times as long to make
class Parameter:
    """A parameter in canonical form, with the id of its random stream.

    `tied_to` names the parameter that it shares; only the shape is its own. A norm has the stream of its direction.
    """

    name: str
    resolved: ResolvedParameter
    stream: int
    tied_to: str | None = None


@dataclass(slots=True)
class Tensor:
    """A tensor of the output file, made of the parameters in `sources`. A buffer's parameters have no name.

    A tensor with `is_copy` holds a tied parameter, which counts once.
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
        return self.sources[0].resolved.dtype.nbytes(self.rearrangement.size)

    @property
    def resolved(self) -> list[ResolvedParameter]:
        """Its parameters, without their names."""
        return [source.resolved for source in self.sources]

    @property
    def canonical_name(self) -> str | None:
        """The names of its parameters, joined by " + "; None for a buffer."""
        if len(self.sources) == 1:
            return self.sources[0].name or None
        return " + ".join(source.name for source in self.sources if source.name) or None

    @property
    def is_buffer(self) -> bool:
        """True if the layout added it under the name of a buffer, which optimizers leave out."""
        return self.canonical_name is None and is_buffer(self.name)

    @property
    def cache_key(self) -> tuple[int, ...]:
        """A key that is equal for tensors that differ only in name. Valid while the plan lives."""
        if len(self.sources) == 1:  # saves a tenth of the time that the JSON of a million tensors takes
            return id(self.rearrangement), id(self.sources[0].resolved)
        return id(self.rearrangement), *[id(source.resolved) for source in self.sources]


def as_tensor(name: str, resolved: ResolvedParameter) -> Tensor:
    """Return a tensor that is one parameter, unchanged."""
    return Tensor(name, identity_rearrangement("", resolved.shape, name), (Parameter(name, resolved, stream_id(name)),))
