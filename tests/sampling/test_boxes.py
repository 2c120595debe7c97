"""Boxes: elements of a stream, or of an array, taken by strides and put to places, by every backend."""

from typing import Any

import numpy as np
import pytest
from conftest import DTYPES, SETS, draw, tensor_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_compiled import LAWS

from paramgen.catalog.axes import Axes, Box, arranged
from paramgen.catalog.distributions import (
    DeltaOrthogonal,
    Distribution,
    Elementwise,
    Matrix,
    Orthogonal,
    Runs,
    Uniform,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES as TABLE
from paramgen.planning.plan import Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference import Reference
from paramgen.sampling.sampler import Sampler
from paramgen.threads import Team

REFERENCE = Reference()


@st.composite
def any_box(draw: Any, most: int = 9) -> Box:
    """Part of an array in C order, its axes put in another order, some backwards."""
    shape = draw(st.lists(st.integers(1, most), min_size=1, max_size=4))
    sizes = [draw(st.integers(1, size)) for size in shape]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    order = draw(st.permutations(range(len(shape))))
    places, step = [0] * len(shape), 1
    for axis in order:
        places[axis] = step * (-1 if draw(st.booleans()) else 1)
        step *= sizes[axis]
    to = sum(-place * (size - 1) for place, size in zip(places, sizes, strict=True) if place < 0)
    kept = [axis for axis, size in enumerate(sizes) if size > 1]
    first = draw(st.integers(0, 2**40))
    return Box(0, first, to, *(tuple(values[axis] for axis in kept) for values in (sizes, strides, places)))


def elements(box: Box) -> NDArray[np.int64]:
    """The elements in the order of their places."""
    out = np.full(box.size, -1)
    for index in np.ndindex(*box.sizes):
        out[box.to + int(np.dot(index, box.places))] = box.first + int(np.dot(index, box.strides))
    return out


def filled(backend: Backend, law: Elementwise, dtype: str, box: Box) -> bytes:
    with backend.current():
        out = backend.empty(TABLE[dtype].nbytes(box.size))
        backend.fill_box(law, TABLE[dtype], 42, 777, box, out)
        return backend.download(out).tobytes()  # type: ignore[arg-type]


@given(box=any_box(5), law=st.sampled_from(LAWS), dtype=st.sampled_from(DTYPES))
@settings(max_examples=100, deadline=None)
def test_the_reference_draws_each_element_as_by_itself(box: Box, law: Elementwise, dtype: str) -> None:
    alone = []
    for element in elements(box):
        out = np.empty(TABLE[dtype].nbytes(1), np.uint8)
        REFERENCE.fill(law, TABLE[dtype], 42, 777, int(element), out)
        alone.append(out.tobytes())
    assert filled(REFERENCE, law, dtype, box) == b"".join(alone)


@pytest.mark.parametrize("backend", SETS, ids=lambda backend: backend.name)
@given(box=any_box(), law=st.sampled_from(LAWS), dtype=st.sampled_from(DTYPES))
@settings(max_examples=150, deadline=None)
def test_kernels_draw_what_the_reference_draws(backend: Backend, box: Box, law: Elementwise, dtype: str) -> None:
    assert filled(backend, law, dtype, box) == filled(REFERENCE, law, dtype, box)


# Runs of all lengths, side by side and apart; more of them, and longer ones, than a batch has.
LARGE = [
    Box(0, 3, 0, (300, 700), (1, 1000), (700, 1)),
    Box(0, 2, 0, (3, 5000), (10_000, 1), (5000, 1)),
    Box(0, 1, 0, (900, 3), (7, 1), (3, 1)),
    Box(0, 0, 0, (700, 2, 2), (1, 5000, 2500), (4, 2, 1)),
    Box(0, 5, 2999, (3000,), (11,), (-1,)),
    Box(0, 1, 0, (2, 3, 5, 65), (9000, 3000, 600, 1), (975, 5, 1, 15)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("box", LARGE, ids=str)
def test_large_boxes(dtype: str, box: Box) -> None:
    for law in LAWS:
        expected = filled(REFERENCE, law, dtype, box)
        for backend in SETS:
            assert filled(backend, law, dtype, box) == expected, backend.name


@pytest.mark.parametrize("dtype", DTYPES)
@given(box=any_box())
@settings(max_examples=30, deadline=None)
def test_taken_from_an_array(dtype: str, box: Box) -> None:
    box = Box(0, box.first % 50, box.to, box.sizes, box.strides, box.places)
    found = elements(box)
    source = np.random.default_rng(0).integers(0, 256, TABLE[dtype].nbytes(int(found.max()) + 3), np.uint8)
    out = np.empty(TABLE[dtype].nbytes(box.size), np.uint8)
    REFERENCE.take_box(source, TABLE[dtype], box, out)
    width = TABLE[dtype].bits // 8
    assert out.tobytes() == source[: len(source) // width * width].reshape(-1, width)[found].tobytes()


CONV = Axes("*k i o g", {"k": (3, 3), "i": 4, "o": 5, "g": 2})
GATES = Axes("(g h) r", {"g": 4, "h": 6, "r": 6})
PLAIN = Axes("o i", {"o": 7, "i": 5})
# A law, the row that arranges it, its axes, and what NumPy makes of the canonical array.
STRUCTURED: list[tuple[Distribution, str, Axes, Any]] = [
    (Orthogonal(1.5), "w = w i o", PLAIN, lambda w: w.T),
    (Orthogonal(1.0, 4), "w = w r (g[3,1,0,2] h)", GATES, lambda w: w.reshape(4, 6, 6)[[3, 1, 0, 2]].reshape(24, 6).T),
    (DeltaOrthogonal(2.0, Matrix(4 * 40, 4, 5)), "w = w (g o) i *k", CONV, lambda w: w.transpose(4, 3, 2, 0, 1)),
    (Runs("identity", -1.0, 0, 1, 6, 5), "w = w i o", PLAIN, lambda w: w.T),
    (Runs("dirac", 1.0, 4 * 40, 2, 12, 4), "w = w (g o) i *k", CONV, lambda w: w.transpose(4, 3, 2, 0, 1)),
    (Runs("dirac", 1.0, 4 * 40, 2, 12, 4), "w = w -*k (g o) i", CONV, lambda w: w[::-1, ::-1].transpose(0, 1, 4, 3, 2)),
    (
        unit_forget_gate(6),
        "w = b (g[2,1,3,0] h)",
        Axes("(g h) 1", {"g": 4, "h": 6}),
        lambda w: w.reshape(4, 6)[[2, 1, 3, 0]],
    ),
]


@pytest.mark.parametrize(
    ("law", "row", "axes", "expected"), STRUCTURED, ids=[f"{law.type}: {row}" for law, row, *_ in STRUCTURED]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("pieces", [1, 3, 7])
def test_what_is_not_elementwise(
    law: Distribution, row: str, axes: Axes, expected: Any, dtype: str, pieces: int
) -> None:
    plain = tensor_of(law, dtype, axes.shape)
    (arrangement,) = arranged([row], {row.split()[2]: axes})
    tensor = Tensor("x", arrangement, plain.sources)
    array = expected(draw(plain, 5, 0, plain.size).reshape(axes.shape)).reshape(-1)
    sampler, found = Sampler(5, Team(1)), []
    for part in np.array_split(np.arange(plain.size), pieces):
        out = np.empty(TABLE[dtype].nbytes(len(part)), np.uint8)
        sampler.draw(REFERENCE, tensor, int(part[0]), int(part[-1]) + 1, out)
        found.append(out.tobytes())
    assert b"".join(found) == np.ascontiguousarray(array).tobytes()
    assert not sampler._wholes


def test_a_law_of_runs_in_any_range() -> None:
    law = Runs("identity", 3.0, 5, 2, 7, 4)
    expected = np.zeros(40, np.float32)
    for start in (5, 12, 19, 26):
        expected[start : start + 2] = 3
    tensor = tensor_of(law, "float32", (40,))
    for start in range(40):
        for stop in range(start + 1, 41):
            assert draw(tensor, 0, start, stop).tobytes() == expected[start:stop].tobytes(), (start, stop)


def test_a_box_writes_nowhere_else() -> None:
    for backend in (REFERENCE, *SETS):
        out = np.full(TABLE["float32"].nbytes(100), 0xAA, np.uint8)
        backend.fill_box(Uniform(1.0), TABLE["float32"], 1, 2, Box(0, 0, 10, (4, 5), (1, 9), (10, 2)), out)
        written = np.zeros(100, bool)
        written[(10 + 10 * np.arange(4)[:, None] + 2 * np.arange(5)).reshape(-1)] = True
        assert (out.view(np.uint32)[~written] == 0xAAAAAAAA).all()
        assert (np.abs(out.view(np.float32)[written]) < 1).all()
