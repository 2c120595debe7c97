"""Initializers of matrices, of filters and of gates."""

import math
from typing import Literal

from pydantic import Field

from paramgen.catalog.distributions import (
    DeltaOrthogonal,
    Distribution,
    MatrixRegion,
    Orthogonal,
    PeriodicConstant,
    unit_forget_gate,
)
from paramgen.catalog.initializers.base import Initializer, ParameterShape
from paramgen.catalog.models import Number


class OrthogonalInitializer(Initializer):
    """Orthogonal initializer: orthonormal columns (rows, if the matrix is wide), times a gain."""

    label = "orthogonal"
    values = (
        "`gain` (default 1) times Q of Z = QR, Z standard normal, each column of Q times the sign of R's diagonal; "
        "a wide matrix is built from its transpose; of more than two dimensions, the last axis is the columns "
        "(of a grouped convolution: the groups) and all others are the rows; with `per_gate` a matrix for each gate of "
        "recurrent weights, as Flax has them"
    )
    source = "Saxe, McClelland & Ganguli, ICLR 2014"
    quiet = ("per_gate",)
    type: Literal["orthogonal"] = Field(description="Initializer type.")
    gain: Number = Field(default=1.0, description="Factor on the orthonormal matrix.")
    per_gate: bool = Field(
        default=False, description="a matrix for each gate of recurrent weights, not one for all of them."
    )

    def why_unsupported(self, target: ParameterShape) -> str | None:
        if target.vector:
            return "makes matrices; this parameter is a vector"
        if len(target.shape) < 2:
            return f"makes matrices; shape {list(target.shape)} has fewer than two dimensions"
        if self.per_gate and not target.sizes("g", "h"):
            return "with per_gate fills the weights of gates; this parameter has none"
        return None

    def to_distribution(self, target: ParameterShape) -> Distribution:
        gates, *_ = target.sizes("g") or [1]
        return Orthogonal(self.gain, gates if self.per_gate else 1)


class UnitForgetGateInitializer(Initializer):
    """Unit-forget-gate initializer of an LSTM bias: ones for the forget gate, zeros for the others."""

    label = "unit_forget_gate"
    values = "zeros, but ones at H … 2H - 1 (0-based) of an LSTM's bias of 4H"
    source = "Jozefowicz, Zaremba & Sutskever, ICML 2015"
    type: Literal["unit_forget_gate"] = Field(description="Initializer type.")

    def why_unsupported(self, target: ParameterShape) -> str | None:
        return None if target.num_hidden_units else "fills the bias of an LSTM only"

    def to_distribution(self, target: ParameterShape) -> Distribution:
        assert target.num_hidden_units is not None
        return unit_forget_gate(target.num_hidden_units)


class Identity(Initializer):
    """Identity matrix, times a gain; of a matrix that is not square, ones where row and column are the same."""

    label = "identity"
    values = "a matrix: `gain` (default 1) where row and column are the same, else zero"
    source = "Le, Jaitly & Hinton, 2015, for recurrent weights"
    type: Literal["identity"] = Field(description="Initializer type.")
    gain: Number = Field(default=1.0, description="Factor on the identity.")

    def why_unsupported(self, target: ParameterShape) -> str | None:
        if target.vector:
            return "makes matrices; this parameter is a vector"
        if len(target.shape) != 2:
            return f"makes matrices; shape {list(target.shape)} has not two dimensions"
        return None

    def to_distribution(self, target: ParameterShape) -> Distribution:
        rows, columns = target.shape
        return PeriodicConstant("identity", self.gain, 0, 1, columns + 1, min(rows, columns))


class Dirac(Initializer):
    """Dirac initializer: a convolution that hands on its channels as they are, as many as there are filters."""

    label = "dirac"
    values = (
        "a convolution: one at the centre of the filter that has the number of its channel (in its group), else zero"
    )
    source = "Zagoruyko & Komodakis, 2017; torch.nn.init.dirac_"
    type: Literal["dirac"] = Field(description="Initializer type.")

    def why_unsupported(self, target: ParameterShape) -> str | None:
        return None if _filter(target) else "fills the weights of convolutions only"

    def to_distribution(self, target: ParameterShape) -> Distribution:
        filter_size = _filter(target)
        assert filter_size and target.axes
        outer, inner, *groups = target.shape[len(filter_size) :]
        run = math.prod(groups)
        first = _centre(filter_size) * outer * inner * run
        return PeriodicConstant("dirac", 1.0, first, run, (inner + 1) * run, min(outer, inner))


class DeltaOrthogonalInitializer(Initializer):
    """Delta-orthogonal initializer: a convolution whose centre is an orthonormal matrix, and that is zero elsewhere."""

    label = "delta_orthogonal"
    values = "a convolution: `gain` (default 1) times an orthonormal matrix at its centre, else zero"
    source = "Xiao et al., ICML 2018; jax.nn.initializers.delta_orthogonal"
    type: Literal["delta_orthogonal"] = Field(description="Initializer type.")
    gain: Number = Field(default=1.0, description="Factor on the orthonormal matrix.")

    def why_unsupported(self, target: ParameterShape) -> str | None:
        if not _filter(target):
            return "fills the weights of convolutions only"
        if target.sizes("g"):
            return "fills the weights of convolutions that are not grouped"
        channels, filters = target.sizes("i", "o") or (0, 0)
        if channels > filters:
            return f"needs at least as many filters as channels; this convolution has {filters:,} and {channels:,}"
        return None

    def to_distribution(self, target: ParameterShape) -> Distribution:
        filter_size = _filter(target)
        assert filter_size
        rows, columns = target.shape[len(filter_size) :]
        return DeltaOrthogonal(self.gain, MatrixRegion(_centre(filter_size, 1) * rows * columns, rows, columns))


def _filter(target: ParameterShape) -> tuple[int, ...] | None:
    """The sizes of a convolution's filter, of one with both channels and filters."""
    size = target.axes.sizes.get("k") if target.axes and target.sizes("i", "o") else None
    return size if isinstance(size, tuple) else None


def _centre(filter_size: tuple[int, ...], less: int = 0) -> int:
    """The element of a filter, in C order, at (size - less) // 2 of each of its axes."""
    position = 0
    for size in filter_size:
        position = position * size + (size - less) // 2
    return position
