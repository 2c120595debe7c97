"""Tests of the generator and of the positions of its words, by known answers."""

import json

import numpy as np
import pytest
from helpers import DATA
from hypothesis import given
from hypothesis import strategies as st

from paramgen.planning.streams import stream_id
from paramgen.sampling.reference.philox import draw_words, draw_words64, philox

VECTORS = json.loads((DATA / "stream-v1.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["generator"])
def test_philox_gives_random123s_answers(vector: dict[str, list[str]]) -> None:
    lanes = [np.array([int(word, 16)], np.uint64) for word in vector["counter"]]
    k0, k1 = (int(word, 16) for word in vector["key"])
    outputs = philox((lanes[0], lanes[1], lanes[2], lanes[3]), k0 | k1 << 32)
    assert [f"{int(lane[0]):08x}" for lane in outputs] == vector["words"]


@pytest.mark.parametrize("vector", VECTORS["words"])
def test_words_of_seeds_and_names(vector: dict[str, object]) -> None:
    assert stream_id(str(vector["name"])) == vector["stream_id"]
    expected = list(vector["words"])  # type: ignore[call-overload]
    drawn = draw_words(vector["seed"], vector["stream_id"], vector["first"], len(expected))  # type: ignore[arg-type]
    assert [f"{word:08x}" for word in drawn] == expected


@given(first=st.integers(0, 2**62), start=st.integers(0, 70), count=st.integers(0, 70))
def test_any_range_of_words_is_independent(first: int, start: int, count: int) -> None:
    whole = draw_words(5, 2**63 + 7, first, 150)
    np.testing.assert_array_equal(draw_words(5, 2**63 + 7, first + start, count), whole[start : start + count])


def test_wide_words_are_low_half_then_high_half() -> None:
    narrow = draw_words(9, 1, 2, 6).astype(object)
    assert list(draw_words64(9, 1, 1, 3).astype(object)) == [narrow[2 * i] | narrow[2 * i + 1] << 32 for i in range(3)]
