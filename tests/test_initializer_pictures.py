"""The pictures of the docs: what their shapes say about the values, and that pages show them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers import ROOT
from pictures import NEGATIVE, POSITIVE, draw_bars, draw_heat_map, draw_histogram
from rich.text import Text
from terminal_pictures import CHARACTER, draw_terminal

from paramgen.catalog.initializers import INITIALIZERS

PICTURES = sorted((ROOT / "docs" / "pictures").rglob("*.svg"))


def find_paths(svg: str) -> list[tuple[str, float, str]]:
    """Return the fill, the opacity and the data of each filled path."""
    paths = [element.attrib for element in ElementTree.fromstring(svg) if "fill" in element.attrib]
    return [(path["fill"], float(path.get("fill-opacity", "1")), path["d"]) for path in paths if "d" in path]


def find_heights(data: str) -> list[float]:
    return [float(height) for height in re.findall(r"v(-[\d.]+)h", data)]


def test_the_bars_of_a_histogram_are_as_high_as_its_counts() -> None:
    ((_, _, data),) = find_paths(draw_histogram([0.0] * 4 + [1.0] * 2 + [4.0], bins=4))
    first, second, last = find_heights(data)
    assert first == 2 * second == 4 * last


def test_bars_rise_above_and_fall_below_zero() -> None:
    up, down = find_paths(draw_bars([2.0, 0.0, -1.0]))
    assert (up[0], down[0]) == (POSITIVE, NEGATIVE)
    assert up[2].count("M") == down[2].count("M") == 1
    assert re.findall(r"v(\S+?)h", up[2]) == ["-69.3"]
    assert re.findall(r"v(\S+?)h", down[2]) == ["34.7"]


def test_bars_of_zeros_are_empty() -> None:
    assert find_paths(draw_bars([0.0, 0.0])) == []


def test_a_heat_map_has_squares_for_values_other_than_zero() -> None:
    found = find_paths(draw_heat_map([[1.0, 0.0], [-0.5, 1.0]]))
    assert [(colour, opacity, data.count("M")) for colour, opacity, data in found] == [
        (NEGATIVE, 0.5, 1),
        (POSITIVE, 1.0, 2),
    ]


def test_words_in_a_terminal_are_where_their_columns_are() -> None:
    words = ElementTree.fromstring(draw_terminal([Text.from_ansi("a b  \x1b[1m<c>\x1b[0m")]))[1:]
    assert [word.text for word in words] == ["a b", "<c>"]
    first, second = (float(word.attrib["x"]) for word in words)
    assert second - first == 5 * CHARACTER
    assert ["font-weight" in word.attrib for word in words] == [False, True]


def test_every_initializer_has_a_picture() -> None:
    page = (ROOT / "docs" / "initializers.md").read_text(encoding="utf-8")
    assert re.findall(r"!\[.*?\]\(pictures/initializers/(\w+)\.svg\)", page) == [
        model.names()[0] for model in INITIALIZERS
    ]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_a_page_shows_it(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(text) < 60_000
    assert not re.search(r"<script|(href|src)=|url\(\"?https?:", text)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = [
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(r"!\[.*?\]\(([^)]*)\)", page.read_text(encoding="utf-8"))
    ]
    assert picture in shown
