"""Initializers of matrices, filters and gates."""

import math
from typing import Literal

from pydantic import Field

from paramgen.catalog import distributions
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.fields import FiniteNumber
from paramgen.catalog.initializers.base import Equation, Initializer, ParameterTraits


class Orthogonal(Initializer):
    """Orthogonal initializer: orthonormal columns (rows, if the matrix is wide), times a gain."""

    formula = (
        "`gain` (default 1) times Q of Z = QR, Z standard normal, each column of Q times the sign of R's diagonal; "
        "a wide matrix is built from its transpose; of more than two dimensions, the last axis is the columns "
        "(of a grouped convolution: the groups) and all others are the rows; stacked experts have a matrix each; with "
        "`per_gate` a matrix for each gate of recurrent weights, as in Flax"
    )
    reference = "Saxe, McClelland & Ganguli, ICLR 2014"
    omitted_defaults = ("per_gate",)
    type: Literal["orthogonal"] = Field(description="initializer type.")
    gain: FiniteNumber = Field(default=1.0, description="factor on the orthonormal matrix.")
    per_gate: bool = Field(
        default=False, description="true for a matrix per gate of recurrent weights, instead of one for all gates."
    )

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        if traits.is_vector:
            return "needs a matrix, got a vector"
        if len(traits.shape) < 2:
            return f"needs at least 2 dimensions, got shape {list(traits.shape)}"
        if self.per_gate and not traits.sizes("g", "h"):
            return "with per_gate needs weights with gates, which this parameter does not have"
        return None

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        experts, *_ = traits.sizes("x") or [1]
        gates, *_ = (traits.sizes("g") if self.per_gate else None) or [1]
        return distributions.Orthogonal(self.gain, experts * gates)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        distribution = self.to_distribution(traits)
        assert isinstance(distribution, distributions.Orthogonal)
        first, *_ = distribution.submatrices(traits.shape)
        numbers = {"gain": self.gain, "matrices": distribution.matrices, "rows": first.rows, "columns": first.columns}
        return [Equation(name, number) for name, number in numbers.items()]


class Norm(Initializer):
    """The norms of a direction: the default of a magnitude. Specs cannot name it."""

    formula = "the norms of the weights over all axes but those of the magnitude"
    type: Literal["norm"] = Field(description="initializer type.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        assert traits.direction
        return distributions.Norm(traits.direction, traits.shape)


class UnitForgetGate(Initializer):
    """Unit-forget-gate initializer of an LSTM bias: ones for the forget gate, zeros for the others."""

    formula = "zeros, except ones at H … 2H - 1 (0-based) of an LSTM's bias of 4H"
    reference = "Jozefowicz, Zaremba & Sutskever, ICML 2015"
    type: Literal["unit_forget_gate"] = Field(description="initializer type.")

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        return None if traits.num_hidden_units else "fits only the bias of an LSTM"

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        assert traits.num_hidden_units is not None
        return distributions.unit_forget_gate(traits.num_hidden_units)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        assert traits.num_hidden_units is not None
        units = traits.num_hidden_units
        return [
            Equation("first one", units, "H", {"H": units}),
            Equation("last one", 2 * units - 1, "2 * H - 1", {"H": units}),
        ]


class Identity(Initializer):
    """Identity initializer: a matrix with the gain where row and column are the same, else zeros."""

    formula = "a matrix: `gain` (default 1) where row and column are the same, else zero"
    reference = "Le, Jaitly & Hinton, 2015, for recurrent weights"
    type: Literal["identity"] = Field(description="initializer type.")
    gain: FiniteNumber = Field(default=1.0, description="factor on the identity.")

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        if traits.is_vector:
            return "needs a matrix, got a vector"
        if len(traits.shape) != 2:
            return f"needs exactly 2 dimensions, got shape {list(traits.shape)}"
        return None

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        rows, columns = traits.shape
        return distributions.PeriodicConstant("identity", self.gain, 0, 1, columns + 1, min(rows, columns))


class Dirac(Initializer):
    """Dirac initializer: a convolution that passes its channels on unchanged, up to the number of filters."""

    formula = "a convolution: one at the centre where filter and channel have the same number (in a group), else zero"
    reference = "Zagoruyko & Komodakis, 2017; torch.nn.init.dirac_"
    type: Literal["dirac"] = Field(description="initializer type.")

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        return None if _filter_size(traits) else "fits only the weights of a convolution"

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        filter_size = _filter_size(traits)
        assert filter_size and traits.axes
        outer, inner, *groups = traits.shape[len(filter_size) :]
        run = math.prod(groups)
        first = _centre_index(filter_size) * outer * inner * run
        return distributions.PeriodicConstant("dirac", 1.0, first, run, (inner + 1) * run, min(outer, inner))


class DeltaOrthogonal(Initializer):
    """Delta-orthogonal initializer: a convolution with an orthonormal matrix at its centre, else zeros."""

    formula = "a convolution: `gain` (default 1) times an orthonormal matrix at its centre, else zero"
    reference = "Xiao et al., ICML 2018; jax.nn.initializers.delta_orthogonal"
    type: Literal["delta_orthogonal"] = Field(description="initializer type.")
    gain: FiniteNumber = Field(default=1.0, description="factor on the orthonormal matrix.")

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        if not _filter_size(traits):
            return "fits only the weights of a convolution"
        if traits.sizes("g"):
            return "fits only the weights of an ungrouped convolution"
        channels, filters = traits.sizes("i", "o") or (0, 0)
        if channels > filters:
            return f"needs at least as many filters as channels, got {filters:,} filters and {channels:,} channels"
        return None

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        filter_size = _filter_size(traits)
        assert filter_size
        rows, columns = traits.shape[len(filter_size) :]
        centre = distributions.MatrixRegion(_centre_index(filter_size, 1) * rows * columns, rows, columns)
        return distributions.DeltaOrthogonal(self.gain, centre)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        rows, columns = traits.shape[-2:]
        return [*super().equations(traits), Equation("rows", rows), Equation("columns", columns)]


def _filter_size(traits: ParameterTraits) -> tuple[int, ...] | None:
    """Return a convolution's filter size; None if the parameter is not the weights of a convolution."""
    size = traits.axes.sizes.get("k") if traits.axes and traits.sizes("i", "o") else None
    return size if isinstance(size, tuple) else None


def _centre_index(filter_size: tuple[int, ...], rounding: int = 0) -> int:
    """Return the index, in C order, of a filter's element at (size - rounding) // 2 along each axis."""
    position = 0
    for size in filter_size:
        position = position * size + (size - rounding) // 2
    return position
