"""The bits are frozen: single parameters of each distribution have the digests recorded in tests/data/parameters.json.

`python tests/test_frozen.py` records the digests of new cases; recorded ones never change.
"""

import hashlib
import json
from typing import Any

import pytest
from frozen_cases import RECORDED, cases, digest
from helpers import COMPILED_BACKENDS

import paramgen
from paramgen.planning.streams import STREAM_VERSION
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference.backend import NumpyBackend

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


@pytest.mark.parametrize("backend", [NumpyBackend(), *COMPILED_BACKENDS], ids=lambda backend: backend.name)
def test_every_case_has_its_recorded_digest(backend: Backend) -> None:
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert document.pop("stream") == STREAM_VERSION
    assert {name: digest(*case, backend) for name, *case in cases()} == document["sha256"]


@pytest.mark.parametrize(("rows", "columns", "seed", "dtype"), ELSEWHERE)
def test_another_implementation_gives_the_same_digests(rows: int, columns: int, seed: int, dtype: str) -> None:
    q = paramgen.initialize("orthogonal", [rows, columns], seed=seed, dtype=dtype, name="q.weights")
    assert hashlib.sha256(q.tobytes()).hexdigest() == ELSEWHERE[rows, columns, seed, dtype]


@pytest.mark.parametrize(("initializer", "shape", "double", "single"), COMPUTED_ELSEWHERE)
def test_another_implementation_computes_the_same(
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
