"""The treemap's areas, and the rows and colors of the strip."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramgen.dtypes import FLOAT32
from paramgen.pictures.patterns import LEVELS, find_layer, find_pattern, make_strip, shorten_patterns
from paramgen.pictures.treemap import MAX_GROUPS, MAX_TILES, Rectangle, group_tiles, place_tiles, squarify
from paramgen.storage.header import TensorEntry, place_tensors


def entries(sizes: dict[str, int]) -> list[TensorEntry]:
    return place_tensors((name, FLOAT32, (size,)) for name, size in sizes.items())


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40), st.floats(1, 1000), st.floats(1, 1000))
def test_rectangles_have_the_areas_of_their_sizes_and_do_not_overlap(
    sizes: list[int], width: float, height: float
) -> None:
    sizes.sort(reverse=True)
    rectangles = [*squarify(sizes, Rectangle(0, 0, width, height))]
    for size, rectangle in zip(sizes, rectangles, strict=True):
        assert rectangle.width * rectangle.height == pytest.approx(
            width * height * size / sum(sizes), rel=1e-3, abs=1e-6
        )
        assert rectangle.x >= -1e-9 and rectangle.x + rectangle.width <= width * (1 + 1e-9)
        assert rectangle.y >= -1e-9 and rectangle.y + rectangle.height <= height * (1 + 1e-9)
    for number, a in enumerate(rectangles):
        for b in rectangles[number + 1 :]:
            across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
            down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
            assert across <= 1e-6 * width or down <= 1e-6 * height


def test_equal_sizes_are_nearly_squares() -> None:
    ratios = [max(r.width / r.height, r.height / r.width) for r in squarify([1] * 16, Rectangle(0, 0, 160, 90))]
    assert max(ratios) < 2


@pytest.mark.parametrize("modules", [3, 8, 30, 200])
def test_small_patterns_and_modules_are_joined(modules: int) -> None:
    sizes = {
        f"m{m}.{layer}.{part}.weight": 1000 // (m + 1) for m in range(modules) for layer in (0, 1) for part in "ab"
    }
    groups = group_tiles(entries(sizes))
    tiles = [tile for _, tile, _ in place_tiles(groups, 100, 100)]
    assert len(groups) <= MAX_GROUPS and len(tiles) <= MAX_TILES
    assert sum(tile.tensors for tile in tiles) == len(sizes)
    assert sum(tile.nbytes for tile in tiles) == 4 * sum(sizes.values())
    assert [group.pattern for group in groups[:2]] == ["m0.*", "m1.*"]
    assert (groups[-1].pattern is None) == (modules > MAX_GROUPS)


def test_an_empty_name_is_a_module() -> None:
    (group,) = group_tiles(entries({"": 3}))
    assert (group.pattern, group.tiles[0].pattern) == ("", "")


def strip(stds: dict[str, float | None], **limits: int) -> Any:
    statistics: Any = {name: None if std is None else {"std": std} for name, std in stds.items()}
    return make_strip(statistics, max_rows=limits.get("max_rows", 10), max_layers=limits.get("max_layers", 100))


def test_numbers_in_names_are_layers_and_patterns() -> None:
    assert find_pattern("a.0.b.12.c1.w") == "a.*.b.*.c1.w"
    assert (find_layer("a.7.b.12.w"), find_layer("a.b1")) == (7, None)


def test_rows_are_patterns_and_columns_are_layers() -> None:
    found = strip({"h.0.w": 1.0, "h.1.w": 2.0, "h.3.w": 4.0, "h.0.v": 1.0, "h.1.v": None, "h.3.v": 8.0, "embed": 9.0})
    assert found.layers == (0, 1, 3)
    assert [(row.pattern, row.stds) for row in found.rows] == [("h.*.w", (1.0, 2.0, 4.0)), ("h.*.v", (1.0, None, 8.0))]
    assert found.limits == (1.0, 8.0)
    assert [found.level(std) for std in (1.0, 2.0, 8.0)] == [0, LEVELS // 3, LEVELS - 1]


def test_experts_of_a_layer_have_their_root_mean_square() -> None:
    found = strip({"h.0.e.0.w": 3.0, "h.0.e.1.w": 4.0, "h.1.e.0.w": 1.0})
    assert found.rows[0].stds == (pytest.approx(12.5**0.5), 1.0)


def test_patterns_without_spread_and_single_layers_are_left_out() -> None:
    assert strip({"h.0.b": 0.0, "h.1.b": 0.0, "h.0.w": 1.0, "x": 1.0}) is None
    assert strip({}) is None


def test_noise_has_about_one_color() -> None:
    found = strip({f"h.{i}.w": 0.02 * (1 + 0.001 * i) for i in range(10)})
    assert len({found.level(std) for std in found.rows[0].stds}) <= 2


def test_more_rows_and_layers_than_fit_are_counted() -> None:
    found = strip({f"h.{i}.w{j}": 1.0 for i in range(7) for j in range(5)}, max_rows=2, max_layers=4)
    assert (len(found.rows), len(found.layers), found.omitted_rows, found.omitted_layers) == (2, 4, 3, 3)


def test_a_common_beginning_is_omitted() -> None:
    assert shorten_patterns(["h.*.mlp.w", "h.*.w"]) == ["*.mlp.w", "*.w"]
    assert shorten_patterns(["encoder.*.w", "decoder.*.w"]) == ["encoder.*.w", "decoder.*.w"]
