"""Differences of two files, against NumPy's formulas."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

import paramgen
from paramgen.analysis.diff import Change, Differences, ValueDifference, compare
from paramgen.analysis.sources import CheckpointSource, PlanSource
from paramgen.errors import FileError, UsageError
from paramgen.storage.checkpoint import Checkpoint

Arrays = Mapping[str, NDArray[Any]]


def compare_arrays(a: Arrays, b: Arrays, tmp_path: Path, **options: Any) -> Differences:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, arrays in zip(paths, (a, b), strict=True):
        safetensors.numpy.save_file(dict(arrays), path)
    with Checkpoint(paths[0]) as left, Checkpoint(paths[1]) as right:
        return compare(CheckpointSource(left), CheckpointSource(right), **options)


def test_equal_files_are_equal(tmp_path: Path) -> None:
    arrays = {"x": np.array([1, np.nan, np.inf, 0]), "y": np.zeros((2, 3), np.int8)}
    assert compare_arrays(arrays, arrays, tmp_path).equal


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "complex64", "int16"])
@pytest.mark.parametrize("chunk_elements", [100, 2**18])
def test_values_are_compared_as_numpy_does(dtype: str, chunk_elements: int, tmp_path: Path) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    a = np.random.default_rng(0).normal(0, 50, 40_001).astype(kind)
    b = a.copy()
    b[[3, 39_700]] += kind.type(2)
    (value,) = compare_arrays({"x": a}, {"x": b}, tmp_path, chunk_elements=chunk_elements).values
    x, y = (array.astype(complex) for array in (a, b))
    distance = np.abs(x - y)
    assert (value.name, value.elements, value.differing) == ("x", 40_001, 2)
    assert value.max_abs == pytest.approx(distance.max(), rel=1e-12)
    assert value.max_rel == pytest.approx(
        (distance[[3, 39_700]] / np.maximum(abs(x), abs(y))[[3, 39_700]]).max(), rel=1e-12
    )
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    assert value.cosine == pytest.approx(np.vdot(x, y).real / norms, rel=1e-12)


def test_results_do_not_depend_on_threads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = ({f"x{i}": rng.normal(size=100).astype(np.float32) for i in range(20)} for _ in range(2))
    one, five = (compare_arrays(a, b, tmp_path, threads=threads, chunk_elements=7) for threads in (1, 5))
    assert one == five


def test_names_dtypes_and_shapes_are_reported_apart(tmp_path: Path) -> None:
    a = {"a": np.zeros(1), "x": np.zeros((2, 3), np.float32), "y": np.zeros(4, np.float32)}
    b = {"b": np.zeros(1), "x": np.zeros((3, 2), np.float32), "y": np.zeros(4, np.float16)}
    result = compare_arrays(a, b, tmp_path)
    assert (result.only_in_a, result.only_in_b, result.common) == (("a",), ("b",), 2)
    assert {*result.changed} == {
        Change("x", ("float32", "float32"), ((2, 3), (3, 2))),
        Change("y", ("float32", "float16"), ((4,), (4,))),
    }
    assert not result.values
    assert not result.equal


def test_values_of_different_dtypes_are_compared(tmp_path: Path) -> None:
    a = {"x": np.array([1.0, 0.1], np.float64)}
    (value,) = compare_arrays(a, {"x": a["x"].astype(np.float32)}, tmp_path).values
    assert value.differing == 1
    assert not compare_arrays(a, {"x": a["x"].astype(np.float32)}, tmp_path, tolerance=1e-6).values


def test_ignored_names_are_left_out(tmp_path: Path) -> None:
    a = {"head.weight": np.zeros(2), "x": np.ones(3)}
    assert compare_arrays(a, {"x": np.ones(3)}, tmp_path, ignore=["head.*"]).equal


@pytest.mark.parametrize(("tolerance", "differing"), [(0.0, 3), (0.015, 2), (0.15, 1), (1.0, 0)])
def test_tolerance_is_relative_to_the_larger_value(tolerance: float, differing: int, tmp_path: Path) -> None:
    a, b = np.array([100.0, 10.0, 1.0]), np.array([101.0, 11.0, 2.0])
    values = compare_arrays({"x": a}, {"x": b}, tmp_path, tolerance=tolerance).values
    assert sum(value.differing for value in values) == differing


def test_infinity_and_nan_differ_without_a_distance(tmp_path: Path) -> None:
    a, b = np.array([np.nan, np.inf, 1.0]), np.array([0.0, -np.inf, 1.0])
    (value,) = compare_arrays({"x": a}, {"x": b}, tmp_path).values
    assert (value.differing, value.max_abs, value.max_rel, value.cosine) == (2, None, None, 1.0)


def test_no_tolerance_makes_infinity_equal(tmp_path: Path) -> None:
    a, b = np.array([np.inf, 1.0, np.nan, -np.inf, np.inf]), np.array([1.0, np.inf, 1.0, np.inf, np.inf])
    (value,) = compare_arrays({"x": a}, {"x": b}, tmp_path, tolerance=0.5).values
    assert (value.differing, value.max_abs) == (4, None)


def test_the_cosine_leaves_out_an_element_that_one_side_lacks(tmp_path: Path) -> None:
    (value,) = compare_arrays({"x": np.array([3.0, np.nan])}, {"x": np.array([3.0, 100.0])}, tmp_path).values
    assert (value.differing, value.cosine) == (1, 1.0)


def test_a_distance_beyond_float64_is_left_out(tmp_path: Path) -> None:
    largest = np.finfo(np.float64).max
    (value,) = compare_arrays({"x": np.array([largest])}, {"x": np.array([-largest])}, tmp_path).values
    assert (value.differing, value.max_abs, value.cosine) == (1, None, None)


def test_large_integers_are_compared_exactly(tmp_path: Path) -> None:
    a = np.array([2**62, 5], np.int64)
    (value,) = compare_arrays({"x": a}, {"x": a + np.array([1, 0])}, tmp_path).values
    assert value.differing == 1


def test_zeros_have_no_cosine(tmp_path: Path) -> None:
    (value,) = compare_arrays({"x": np.zeros(3)}, {"x": np.ones(3)}, tmp_path).values
    assert (value.differing, value.max_abs, value.max_rel, value.cosine) == (3, 1.0, 1.0, None)


def test_sums_beyond_float64_are_left_out(tmp_path: Path) -> None:
    """Compare two chunks, whose products overflow only in their sum."""
    a = np.array([1.2e154, 1.2e154])
    (value,) = compare_arrays({"x": a}, {"x": a * [1, 0.5]}, tmp_path, chunk_elements=1).values
    assert (value.differing, value.max_abs, value.cosine) == (1, 6e153, None)
    (value,) = compare_arrays({"x": a * [4, 1]}, {"x": a * [4, -1]}, tmp_path, chunk_elements=1).values
    assert (value.differing, value.cosine) == (1, None)


def test_bytes_of_packed_elements_are_compared_without_distances(tmp_path: Path) -> None:
    for name, data in (("a", b"\x12\x34"), ("b", b"\x13\x34")):
        header = b'{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
        (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + data)
    with Checkpoint(tmp_path / "a") as left, Checkpoint(tmp_path / "b") as right:
        assert compare(CheckpointSource(left), CheckpointSource(left)).equal
        (value,) = compare(CheckpointSource(left), CheckpointSource(right)).values
    assert value == ValueDifference("q", 4, 1, None, None, None)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="changed while it was read"):
        arrays = {"x": np.ones(3)}
        compare_arrays(arrays, arrays, tmp_path, progress=lambda count: os.utime(tmp_path / "a.safetensors", ns=(1, 1)))


SPEC: dict[str, Any] = {
    "seed": 3,
    "layout": "keras",
    "operations": [
        {"name": "embed", "type": "embedding", "vocabulary_size": 9, "embedding_dimension": 5, "padding_index": 2},
        {"name": "lstm", "type": "lstm", "input_size": 5, "num_hidden_units": 8},
        {"name": "head", "type": "fully_connected", "input_size": 8, "output_size": 3, "dtype": "float16"},
    ],
}


@pytest.mark.parametrize("threads", [1, 5])
def test_a_spec_equals_its_file(threads: int, tmp_path: Path) -> None:
    spec = paramgen.load_spec(SPEC)
    paramgen.build(spec, tmp_path / "f")
    with Checkpoint(tmp_path / "f") as checkpoint:
        result = compare(CheckpointSource(checkpoint), PlanSource(spec.plan), threads=threads, chunk_elements=7)
    assert result.equal
    assert result.common == len(spec.plan.tensors)


def test_a_single_glob_and_invalid_tolerances(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        safetensors.numpy.save_file({"x.bias": np.full(3, value), "x.weight": np.full(3, value)}, tmp_path / name)
    paths = tmp_path / "a", tmp_path / "b"
    assert [value.name for value in paramgen.diff(*paths, ignore="*.bias").values] == ["x.weight"]
    for tolerance in (float("nan"), float("inf"), -1.0):
        with pytest.raises(UsageError, match="diff: tolerance: must be a finite number of at least 0"):
            paramgen.diff(*paths, tolerance=tolerance)
