"""Weight normalization: weights g·v/|v|, held as a direction v and a magnitude g."""

from typing import Any, Literal

from pydantic import Field

from paramgen.catalog.axes import Axes, collapse_axes
from paramgen.catalog.fields import Expectation
from paramgen.catalog.initializers import Norm, ParameterTraits
from paramgen.catalog.operations.base import ParameterDef
from paramgen.catalog.spec_model import SpecModel

DEFAULT_NORM = Norm(type="norm")
WEIGHT_NORM_HELP = "a direction and a magnitude instead of plain weights."
WEIGHT_NORM_EXPECTED = Expectation(value="a mapping with axis and, if needed, style")
AXIS_HELP = "a magnitude for each of these, or one for all."


class WeightNorm(SpecModel):
    """Base of the weight normalizations of filters and of matrices."""

    label = "weight_norm"
    axis: str
    style: Literal["parametrized", "legacy"] = Field(
        default="parametrized",
        description="names in layout torch: of torch.nn.utils.parametrizations.weight_norm, or of the older "
        "torch.nn.utils.weight_norm.",
    )


class FilterNorm(WeightNorm):
    """Weight normalization of a convolution."""

    axis: Literal["filters", "channels", "kernel", "none"] = Field(
        description=f"filters, channels, none or, in one dimension, kernel: {AXIS_HELP}"
    )


class MatrixNorm(WeightNorm):
    """Weight normalization of a fully connected operation."""

    axis: Literal["outputs", "inputs", "none"] = Field(description=f"outputs, inputs or none: {AXIS_HELP}")


def define_magnitude(direction: ParameterDef, kept: str) -> ParameterDef:
    """Return the magnitude of weights: the same axes, with size 1 except those in `kept`."""
    axes = direction.traits.axes
    assert axes
    filter_size: Any = axes.sizes.get("k", ())
    axes_of_magnitude = Axes(
        collapse_axes(axes.pattern, kept, axes.sizes), {**axes.sizes, "one": (1,) * len(filter_size)}
    )
    traits = ParameterTraits(axes_of_magnitude.shape, is_vector=True, axes=axes_of_magnitude)
    return ParameterDef("magnitude", traits, DEFAULT_NORM, "magnitude", direction=direction.name)
