"""Initializers that scale with the fans."""

import math
from typing import ClassVar, Literal, assert_never

from pydantic import Field

from paramgen.catalog import distributions
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.fields import Positive
from paramgen.catalog.initializers.base import Equation, Initializer, ParameterTraits

# The standard deviation of a standard normal truncated at -2 and 2.
TRUNCATED_STD = 0.87962566103423978

Mode = Literal["fan_in", "fan_out", "fan_avg"]
DistributionName = Literal["normal", "uniform", "truncated_normal"]
MODE_HELP = "divisor of the variance: fan_in, fan_out, or fan_avg, their average."
DISTRIBUTION_HELP = "normal, uniform, or truncated_normal (at two standard deviations, widened to the same variance)."


class Scaled(Initializer):
    """Base of the initializers with a variance of scale / n, where n is fan_in, fan_out or their average.

    A truncated normal has the same variance: it is widened by 1/0.8796 before it is truncated, as in Keras and JAX, and
    unlike torch.nn.init.trunc_normal_.
    """

    mode: Mode = Field(default="fan_in", description=MODE_HELP)
    distribution: DistributionName = Field(default="normal", description=DISTRIBUTION_HELP)

    def gain_and_variance(self) -> tuple[float, float]:
        """Return a factor on the standard deviation, and the variance times n without it."""
        raise NotImplementedError

    def root_formula(self, factor: int, n: str) -> str:
        """Return the formula of gain·sqrt(factor·variance / n)."""
        raise NotImplementedError

    def fans(self) -> tuple[str, ...]:
        """Return the fans whose average is n."""
        return ("fan_in", "fan_out") if self.mode == "fan_avg" else (self.mode,)

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        missing = [fan for fan in self.fans() if getattr(traits, fan) is None]
        return f"needs {' and '.join(missing)}, which this parameter does not have" if missing else None

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        fans = [getattr(traits, fan) for fan in self.fans()]
        gain, variance = self.gain_and_variance()
        root = gain * math.sqrt(self._factor * variance / sum(fans))
        match self.distribution:
            case "uniform":
                return distributions.Uniform(root)
            case "normal":
                return distributions.Normal(0.0, root)
            case "truncated_normal":
                return distributions.TruncatedNormal(0.0, root / TRUNCATED_STD, -2.0, 2.0)
            case _:
                assert_never(self.distribution)

    @property
    def _factor(self) -> int:
        """The factor on the variance: the number of fans in their average, and 3 for a uniform distribution."""
        return len(self.fans()) * (3 if self.distribution == "uniform" else 1)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        distribution = self.to_distribution(traits)
        fans = self.fans()
        numbers = {name: getattr(traits, name) for name in fans} | {
            name: getattr(self, name) for name in ("gain", "scale") if hasattr(self, name)
        }
        root = self.root_formula(self._factor, f"({' + '.join(fans)})" if len(fans) > 1 else fans[0])
        if isinstance(distribution, distributions.Uniform):
            return [Equation("bound", distribution.bound, root, numbers)]
        if isinstance(distribution, distributions.Normal):
            return [Equation("mean", 0), Equation("std", distribution.std, root, numbers)]
        assert isinstance(distribution, distributions.TruncatedNormal)
        std, limits = distribution.std, distribution.fields()
        return [
            Equation("mean", 0),
            Equation("std", std, f"{root} / {TRUNCATED_STD:.6g}", numbers),
            Equation("low", limits["low"], "-2 * std", {"std": std}),
            Equation("high", limits["high"], "2 * std", {"std": std}),
        ]


class _FixedVariance(Scaled):
    """Base of the initializers named after their authors: a fixed variance and a gain."""

    omitted_defaults: ClassVar[tuple[str, ...]] = ("gain", "mode", "distribution")
    variance: ClassVar[float]
    gain: Positive = Field(default=1.0, description="factor on the standard deviation.")

    def gain_and_variance(self) -> tuple[float, float]:
        return self.gain, self.variance

    def root_formula(self, factor: int, n: str) -> str:
        return ("gain * " if self.gain != 1 else "") + f"sqrt({factor * self.variance:g} / {n})"


class Glorot(_FixedVariance):
    """Glorot (Xavier) initializer: uniform with variance 2/(fan_in + fan_out)."""

    formula = "uniform on (-b, b), b = `gain`·sqrt(6 / (fan_in + fan_out)); else by `mode` and `distribution`"
    reference = "Glorot & Bengio, AISTATS 2010"
    type: Literal["glorot", "xavier"] = Field(description="initializer type.")
    mode: Mode = Field(default="fan_avg", description=MODE_HELP)
    distribution: DistributionName = Field(default="uniform", description=DISTRIBUTION_HELP)
    variance = 1


class He(_FixedVariance):
    """He (Kaiming) initializer: normal with variance 2/fan_in."""

    formula = "normal, mean 0, variance `gain`²·2 / fan_in; else by `mode` and `distribution`"
    reference = "He et al., ICCV 2015"
    type: Literal["he", "kaiming"] = Field(description="initializer type.")
    variance = 2


class Lecun(_FixedVariance):
    """LeCun initializer: normal with variance 1/fan_in."""

    formula = "normal, mean 0, variance `gain`² / fan_in; else by `mode` and `distribution`"
    reference = "LeCun et al., Efficient BackProp, 1998"
    type: Literal["lecun"] = Field(description="initializer type.")
    variance = 1


class VarianceScaling(Scaled):
    """Variance scaling: a variance of scale / n, where n is fan_in, fan_out or their average."""

    formula = "mean 0, variance `scale` / n, where n is fan_in, fan_out or their average, by `mode`; see `distribution`"
    reference = "Keras, jax.nn.initializers"
    type: Literal["variance_scaling"] = Field(description="initializer type.")
    scale: Positive = Field(default=1.0, description="variance times n.")
    distribution: DistributionName = Field(default="truncated_normal", description=DISTRIBUTION_HELP)

    def gain_and_variance(self) -> tuple[float, float]:
        return 1.0, self.scale

    def root_formula(self, factor: int, n: str) -> str:
        return f"sqrt({f'{factor} * ' if factor > 1 else ''}scale / {n})"
