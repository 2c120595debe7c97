"""The bits are frozen: single parameters of each distribution have the digests recorded in tests/data/parameters.json.

`python tests/test_frozen.py` records those of cases that are new; none that is there may ever change.
"""

import hashlib
import json
import re
from typing import Any

import numpy as np
import pytest
from conftest import DATA, DTYPES, KERNELS, draw, tensor_of

import paramgen
from paramgen.catalog.computed import LogUniform, Sinusoidal, SsmDtBias, Table, UniformInterval, log
from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    DeltaOrthogonal,
    Direction,
    Distribution,
    Integers,
    MatrixRegion,
    Norm,
    Normal,
    Orthogonal,
    PeriodicConstant,
    TruncatedNormal,
    Uniform,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES as TABLE
from paramgen.planning.streams import STREAM_VERSION
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference import NumpyBackend

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
# One of each kind in the dtypes that came later.
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
    *((Integers(0, 5), dtype) for dtype in (*DTYPES, "float8_e4m3fnuz", "float8_e5m2fnuz")),
    (Integers(0, 1), "bool"),
    (Integers(1, 2), "float8_e8m0fnu"),
    (Integers(-(2**31), 2**31 - 1), "int32"),
    (Integers(-(2**63), 2**63 - 1), "int64"),
    (Integers(2**40 + 3, 2**64 - 2), "uint64"),
    (Integers(-(2**53), 2**53), "float64"),
    *((Bernoulli(0.3), dtype) for dtype in ("bool", "int8", "uint16", "int32", "uint64", *DTYPES)),
]
# A tall, a wide, one of several axes, one of more than a tile; three whose first pass loses too much for float32; five of
# which nothing is left, or too little, so that reflections take over (of 9975458 and 27210717, float64's).
MATRICES = [
    *(((64, 48), 0), ((30, 50), 1), ((3, 3, 4, 24), 2), ((300, 270), 3)),
    *(((8, 8), 6583), ((40, 40), 372), ((2, 2), 8249845)),
    *(((2, 2), seed) for seed in (9928234, 38192729, 38695256, 9975458, 27210717)),
]
# Made by an implementation that was written from docs/stream.md alone.
ELSEWHERE = {
    (2, 2, 9928234, "float32"): "4872b4d7ac77df32ad603897bdfe05d8d5b2ac273dbfe86eed34f275c6ee69f5",
    (2, 2, 38192729, "float32"): "2a21f3b946c34d971c488ffa5dec518d230894675dce0593e43119ccce315d51",
    (2, 2, 38695256, "bfloat16"): "fa43e2fe1277efbd244adcf51b6e49d33e207f9487d906d8c9e8cc537f1294fa",
    (2, 2, 9975458, "float64"): "6e19d646c155d402bab9bec35940bbd22e7b4dd4362aa90273d9779d9dee7c12",
    (2, 2, 27210717, "float64"): "66b1c48a9466034d4fa51ad785fed93b6ef90d4ed2e5dfca99e4875d64042699",
    (1500, 1500, 0, "float64"): "e9e35f2e38dade61629cf2d37b24072d09e8769c28028ed8f1295e8967754782",
}
SINUSOIDS = {"type": "sinusoidal", "denominator_offset": 1, "position_offset": 2.5}
# Initializers at seed 5 and their digests in float64 and float32, made like those above.
COMPUTED_ELSEWHERE: list[tuple[dict[str, Any], list[int], str, str]] = [
    (
        {"type": "uniform", "low": -0.1, "high": 0.75},
        [3000],
        "0139e935b78673ddc4e20e23900355bccca8c159e0a6975bf3bac00fe3b6ca95",
        "d47d87c1e144a54aabb759bd38f8cb20856d3d25bffe301b1208e0fb6f4fffd8",
    ),
    (
        {"type": "log_uniform", "low": 0.001, "high": 0.1},
        [3000],
        "7b44bbd36c0040967ba706fb346d7ab21ed7d96f8692302e1940cd1b9bd8185c",
        "9a922c67590495afccbffa6995027263eb696664351101398409109105e2e37d",
    ),
    (
        {"type": "log_uniform", "low": 0.1, "high": 10},
        [3000],
        "4e4c6bdcec9e1eb238ad7b96e8c0fd1ff517c5c04588e477a0c88d8aacbe9d1f",
        "8eded7c0a70bb47753d4ccc0e4016cd88598f5f6ca681a27f7ecd5e70fce7f02",
    ),
    (
        {"type": "ssm_dt_bias", "floor": 0.002},
        [3000],
        "685e4e776b603959232d0f468e58731c4113f650ee77c86ceae78ad11c7da420",
        "8738d55f709da6880a1f55d48a08c856ab5c4fb2257461bad808b946060baaa3",
    ),
    (
        {**SINUSOIDS, "arrangement": "interleaved"},
        [100, 30],
        "de80088bd054e0d2d8ac61e9ec8f51fa42468b95621c7ecbf695dae1e8b7aee4",
        "9157dff1be190063b00b49c1c8fb077e25fec1c3a6e7518753cad7201aaa6226",
    ),
    (
        {**SINUSOIDS, "arrangement": "concatenated"},
        [100, 30],
        "dee64e09775ad2c6d1c8615303436746b3982879f99a6707fc35acc7c4090083",
        "1d6a6b5e9de667d98ef8fe069d454a5308dafea001d5a08e0108835d36a15bfe",
    ),
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
    return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], str(distribution))


def cases() -> list[tuple[str, Tensor, int, int, int]]:
    """(what it is, a tensor, seed, start, stop) of every case."""

    def case(
        distribution: Distribution, dtype: str, seed: int, shape: tuple[int, ...], name: str, start: int, stop: int
    ) -> Any:
        tensor = tensor_of(distribution, dtype, shape, name)
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
            for dtype in DTYPES
            for bounds in RANGES
        ),
        *(case(distribution, dtype, 42, (2**41,), NAME, *bounds) for distribution, dtype in LATER for bounds in RANGES),
        *(
            case(distribution, dtype, 42, (2**41,), NAME, *bounds)
            for distribution in COMPUTED
            for dtype in DTYPES
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
            case(Norm(Direction(of, TABLE[own], sizes), shape), dtype, 7, shape, "s.weights", 0, int(np.prod(shape)))
            for of, own, sizes, shape in NORMS
            for dtype in ("float64", "float32", "bfloat16")
        ),
    ]


def digest(tensor: Tensor, seed: int, start: int, stop: int, backend: Backend) -> str:
    return hashlib.sha256(draw(tensor, seed, start, stop, backend).tobytes()).hexdigest()


@pytest.mark.parametrize("backend", [NumpyBackend(), *KERNELS], ids=lambda backend: backend.name)
def test_every_case_has_its_recorded_digest(backend: Backend) -> None:
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert document.pop("stream") == STREAM_VERSION
    assert {name: digest(*case, backend) for name, *case in cases()} == document["sha256"]


@pytest.mark.parametrize(("rows", "columns", "seed", "dtype"), ELSEWHERE)
def test_another_implementation_made_the_same(rows: int, columns: int, seed: int, dtype: str) -> None:
    q = paramgen.initialize("orthogonal", [rows, columns], seed=seed, dtype=dtype, name="q.weights")
    assert hashlib.sha256(q.tobytes()).hexdigest() == ELSEWHERE[rows, columns, seed, dtype]


@pytest.mark.parametrize(("initializer", "shape", "double", "single"), COMPUTED_ELSEWHERE)
def test_another_implementation_computed_the_same(
    initializer: dict[str, Any], shape: list[int], double: str, single: str
) -> None:
    for dtype, recorded in (("float64", double), ("float32", single)):
        found = paramgen.initialize(initializer, shape, seed=5, name="w", dtype=dtype)
        assert hashlib.sha256(found.tobytes()).hexdigest() == recorded


def main() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["sha256"] if RECORDED.exists() else {}
    for name, *case in cases():
        recorded.setdefault(name, digest(*case, NumpyBackend()))
    document = {"stream": STREAM_VERSION, "sha256": recorded}
    RECORDED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
