"""Trees of names: equal numbered siblings are folded, with exact totals."""

from collections.abc import Iterable
from typing import Any

import pytest

from paramgen import name_tree as tree
from paramgen.dtypes import DTYPES_BY_NAME
from paramgen.name_tree import MAX_DEPTH, Node, TreeTensor, natural_key


def fold(tensors: Iterable[tuple[Any, ...]]) -> list[Node]:
    return tree.fold(TreeTensor(*tensor) for tensor in tensors)


F32, BF16 = DTYPES_BY_NAME["float32"], DTYPES_BY_NAME["bfloat16"]


def outline(nodes: list[Node], depth: int = 0) -> list[str]:
    lines = []
    for node in nodes:
        shape = f" {list(node.leaf.shape)}" if node.leaf else ""
        lines += [f"{'  ' * depth}{node.label}{shape}", *outline(node.children, depth + 1)]
    return lines


def test_equal_layers_are_one_node() -> None:
    tensors = [(f"layers.{i}.{part}", F32, (3, 4)) for i in range(12) for part in ("query", "key")]
    assert outline(fold([("embed", F32, (9, 3)), *tensors])) == [
        "embed [9, 3]",
        "layers",
        "  0-11",
        "    query [3, 4]",
        "    key [3, 4]",
    ]


def test_a_layer_of_another_shape_or_dtype_stays_apart() -> None:
    shapes = {0: (2,), 1: (2,), 2: (3,), 3: (2,), 4: (2,)}
    tensors = [(f"{i}.w", BF16 if i == 4 else F32, shape) for i, shape in shapes.items()]
    assert outline(fold(tensors)) == ["0-1, 3", "  w [2]", "2", "  w [3]", "4", "  w [2]"]


def test_of_many_runs_of_layers_the_first_are_named() -> None:
    nodes = fold((f"{i}.w", F32, (1 + (i % 4 == 3),)) for i in range(48))
    assert [node.label for node in nodes] == ["0-2, 4-6, 8-10, 12-14 and 24 more", "3, 7, 11, 15 and 8 more"]


def test_a_tensor_may_have_others_below_it() -> None:
    (node,) = fold([("x", F32, (2,)), ("x.absmax", F32, (5,))])
    assert node.totals == (2, 7, 28)


def test_totals_count_folded_layers() -> None:
    (node,) = fold([(f"a.{i}.b.{j}.w", BF16, (3,)) for i in range(4) for j in range(5)])
    assert outline([node]) == ["a", "  0-3", "    b", "      0-4", "        w [3]"]
    assert node.totals == (20, 60, 120)


@pytest.mark.parametrize("names", [["٣.w", "٤.w"], ["01.w", "1.w"], ["1" * 5000 + ".w", "2" * 5000 + ".w"]])
def test_numbers_in_other_digits_are_kept_as_written(names: list[str]) -> None:
    assert [node.label for node in fold((name, F32, (1,)) for name in names)] == [name[:-2] for name in names]


def test_a_hostile_name_does_not_nest_without_end() -> None:
    name = ".".join(["a"] * 100_000)
    (node,) = fold([(name, F32, (2,))])
    parts = []
    while node.children:
        parts.append(node.label)
        (node,) = node.children
    assert (len(parts), ".".join([*parts, node.label])) == (MAX_DEPTH, name)


def test_numbers_are_sorted_by_value() -> None:
    names = ["a.10.w", "a.9", "a.x", "a.10.b", "a.01", "B", "2"]
    assert sorted(names, key=natural_key) == ["2", "B", "a.9", "a.10.b", "a.10.w", "a.01", "a.x"]


def test_notes_and_files_of_folded_layers_are_collected() -> None:
    tensors = [(f"a.{i}.b.{j}.w", F32, (3,), (f"std {i // 2}", "x"), i + 1) for i in range(4) for j in range(2)]
    (node,) = fold([*tensors, ("a.4.b", F32, (3,), ("y", ""), 9)])
    assert node.files == {1, 2, 3, 4, 9}
    layers, other = node.children
    assert (layers.files, other.files) == ({1, 2, 3, 4}, {9})
    leaf = layers.children[0].children[0].children[0]
    assert (leaf.notes, leaf.files) == ({("std 0", "x"), ("std 1", "x")}, {1, 2, 3, 4})
    assert (layers.each, layers.totals) == ((2, 6, 24), (8, 24, 96))
