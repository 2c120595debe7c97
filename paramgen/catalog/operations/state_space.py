"""State spaces: the parameters of Mamba's mixers that no other operation has."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from paramgen.catalog.axes import Axes
from paramgen.catalog.fields import Size
from paramgen.catalog.initializers import Formula, ParameterTraits, SsmDtBias
from paramgen.catalog.operations.base import ONES, ParameterDef, StandardOperation, define_vector
from paramgen.exact_math import log


class _LogOfNext:
    """The expression log(k + 1)."""

    text: ClassVar[str] = "${log(k + 1)}"

    def __call__(self, k: int, n: int) -> float:
        return log(k + 1)


LOG_OF_NEXT = _LogOfNext()
SSM_DT_BIAS = SsmDtBias(type="ssm_dt_bias")


class StateSpace(StandardOperation):
    """State space of a mixer as in Mamba (with `state_size`) or Mamba-2 (a decay per head, and `dt_bias`).

    The mixer's projections, convolution and normalization are operations of their own.
    """

    title = "State space"
    example = {"num_channels": 1536, "state_size": 16}
    example_variants = ({"dt_bias": True, "state_size": None},)
    type: Literal["state_space"] = Field(description="operation type.")
    num_channels: Size = Field(description="number of channels, or of heads in Mamba-2.")
    state_size: Size | None = Field(default=None, description="states per channel; default: one decay per channel.")
    dt_bias: bool = Field(
        default=False, description="true for a bias of the time step; Mamba has it in a fully connected operation."
    )

    def parameter_defs(self) -> Iterator[ParameterDef]:
        sizes = {"c": self.num_channels}
        if self.state_size is None:
            yield define_vector("a_log", "c", sizes, Formula(type="formula", value=LOG_OF_NEXT, axis=0))
        else:
            axes = Axes("c n", {**sizes, "n": self.state_size})
            decay = Formula(type="formula", value=LOG_OF_NEXT)
            yield ParameterDef("a_log", ParameterTraits(axes.shape, axes=axes), decay, "a_log")
        yield define_vector("d", "c", sizes, ONES)
        if self.dt_bias:
            yield define_vector("dt_bias", "c", sizes, SSM_DT_BIAS)
