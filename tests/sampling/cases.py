"""Distributions, dtypes and regions with which the backends are compared."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from helpers import FIRST_DTYPES, make_tensor
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.catalog.axes import Axes, rearrange
from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    Distribution,
    Integers,
    LogUniform,
    Normal,
    Orthogonal,
    PeriodicConstant,
    Sinusoidal,
    SsmDtBias,
    Table,
    TruncatedNormal,
    Uniform,
    UniformInterval,
)
from paramgen.dtypes import DTYPES
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend, ElementSource, ElementwiseDistribution
from paramgen.sampling.regions import StridedRegion

DISTRIBUTIONS: list[ElementwiseDistribution] = [
    Constant(0.3),
    Uniform(0.7),
    Uniform(1e-7),
    Normal(0.5, 2.0),
    Normal(0.0, 1e-3),
    Normal(0.0, 1e-40),
    TruncatedNormal(0.0, 1.0, -2.0, 2.0),
    TruncatedNormal(0.1, 0.02, -1.0, 30.0),
    TruncatedNormal(0.0, 1.0, 7.0, 9.0),
    TruncatedNormal(0.0, 1.0, -12.0, -8.5),
    TruncatedNormal(0.0, 1.0, 1.0, 1.0001),
    TruncatedNormal(0.0, 1.0, -100.0, 100.0),
    UniformInterval(0.0, 1.0),
    UniformInterval(-3.0, 0.1),
    LogUniform(0.001, 0.1),
    LogUniform(1e-30, 100.0),
    SsmDtBias(0.001, 0.1, 1e-4),
    SsmDtBias(1e-5, 200.0, 0.5),
    Sinusoidal(6, True, 0.0, 3.0),
    Sinusoidal(1280, False, -2.5, 0.0144),
]
DISCRETE: list[ElementwiseDistribution] = [
    Integers(-3, 7),
    Integers(1, 2),
    Integers(0, 2**32 - 1),
    Integers(-(2**63), 2**63 - 1),
    Integers(2**63 - 7, 2**64 - 1),
    Integers(5, 5),
    Bernoulli(0.5),
    Bernoulli(1e-3),
]
# The distributions that each dtype can hold, and all continuous ones for the dtypes of the first version.
COMBINATIONS = [
    (distribution, dtype)
    for dtype in DTYPES
    for distribution in [*DISTRIBUTIONS, *DISCRETE]
    if distribution.why_unsupported(DTYPES[dtype]) is None or (dtype in FIRST_DTYPES and distribution in DISTRIBUTIONS)
]

# Runs of all lengths, adjacent and apart; more and longer ones than a batch holds.
LARGE = [
    StridedRegion(0, 3, 0, (300, 700), (1, 1000), (700, 1)),
    StridedRegion(0, 2, 0, (3, 5000), (10_000, 1), (5000, 1)),
    StridedRegion(0, 1, 0, (900, 3), (7, 1), (3, 1)),
    StridedRegion(0, 0, 0, (700, 2, 2), (1, 5000, 2500), (4, 2, 1)),
    StridedRegion(0, 5, 2999, (3000,), (11,), (-1,)),
    StridedRegion(0, 1, 0, (2, 3, 5, 65), (9000, 3000, 600, 1), (975, 5, 1, 15)),
]
# Cases of a distribution, a row of a layout, and the parameter's shape, of axes d and v.
PADDED: list[tuple[Distribution, str, tuple[int, int]]] = [
    (Uniform(1.0), "w = w d v", (6, 5)),
    (Uniform(1.0), "w = w v d", (6, 5)),
    (Uniform(1.0), "w = w v d", (6, 1)),
    (Uniform(1.0), "w = w v d", (1, 5)),
    (Uniform(1.0), "w = w -v d", (6, 5)),
    (Orthogonal(1.0), "w = w v d", (6, 5)),
    (PeriodicConstant("identity", 1.0, 0, 1, 6, 5), "w = w d v", (6, 5)),
    (Table.of(range(1, 31)), "w = w v d", (6, 5)),
]


@st.composite
def any_region(draw: Any, most: int = 9) -> StridedRegion:
    """Draw a part of an array in C order, its axes permuted, some reversed."""
    shape = draw(st.lists(st.integers(1, most), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, size)) for size in shape]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    order = draw(st.permutations(range(len(shape))))
    out_strides, step = [0] * len(shape), 1
    for axis in order:
        out_strides[axis] = step * (-1 if draw(st.booleans()) else 1)
        step *= sizes[axis]
    out_offset = sum(-stride * (size - 1) for stride, size in zip(out_strides, sizes, strict=True) if stride < 0)
    kept = [axis for axis, size in enumerate(sizes) if size > 1]
    offset = draw(st.integers(0, 2**40))
    axes = (tuple(values[axis] for axis in kept) for values in (sizes, strides, out_strides))
    return StridedRegion(0, offset, out_offset, *axes)


def elements(region: StridedRegion) -> NDArray[np.int64]:
    """Return the source's elements in the order of the buffer."""
    out = np.full(region.size, -1)
    for index in np.ndindex(*region.sizes):
        out[region.out_offset + int(np.dot(index, region.out_strides))] = region.offset + int(
            np.dot(index, region.strides)
        )
    return out


def fill_region(backend: Backend, distribution: ElementwiseDistribution, dtype: str, region: StridedRegion) -> bytes:
    with backend.activate():
        out = backend.empty(DTYPES[dtype].nbytes(region.size))
        backend.fill_region(ElementSource(distribution, DTYPES[dtype], 42, 777), region, out)
        return backend.download(out).tobytes()  # type: ignore[arg-type]


def pad(tensor: Tensor, index: int) -> Tensor:
    """Return the tensor with zeros at an index of its parameter's last axis."""
    (source,) = tensor.sources
    padded = replace(source, resolved=replace(source.resolved, padding_index=index))
    return replace(tensor, sources=(padded,))


def ranges_of(tensor: Tensor) -> list[tuple[int, int]]:
    """Return all ranges of a tensor's elements; matrices are drawn whole."""
    if isinstance(tensor.resolved[0].distribution, Orthogonal):
        return [(0, tensor.size)]
    return list(itertools.combinations(range(tensor.size + 1), 2))


def embed(distribution: Distribution, dtype: str, row: str, shape: tuple[int, int]) -> Tensor:
    """Return a tensor of a parameter of axes d and v, rearranged by a row of a layout."""
    axes = Axes("d v", dict(zip("dv", shape, strict=True)))
    return Tensor("x", *rearrange([row], {"w": axes}), make_tensor(distribution, dtype, shape).sources)
