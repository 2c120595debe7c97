"""Weight normalization: weights g·v/|v|, held as a direction v and a magnitude g."""

from typing import Any, Literal

from pydantic import Field

from paramgen.catalog.axes import Axes, collapse_axes
from paramgen.catalog.fields import Expectation
from paramgen.catalog.initializers import Norm, ParameterShape
from paramgen.catalog.models import SpecModel
from paramgen.catalog.operations.base import ParameterDef

NORM = Norm(type="norm")
WEIGHT_NORM = "a direction and a magnitude instead of plain weights."
IS_A_MAPPING = Expectation(value="a mapping with axis and, if needed, style")
EACH = "a magnitude for each of these; none: one for all."


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
        description=f"filters, channels or, in one dimension, kernel: {EACH}"
    )


class MatrixNorm(WeightNorm):
    """Weight normalization of a fully connected operation."""

    axis: Literal["outputs", "inputs", "none"] = Field(description=f"outputs or inputs: {EACH}")


def magnitude(direction: ParameterDef, kept: str) -> ParameterDef:
    """Return the magnitude of weights: as many axes, with size 1 where they are not kept."""
    axes = direction.info.axes
    assert axes
    filter_size: Any = axes.sizes.get("k", ())
    own = Axes(collapse_axes(axes.pattern, kept, axes.sizes), {**axes.sizes, "one": (1,) * len(filter_size)})
    info = ParameterShape(own.shape, vector=True, axes=own)
    return ParameterDef("magnitude", info, NORM, "magnitude", direction=direction.name)
