"""Promises of a spec about a tensor's values: their cumulative distribution, as steps with a location and a scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Integers,
    LogUniform,
    Normal,
    Orthogonal,
    PeriodicConstant,
    SsmDtBias,
    Table,
    TruncatedNormal,
    Uniform,
    UniformInterval,
)
from paramgen.dtypes import DType
from paramgen.planning.tensors import ResolvedParameter, Tensor

POINTS = 257
# Beyond this, a normal distribution has less than 10^-9 of its values.
LARGEST_Z = 6.5
# Integers of a larger range, and longer tables of numbers, are drawn as if they were continuous.
MAX_ATOMS = 256


class Steps(NamedTuple):
    """A cumulative distribution: straight lines between points. Two points with the same `x` are a jump."""

    x: tuple[float, ...]
    share: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Component:
    """The values location + scale·X for an X with the distribution `steps`, which are a part of all values."""

    part: float
    steps: Steps
    location: float = 0.0
    scale: float = 1.0

    def share_below(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of values below each edge."""
        if not self.scale:
            return np.where(edges > self.location, self.part, 0.0)
        x, share = np.array(self.steps.x), np.array(self.steps.share)
        wanted = (edges - self.location) / self.scale
        # The number of points below an edge; of a jump at the edge itself the values are not below it.
        above = np.searchsorted(x, wanted, "left").clip(1, len(x) - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.nan_to_num((wanted - x[above - 1]) / (x[above] - x[above - 1])).clip(0, 1)
        inside: NDArray[np.float64] = share[above - 1] + slope * (share[above] - share[above - 1])
        inside[wanted <= x[0]] = 0.0
        inside[wanted > x[-1]] = 1.0
        return self.part * inside


Promise = tuple[Component, ...]


def expected_shares(promise: Promise, edges: Sequence[float], dtype: DType) -> list[float]:
    """Return the share of values that a promise has in each bin between successive edges, rounded to a dtype."""
    points = _rounding_edges(np.array(edges, np.float64), dtype)
    below = sum((component.share_below(points) for component in promise), np.zeros(len(points)))
    return [float(share) for share in np.diff(below)]


def _rounding_edges(edges: NDArray[np.float64], dtype: DType) -> NDArray[np.float64]:
    """Return the numbers below which values round to a number below an edge.

    They matter if the numbers of a narrow dtype are as far apart as the edges.
    """
    if dtype.is_integer or dtype.bits == 64:
        return edges
    smallest = float(ml_dtypes.finfo(dtype.numpy_dtype()).smallest_subnormal)  # type: ignore[no-untyped-call]
    fractions, exponents = np.frexp(edges)
    spacing = np.maximum(np.ldexp(1.0, exponents - dtype.significant_bits), smallest)
    spacing[edges == 0] = smallest
    above = np.ceil(edges / spacing) * spacing
    spacing[fractions == 0.5] /= 2  # the numbers below a power of two are twice as close as those above
    halfway: NDArray[np.float64] = above - np.maximum(spacing, smallest) / 2
    return halfway


def promise_of(tensor: Tensor) -> Promise | None:
    """Return what a plan promises of a tensor's values; None if their distribution is not known in closed form."""
    parts: dict[tuple[Steps, float, float], float] = {}
    for piece in tensor.rearrangement.slices:
        components = _components(tensor.sources[piece.source].resolved)
        if components is None:
            return None
        share = prod(high - low for low, high in zip(piece.low, piece.high, strict=True)) / max(tensor.size, 1)
        for component in components:
            key = component.steps, component.location, component.scale
            parts[key] = parts.get(key, 0.0) + share * component.part
    return tuple(Component(part, *key) for key, part in parts.items())


def mix(promises: Iterable[tuple[float, Promise]]) -> Promise:
    """Return the promise of several tensors' values together, each with its weight; weights add up to 1."""
    parts: dict[tuple[Steps, float, float], float] = {}
    for weight, promise in promises:
        for component in promise:
            key = component.steps, component.location, component.scale
            parts[key] = parts.get(key, 0.0) + weight * component.part
    return tuple(Component(part, *key) for key, part in parts.items())


def _components(parameter: ResolvedParameter) -> Promise | None:
    distribution = parameter.distribution
    make = next((make for kind, make in _MAKERS.items() if isinstance(distribution, kind)), None)
    if make is None or parameter.dtype.is_complex:
        return None
    components = make(distribution, parameter)
    if parameter.padding_index is None:
        return tuple(components)
    padding = 1 / parameter.shape[-1]
    kept = (Component(c.part * (1 - padding), c.steps, c.location, c.scale) for c in components)
    return Component(padding, ATOM), *kept


ATOM = Steps((0.0, 0.0), (0.0, 1.0))
UNIT_INTERVAL = Steps((0.0, 1.0), (0.0, 1.0))


def _interval(low: float, high: float) -> list[Component]:
    return [Component(1.0, UNIT_INTERVAL, low, high - low)]


def _atoms(values: Iterable[tuple[float, float]]) -> list[Component]:
    """Return the components of values, each with its share."""
    return [Component(share, ATOM, value) for value, share in values if share]


def _tabulate(low: float, high: float, density: Callable[[float], float]) -> Steps:
    """Return the steps of a density, by the trapezoidal rule."""
    x = [low + (high - low) * k / (POINTS - 1) for k in range(POINTS)]
    y = [density(value) for value in x]
    return _normalize(x, accumulate(((a + b) / 2 for a, b in pairwise(y)), initial=0.0))


def _normalize(x: Iterable[float], sums: Iterable[float]) -> Steps:
    shares = list(sums)
    return Steps(tuple(x), tuple(share / shares[-1] for share in shares))


@lru_cache(64)
def _normal_steps(low: float, high: float) -> Steps:
    # Far from its mean the normal density falls by exp(-z) per 1/z; the values beyond are too few to be seen.
    nearest = min(max(0.0, low), high)
    reach = LARGEST_Z if low <= 0 <= high else min(LARGEST_Z, 30 / abs(nearest))
    low, high = max(low, nearest - reach), min(high, nearest + reach)
    top = nearest * nearest / 2
    return _tabulate(low, high, lambda z: math.exp(top - z * z / 2))


def _integers(it: Integers, parameter: ResolvedParameter) -> list[Component]:
    count = it.high - it.low + 1
    if count > MAX_ATOMS:
        return _interval(float(it.low), float(it.high + 1))
    return [Component(1.0, _jumps([(float(k), 1 / count) for k in range(count)]), float(it.low))]


def _jumps(values: Sequence[tuple[float, float]]) -> Steps:
    """Return the steps of values, in increasing order, each with its share."""
    sums = [0.0, *accumulate(share for _, share in values)]
    return _normalize((x for x, _ in values for _ in range(2)), (sums[(k + 1) // 2] for k in range(2 * len(values))))


def _numbers(it: Table, parameter: ResolvedParameter) -> list[Component]:
    values, counts = np.unique(np.array(it.numbers), return_counts=True)
    if len(values) <= MAX_ATOMS:
        return [Component(1.0, _jumps([*zip(map(float, values), map(float, counts / counts.sum()), strict=True)]))]
    quantiles = np.linspace(0, 1, POINTS)
    x = np.quantile(np.array(it.numbers), quantiles)
    return [Component(1.0, Steps(tuple(map(float, x)), tuple(map(float, quantiles))))]


def _log_uniform(it: LogUniform, parameter: ResolvedParameter) -> list[Component]:
    return [Component(1.0, Steps(tuple(_geometric(it.low, it.high)), _even_shares()))]


def _dt_bias(it: SsmDtBias, parameter: ResolvedParameter) -> list[Component]:
    x = tuple(dt + math.log(-math.expm1(-dt)) for dt in _geometric(it.min, it.max))
    floored = max(0.0, math.log(it.min / it.low) / math.log(it.high / it.low))
    return [Component(1.0 - floored, Steps(x, _even_shares())), *_atoms([(x[0], floored)])]


def _geometric(low: float, high: float) -> Iterator[float]:
    return (low * (high / low) ** (k / (POINTS - 1)) for k in range(POINTS))


def _even_shares() -> tuple[float, ...]:
    return tuple(k / (POINTS - 1) for k in range(POINTS))


def _orthogonal(it: Orthogonal, parameter: ResolvedParameter) -> list[Component]:
    matrix = it.submatrices(parameter.shape)[0]
    return [Component(1.0, _unit_vector_steps(max(matrix.rows, matrix.columns)), 0.0, abs(it.gain))]


def _delta_orthogonal(it: DeltaOrthogonal, parameter: ResolvedParameter) -> list[Component]:
    matrix, share = it.matrix, it.matrix.size / parameter.size
    steps = _unit_vector_steps(max(matrix.rows, matrix.columns))
    return [Component(share, steps, 0.0, abs(it.gain)), *_atoms([(0.0, 1 - share)])]


@lru_cache(64)
def _unit_vector_steps(length: int) -> Steps:
    """Return the steps of an entry of a random unit vector: the sine of an angle with the density cos^(length - 2)."""
    if length == 1:
        return _jumps([(-1.0, 0.5), (1.0, 0.5)])
    end = min(math.pi / 2, LARGEST_Z / math.sqrt(length))
    angles = _tabulate(-end, end, lambda angle: max(math.cos(angle), 0.0) ** (length - 2))
    return Steps(tuple(map(math.sin, angles.x)), angles.share)


def _periodic(it: PeriodicConstant, parameter: ResolvedParameter) -> list[Component]:
    share = it.count * it.length / parameter.size
    return _atoms([(0.0, 1 - share), (it.value, share)])


_MAKERS: dict[type[Distribution], Callable[[Any, ResolvedParameter], list[Component]]] = {
    Constant: lambda it, parameter: _atoms([(it.value, 1.0)]),
    Uniform: lambda it, parameter: _interval(-it.bound, it.bound),
    UniformInterval: lambda it, parameter: _interval(it.low, it.high),
    Normal: lambda it, parameter: [Component(1.0, _normal_steps(-LARGEST_Z, LARGEST_Z), it.mean, it.std)],
    TruncatedNormal: lambda it, parameter: [Component(1.0, _normal_steps(it.low, it.high), it.mean, it.std)],
    Integers: _integers,
    Bernoulli: lambda it, parameter: _atoms([(0.0, 1 - it.p), (1.0, it.p)]),
    LogUniform: _log_uniform,
    SsmDtBias: _dt_bias,
    Table: _numbers,
    Orthogonal: _orthogonal,
    DeltaOrthogonal: _delta_orthogonal,
    PeriodicConstant: _periodic,
}
