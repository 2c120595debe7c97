"""Cases of each distribution whose digests tests/data/parameters.json records."""

import hashlib
import re
from typing import Any

import numpy as np
from helpers import DATA, FIRST_DTYPES, draw, make_tensor

from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    DeltaOrthogonal,
    Direction,
    Distribution,
    Integers,
    LogUniform,
    MatrixRegion,
    Norm,
    Normal,
    Orthogonal,
    PeriodicConstant,
    Sinusoidal,
    SsmDtBias,
    Table,
    TruncatedNormal,
    Uniform,
    UniformInterval,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES
from paramgen.exact_math import log
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend

RECORDED = DATA / "parameters.json"
NAME = "encoder.3.lstm.input_weights"
RANGES = [(0, 1000), (2**32 - 3, 2**32 + 997), (2**40 + 1, 2**40 + 1000)]

ELEMENTWISE: list[Distribution] = [
    Constant(0.1),
    Uniform(0.0428025825003853),
    Normal(0.0, 0.02),
    Normal(-1.5, 3.0),
    TruncatedNormal(0.0, 0.02, -2.0, 2.0),
    TruncatedNormal(0.5, 1.0, -1.0, 6.5),
    TruncatedNormal(0.0, 1.0, 7.0, 9.0),
    TruncatedNormal(0.0, 1.0, 1.0, 1.000001),
    unit_forget_gate(2**31),
]
# One of each kind in the dtypes of later versions.
LATER: list[tuple[Distribution, str]] = [
    *((Constant(0.1), dtype) for dtype in ("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "complex64")),
    *((Normal(-1.5, 3.0), dtype) for dtype in ("float8_e4m3fnuz", "float8_e5m2fnuz", "complex64")),
    *((Uniform(0.04), dtype) for dtype in ("float8_e4m3fnuz", "float8_e5m2fnuz", "complex64")),
    (TruncatedNormal(0.5, 1.0, 0.0, 6.5), "float8_e8m0fnu"),
    (TruncatedNormal(0.5, 1.0, -1.0, 6.5), "complex64"),
    (Constant(1.0), "bool"),
    *((Constant(-7.0), f"int{bits}") for bits in (8, 16, 32, 64)),
    *((Constant(7.0), f"uint{bits}") for bits in (8, 16, 32, 64)),
    *((Integers(-100, 27), f"int{bits}") for bits in (8, 16, 32, 64)),
    *((Integers(3, 200), f"uint{bits}") for bits in (8, 16, 32, 64)),
    *((Integers(0, 5), dtype) for dtype in (*FIRST_DTYPES, "float8_e4m3fnuz", "float8_e5m2fnuz")),
    (Integers(0, 1), "bool"),
    (Integers(1, 2), "float8_e8m0fnu"),
    (Integers(-(2**31), 2**31 - 1), "int32"),
    (Integers(-(2**63), 2**63 - 1), "int64"),
    (Integers(2**40 + 3, 2**64 - 2), "uint64"),
    (Integers(-(2**53), 2**53), "float64"),
    *((Bernoulli(0.3), dtype) for dtype in ("bool", "int8", "uint16", "int32", "uint64", *FIRST_DTYPES)),
]
# A tall matrix, a wide one, one of several axes, one of more than a tile; three whose first pass is too inaccurate for
# float32; five nearly singular ones, for which reflections take over (for 9975458 and 27210717 in float64).
MATRICES = [
    *(((64, 48), 0), ((30, 50), 1), ((3, 3, 4, 24), 2), ((300, 270), 3)),
    *(((8, 8), 6583), ((40, 40), 372), ((2, 2), 8249845)),
    *(((2, 2), seed) for seed in (9928234, 38192729, 38695256, 9975458, 27210717)),
]

STRUCTURED: list[tuple[Distribution, tuple[int, ...]]] = [
    (Orthogonal(1.0, 4), (80, 20)),
    (Orthogonal(0.5, 3), (30, 17)),
    (DeltaOrthogonal(2.0, MatrixRegion(4 * 48, 6, 8)), (3, 3, 6, 8)),
    (PeriodicConstant("identity", 1.5, 0, 1, 8, 5), (5, 7)),
    (PeriodicConstant("dirac", 1.0, 4 * 48, 2, 10, 4), (3, 3, 6, 4, 2)),
]
# Rates of 1280 channels of Whisper and of 6 channels of the Transformer.
COMPUTED: list[Distribution] = [
    UniformInterval(0.0, 1.0),
    UniformInterval(-0.1, 0.75),
    LogUniform(0.001, 0.1),
    LogUniform(1e-30, 100.0),
    SsmDtBias(0.001, 0.1, 1e-4),
    SsmDtBias(1e-5, 200.0, 0.5),
    Sinusoidal(1280, False, 0.0, log(10000.0) / 639.0),
    Sinusoidal(6, True, 2.0, log(10000.0) / 3.0),
    Table.of([0.1, -2.5, 3.0]),
    Table.of([k / 7 for k in range(1000)], 7),
]
# A direction, its dtype, its shape, and the shape of its norms.
NORMS: list[tuple[Distribution, str, tuple[int, ...], tuple[int, ...]]] = [
    (Uniform(0.0428025825003853), "float32", (5, 3, 8), (1, 1, 8)),
    (Normal(0.0, 0.02), "float32", (128, 3, 4, 16), (128, 1, 1, 1)),
    (Normal(0.0, 0.02), "float32", (3, 3, 6, 4, 2), (1, 1, 1, 4, 2)),
    (Normal(0.5, 2.0), "float64", (3, 3, 6, 4, 2), (1, 1, 6, 1, 1)),
    (Normal(0.0, 0.02), "bfloat16", (700, 800), (700, 1)),
    (TruncatedNormal(0.0, 0.02, -2.0, 2.0), "float16", (700, 800), (1, 800)),
    (Normal(0.0, 0.02), "float8_e5m2", (700, 800), (1, 1)),
    (Orthogonal(1.5), "float32", (30, 50), (30, 1)),
    (PeriodicConstant("identity", 1.5, 0, 1, 8, 5), "float32", (5, 7), (1, 7)),
]


def _shown(distribution: Distribution) -> str:
    """Return a distribution's text with the names of the time when its digests were recorded."""
    if isinstance(distribution, PeriodicConstant) and distribution.type == "unit_forget_gate":
        return f"UnitForgetGate(num_hidden_units={distribution.first})"
    if isinstance(distribution, Table):
        return f"Table(numbers={list(distribution.numbers)[:9]}, run={distribution.run})"
    if isinstance(distribution, Norm):
        of = distribution.direction
        return f"Norm({_shown(of.distribution)} {of.dtype.name} {of.shape})"
    names = {"PeriodicConstant(": "Runs(", "MatrixRegion(": "Matrix(", ", matrices=1)": ")"}
    if isinstance(distribution, UniformInterval):
        names |= {"low=": "lower=", "high=": "upper="}
    elif isinstance(distribution, LogUniform):
        names |= {"low=": "least=", "high=": "most="}
    elif isinstance(distribution, SsmDtBias):
        names |= {"high=": "most="}
    return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], str(distribution))


def cases() -> list[tuple[str, Tensor, int, int, int]]:
    """Return the name, tensor, seed, start and stop of every case."""

    def case(
        distribution: Distribution, dtype: str, seed: int, shape: tuple[int, ...], name: str, start: int, stop: int
    ) -> Any:
        tensor = make_tensor(distribution, dtype, shape, name)
        return (
            f"{_shown(distribution)} {dtype} {name} {shape} seed {seed}: {start} … {stop - 1}",
            tensor,
            seed,
            start,
            stop,
        )

    return [
        *(
            case(distribution, dtype, 42, (2**41,), NAME, *bounds)
            for distribution in ELEMENTWISE
            for dtype in FIRST_DTYPES
            for bounds in RANGES
        ),
        *(case(distribution, dtype, 42, (2**41,), NAME, *bounds) for distribution, dtype in LATER for bounds in RANGES),
        *(
            case(distribution, dtype, 42, (2**41,), NAME, *bounds)
            for distribution in COMPUTED
            for dtype in FIRST_DTYPES
            for bounds in RANGES
        ),
        case(Normal(0.0, 1.0), "float32", 2**64 - 1, (100,), "層.weights", 0, 100),
        *(
            case(Orthogonal(1.5 if seed == 2 else 1.0), dtype, seed, shape, "q.weights", 0, int(np.prod(shape)))
            for shape, seed in MATRICES
            for dtype in ("float64", "float32", "bfloat16")
        ),
        *(
            case(distribution, dtype, 7, shape, "s.weights", 0, int(np.prod(shape)))
            for distribution, shape in STRUCTURED
            for dtype in ("float64", "float32", "bfloat16")
        ),
        *(
            case(Norm(Direction(of, DTYPES[own], sizes), shape), dtype, 7, shape, "s.weights", 0, int(np.prod(shape)))
            for of, own, sizes, shape in NORMS
            for dtype in ("float64", "float32", "bfloat16")
        ),
    ]


def digest(tensor: Tensor, seed: int, start: int, stop: int, backend: Backend) -> str:
    return hashlib.sha256(draw(tensor, seed, start, stop, backend).tobytes()).hexdigest()
