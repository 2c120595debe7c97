"""An estimate of the time that drawing takes."""

from __future__ import annotations

from paramgen.catalog.distributions import MatrixDistribution, Norm
from paramgen.planning.tensors import Parameter
from paramgen.sampling.weight_norms import direction_parameter

# Seconds of one CPU thread, rounded up; benchmarks/kernels.py and benchmarks/orthogonal.py measure them.
SECONDS_PER_ELEMENT = 2e-9
SECONDS_PER_SQUARE = 1e-8
# Of m·n·min(m, n) for an m × n matrix.
SECONDS_PER_MATRIX_PRODUCT = 7e-11


def cpu_seconds(parameter: Parameter) -> float:
    """Estimate the seconds that one CPU thread takes to draw a parameter."""
    distribution = parameter.resolved.distribution
    if isinstance(distribution, Norm):
        direction = direction_parameter(parameter, distribution)
        return SECONDS_PER_SQUARE * direction.resolved.size + cpu_seconds(direction)
    if not isinstance(distribution, MatrixDistribution):
        return SECONDS_PER_ELEMENT * parameter.resolved.size
    matrices = distribution.submatrices(parameter.resolved.shape)
    return SECONDS_PER_MATRIX_PRODUCT * sum(matrix.size * min(matrix.rows, matrix.columns) for matrix in matrices)
