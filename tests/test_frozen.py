"""The bits are frozen: single parameters of each distribution have the digests recorded in tests/data/parameters.json.

`python tests/test_frozen.py` records the digests of new cases; recorded ones never change.
"""

import hashlib
import json

import pytest
from conftest import KERNELS
from frozen_cases import RECORDED, cases, digest

import paramgen
from paramgen.planning.streams import STREAM_VERSION
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference import NumpyBackend

# Made by an implementation that was written from docs/stream.md alone.
ELSEWHERE = {
    (2, 2, 9928234, "float32"): "4872b4d7ac77df32ad603897bdfe05d8d5b2ac273dbfe86eed34f275c6ee69f5",
    (2, 2, 38192729, "float32"): "2a21f3b946c34d971c488ffa5dec518d230894675dce0593e43119ccce315d51",
    (2, 2, 38695256, "bfloat16"): "fa43e2fe1277efbd244adcf51b6e49d33e207f9487d906d8c9e8cc537f1294fa",
    (2, 2, 9975458, "float64"): "6e19d646c155d402bab9bec35940bbd22e7b4dd4362aa90273d9779d9dee7c12",
    (2, 2, 27210717, "float64"): "66b1c48a9466034d4fa51ad785fed93b6ef90d4ed2e5dfca99e4875d64042699",
    (1500, 1500, 0, "float64"): "e9e35f2e38dade61629cf2d37b24072d09e8769c28028ed8f1295e8967754782",
}


@pytest.mark.parametrize("backend", [NumpyBackend(), *KERNELS], ids=lambda backend: backend.name)
def test_every_case_has_its_recorded_digest(backend: Backend) -> None:
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert document.pop("stream") == STREAM_VERSION
    assert {name: digest(*case, backend) for name, *case in cases()} == document["sha256"]


@pytest.mark.parametrize(("rows", "columns", "seed", "dtype"), ELSEWHERE)
def test_another_implementation_gives_the_same_digests(rows: int, columns: int, seed: int, dtype: str) -> None:
    q = paramgen.initialize("orthogonal", [rows, columns], seed=seed, dtype=dtype, name="q.weights")
    assert hashlib.sha256(q.tobytes()).hexdigest() == ELSEWHERE[rows, columns, seed, dtype]


def main() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["sha256"] if RECORDED.exists() else {}
    for name, *case in cases():
        recorded.setdefault(name, digest(*case, NumpyBackend()))
    document = {"stream": STREAM_VERSION, "sha256": recorded}
    RECORDED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
