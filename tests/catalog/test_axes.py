"""Rearrangements: any range of a tensor equals NumPy's slices and permutations of the canonical array."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.catalog.axes import Axes, Rearrangement, identity_rearrangement, parse_row, rearrange
from paramgen.sampling.regions import iter_regions

Array = NDArray[Any]

CONV = Axes("*k i o g", {"k": (2, 3), "i": 4, "o": 5, "g": 2})
FLAT = Axes("*k i o g", {"k": (2, 3), "i": 4, "o": 5})
GATES = Axes("(g h) i", {"g": 3, "h": 4, "i": 5})
BIAS = Axes("(b g h) 1", {"b": 2, "g": 3, "h": 4})
HEADS = Axes("(n d) i", {"n": 2, "d": 3, "i": 4})

# A row, its parameters' axes, and the same in NumPy, given canonical arrays of these names.
ROWS: list[tuple[str, dict[str, Axes], Callable[..., Array]]] = [
    ("w = w (g o) i *k", {"w": CONV}, lambda w: w.transpose(4, 3, 2, 0, 1).reshape(10, 4, 2, 3)),
    ("w = w *k i (g o)", {"w": CONV}, lambda w: w.transpose(0, 1, 2, 4, 3).reshape(2, 3, 4, 10)),
    ("w = w (g o) i *k", {"w": FLAT}, lambda w: w.transpose(3, 2, 0, 1)),
    ("w = w -*k o i", {"w": FLAT}, lambda w: w[::-1, ::-1].transpose(0, 1, 3, 2)),
    ("w = w *k i o", {"w": FLAT}, lambda w: w),
    ("w = w i (g h)", {"w": GATES}, lambda w: w.T),
    ("w = w i (g[1,0,2] h)", {"w": GATES}, lambda w: w.reshape(3, 4, 5)[[1, 0, 2]].reshape(12, 5).T),
    ("w = w i g[2] h", {"w": GATES}, lambda w: w.reshape(3, 4, 5)[2].T),
    ("b = b b (g h)", {"b": BIAS}, lambda b: b.reshape(2, 12)),
    ("b = b b[1] (g h)", {"b": BIAS}, lambda b: b.reshape(2, 12)[1]),
    ("b = b b (g[2,0,1] h)", {"b": BIAS}, lambda b: b.reshape(2, 3, 4)[:, [2, 0, 1]].reshape(2, 12)),
    ("b = b 1 (b g h) + ones 1 (b g h)", {"b": BIAS}, lambda b: np.stack([b[:, 0], np.ones(24)])),
    ("w = q i n d", {"q": HEADS}, lambda q: q.reshape(2, 3, 4).transpose(2, 0, 1)),
    ("w = q n d i", {"q": HEADS}, lambda q: q.reshape(2, 3, 4)),
    ("w = q (n d) i + k (n d) i", {"q": HEADS, "k": HEADS}, lambda q, k: np.concatenate([q, k])),
    ("n = zeros", {}, lambda: np.zeros(())),
    ("n = ones h i", {"w": GATES}, lambda w: np.ones((4, 5))),
]


def number_arrays(axes: dict[str, Axes]) -> dict[str, Array]:
    """Return arrays of different numbers, without 0 and 1."""
    arrays = {}
    first = 2
    for name, one in axes.items():
        size = int(np.prod(one.shape))
        arrays[name] = np.arange(first, first + size, dtype=np.float64).reshape(one.shape)
        first += size
    return arrays


def gather(rearrangement: Rearrangement, arrays: dict[str, Array], start: int, stop: int) -> Array:
    """Return elements start … stop - 1 of a tensor, filled region by region; every element is written once."""
    out = np.full(stop - start, -1.0)
    for region in iter_regions(rearrangement, start, stop):
        name = rearrangement.sources[region.source]
        for index in np.ndindex(*region.sizes):
            element = region.offset + int(np.dot(index, region.strides))
            place = region.out_offset + int(np.dot(index, region.out_strides))
            assert out[place] == -1
            out[place] = {"zeros": 0.0, "ones": 1.0}[name] if name not in arrays else arrays[name].reshape(-1)[element]
    assert (out != -1).all()
    return out


@pytest.mark.parametrize(("row", "axes", "expected"), ROWS, ids=[row for row, _, _ in ROWS])
def test_a_row_rearranges_as_numpy_does(row: str, axes: dict[str, Axes], expected: Callable[..., Array]) -> None:
    (rearrangement,) = rearrange([row], axes)
    arrays = number_arrays(axes)
    array = expected(**arrays)
    assert rearrangement.shape == array.shape
    assert rearrangement.size == array.size
    np.testing.assert_array_equal(gather(rearrangement, arrays, 0, array.size), array.reshape(-1))
    if rearrangement.sources == tuple(axes):
        in_order = [np.array_equal(array.reshape(-1), source.reshape(-1)) for source in arrays.values()]
        assert rearrangement.is_identity == (in_order == [True])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_range_of_a_row_rearranges_as_numpy_does(data: st.DataObject) -> None:
    row, axes, expected = data.draw(st.sampled_from(ROWS))
    (rearrangement,) = rearrange([row], axes)
    arrays = number_arrays(axes)
    flat = expected(**arrays).reshape(-1)
    start = data.draw(st.integers(0, flat.size - 1))
    stop = data.draw(st.integers(start + 1, flat.size))
    np.testing.assert_array_equal(gather(rearrangement, arrays, start, stop), flat[start:stop])


def test_any_range_has_few_regions_of_few_axes() -> None:
    axes = Axes("*k i o g", {"k": (3, 3, 3), "i": 8, "o": 8, "g": 4})
    (rearrangement,) = rearrange(["w = w (g o) i *k"], {"w": axes})
    for start, stop in [(0, rearrangement.size), (1, rearrangement.size - 1), (100, 5000)]:
        found = list(iter_regions(rearrangement, start, stop))
        assert len(found) <= 2 * len(rearrangement.grid) - 1
        assert max(len(region.sizes) for region in found) <= 4


def test_plain_rearrangements_are_recognized() -> None:
    assert identity_rearrangement("w", (3, 4), "w").is_identity
    for row, axes, is_plain in [
        ("w = w o i", Axes("o i", {"o": 3, "i": 4}), True),
        ("w = w i o", Axes("o i", {"o": 3, "i": 4}), False),
        ("w = w i o", Axes("o i", {"o": 1, "i": 4}), True),
        ("w = w g[1] h", Axes("(g h) 1", {"g": 3, "h": 4}), False),
    ]:
        (rearrangement,) = rearrange([row], {"w": axes})
        assert rearrangement.is_identity is is_plain, row


def test_a_row_lists_its_sources() -> None:
    assert parse_row("b = bias 1 (g[1,0,2] h) + zeros 1 (g h)").sources == ("bias", "zeros")
    assert parse_row("n = zeros:int64").sources == ("zeros",)


def test_dtypes_and_collections() -> None:
    (rearrangement,) = rearrange(["n = zeros:int64"], {})
    assert (rearrangement.dtype, rearrangement.shape, rearrangement.collection) == ("int64", (), "")
    (rearrangement,) = rearrange(["batch_stats:mean = zeros i"], {"w": HEADS})
    assert (rearrangement.name, rearrangement.shape, rearrangement.collection) == ("mean", (4,), "batch_stats.")
