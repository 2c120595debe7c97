"""Texts for people and programs: sizes, counts, values, names, and JSON."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramgen.json_text import dump_json, stream_json
from paramgen.messages import closest_match, escape, shorten, show
from paramgen.units import human_bytes, human_count, pluralize, summarize


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (38_912, "38.9 kB"),
        (999_949, "1000 kB"),
        (123_456, "123 kB"),
        (5 * 10**9, "5 GB"),
        (14_745_600_000, "14.7 GB"),
        (2**63, "9223 PB"),
    ],
)
def test_human_bytes_choose_a_unit(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1"),
        (9728, "9,728"),
        (1_540_000, "1.54 million"),
        (999_400_000, "999 million"),
        (999_600_000, "1 billion"),
        (7 * 10**9, "7 billion"),
        (10**12, "1 trillion"),
    ],
)
def test_human_counts_choose_a_word(count: int, text: str) -> None:
    assert human_count(count) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((1, 1, 0, 4), "1 tensor, 1 parameter, 4 B"),
        (
            (320, 25_557_032, 53_173, 102_441_344),
            "320 tensors, 25.6 million parameters, 53,173 buffer elements, 102 MB",
        ),
        ((2, 2_000, 1, 8_008), "2 tensors, 2,000 parameters, 1 buffer element, 8.01 kB"),
    ],
)
def test_summarize_counts_tensors_and_parameters(counts: tuple[int, int, int, int], text: str) -> None:
    assert summarize(*counts) == text


def test_pluralize_agrees_with_the_count() -> None:
    assert [pluralize(count, "tensor") for count in (0, 1, 2000)] == ["0 tensors", "1 tensor", "2,000 tensors"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.0, "4.0"),
        (True, "true"),
        (None, "null"),
        ("4", "'4'"),
        ("x" * 100, "'" + "x" * 59 + "…'"),
        ([1, "a", None], "[1, 'a', null]"),
        ([1] * 9, "a list of 9 entries"),
        ([[1]], "a list of 1 entries"),
        ({}, "{}"),
        ({"a": 1}, "a mapping"),
        (math.nan, ".nan"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        (b"\n", "b'\\n'"),
    ],
)
def test_show_formats_a_value(value: Any, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("層 é", "層 é"), ("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\\nb"), ("\u202e", "\\u202e"), ("\udcff", "\\udcff")],
)
def test_escape_replaces_unprintable_characters(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_shorten_and_near() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert closest_match("num_filter", ["num_filters", "bias"]) == "num_filters"
    assert closest_match("zzz", ["num_filters", "bias"]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_equals_the_json_modules(value: Any) -> None:
    assert dump_json(value) == json.dumps(value, indent=2, ensure_ascii=False)
    assert dump_json(value, "\n  ") == dump_json(value).replace("\n", "\n  ")


@pytest.mark.parametrize("items", [[], [1], [1, {"b": [None]}, "é"]], ids=["none", "one", "several"])
def test_a_streamed_document_is_that_of_the_json_module(items: list[Any]) -> None:
    head = {"name": '"ж', "sizes": [1, 2]}
    parts = list(stream_json(head, "items", (dump_json(item, "\n    ") for item in items)))
    assert len(parts) == len(items) + 2
    text = "".join(parts)
    assert json.loads(text) == {**head, "items": items}
    if items:
        assert text == json.dumps({**head, "items": items}, indent=2, ensure_ascii=False)
