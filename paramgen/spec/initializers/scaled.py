"""Initializers that scale with the fans."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from paramgen.distributions import (
    Distribution,
    Normal,
    TruncatedNormal,
    Uniform,
)
from paramgen.spec.base import Expected
from paramgen.spec.initializers.base import Initializer, Positive, Target

# The standard deviation of a standard normal that is truncated at -2 and 2.
TRUNCATED_STD = 0.87962566103423978

Mode = Annotated[Literal["fan_in", "fan_out", "fan_avg"], Expected("one of fan_in, fan_out, fan_avg")]
Family = Annotated[
    Literal["normal", "uniform", "truncated_normal"], Expected("one of normal, uniform, truncated_normal")
]
GAIN = "factor on the standard deviation."
MODE = "what the variance is divided by: fan_in, fan_out, or fan_avg, their average."
FAMILY = "normal, uniform, or truncated_normal, at two standard deviations and widened to the same variance."


class Scaled(Initializer):
    """Base of what scales with the fans: a variance of scale / n, n being fan_in, fan_out or their average.

    A truncated normal is widened by 1/0.8796 before it is truncated, so that its variance is that, too: as in Keras and
    JAX, unlike torch.nn.init.trunc_normal_.
    """

    quiet: ClassVar[tuple[str, ...]] = ("gain", "mode", "distribution")
    gain: Positive = Field(default=1.0, description=GAIN)
    mode: Mode = Field(default="fan_in", description=MODE)
    distribution: Family = Field(default="normal", description=FAMILY)

    def variance(self) -> float:
        """The variance times n, for a gain of 1."""
        raise NotImplementedError

    def _fans(self) -> tuple[str, ...]:
        return ("fan_in", "fan_out") if self.mode == "fan_avg" else (self.mode,)

    def misfit(self, target: Target) -> str | None:
        missing = [fan for fan in self._fans() if getattr(target, fan) is None]
        return f"needs {' and '.join(missing)}, which this parameter does not have" if missing else None

    def law(self, target: Target) -> Distribution:
        fans = [getattr(target, fan) for fan in self._fans()]
        uniform = self.distribution == "uniform"
        root = self.gain * math.sqrt(len(fans) * (3 if uniform else 1) * self.variance() / sum(fans))
        if uniform:
            return Uniform(root)
        return (
            Normal(0.0, root)
            if self.distribution == "normal"
            else TruncatedNormal(0.0, root / TRUNCATED_STD, -2.0, 2.0)
        )


class Glorot(Scaled):
    """Glorot (Xavier) initializer: uniform with variance 2/(fan_in + fan_out)."""

    label = "glorot"
    values = "uniform on (-b, b), b = `gain`·sqrt(6 / (fan_in + fan_out)); else by `mode` and `distribution`"
    source = "Glorot & Bengio, AISTATS 2010"
    type: Literal["glorot", "xavier"] = Field(description="Initializer type.")
    mode: Mode = Field(default="fan_avg", description=MODE)
    distribution: Family = Field(default="uniform", description=FAMILY)

    def variance(self) -> float:
        return 1


class He(Scaled):
    """He (Kaiming) initializer: normal with variance 2/fan_in."""

    label = "he"
    values = "normal, mean 0, variance `gain`²·2 / fan_in; else by `mode` and `distribution`"
    source = "He et al., ICCV 2015"
    type: Literal["he", "kaiming"] = Field(description="Initializer type.")

    def variance(self) -> float:
        return 2


class Lecun(Scaled):
    """LeCun initializer: normal with variance 1/fan_in."""

    label = "lecun"
    values = "normal, mean 0, variance `gain`² / fan_in; else by `mode` and `distribution`"
    source = "LeCun et al., Efficient BackProp, 1998"
    type: Literal["lecun"] = Field(description="Initializer type.")

    def variance(self) -> float:
        return 1


class VarianceScaling(Scaled):
    """Variance scaling: a variance of scale / n, n being fan_in, fan_out or their average."""

    label = "variance_scaling"
    values = "mean 0, variance `scale` / n, n being fan_in, fan_out or their average, by `mode`; see `distribution`"
    source = "Keras, jax.nn.initializers"
    quiet = ("gain",)
    type: Literal["variance_scaling"] = Field(description="Initializer type.")
    scale: Positive = Field(default=1.0, description="variance times n.")
    distribution: Family = Field(default="truncated_normal", description=FAMILY)

    def variance(self) -> float:
        return self.scale
