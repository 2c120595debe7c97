"""The table of distributions: what initializers become in the plan, with all numbers known.

Samplers know nothing else. The numbers are computed with correctly rounded +, -, ×, ÷ and sqrt only, so they are the
same everywhere.
"""

from paramgen.catalog.distributions.base import Distribution, ElementwiseDistribution, WholeDistribution
from paramgen.catalog.distributions.computed import (
    LogUniform,
    PeriodicConstant,
    Sinusoidal,
    SsmDtBias,
    Table,
    UniformInterval,
    unit_forget_gate,
)
from paramgen.catalog.distributions.elementwise import Bernoulli, Constant, Integers, Normal, TruncatedNormal, Uniform
from paramgen.catalog.distributions.whole import (
    DeltaOrthogonal,
    Direction,
    MatrixDistribution,
    MatrixRegion,
    Norm,
    Orthogonal,
)

# The distributions that kernels draw, numbered in this order in C.
ELEMENTWISE: tuple[type[ElementwiseDistribution], ...] = (
    Constant,
    Uniform,
    Normal,
    TruncatedNormal,
    Integers,
    Bernoulli,
    UniformInterval,
    LogUniform,
    SsmDtBias,
    Sinusoidal,
)
