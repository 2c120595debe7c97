"""Statistics in bounded memory, against NumPy on the whole array; foreign files."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

import paramgen
from paramgen.analysis.file_report import RunningMoments, compute_statistics, iter_json, select_tensors
from paramgen.cli.file_tables import print_inspection
from paramgen.cli.plan_tables import print_plan
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.header import encode_header, place_tensors


def stats_of(array: NDArray[Any], tmp_path: Path, **options: int) -> Any:
    from paramgen.dtypes import FILE_DTYPES

    dtype = next(dtype for dtype in FILE_DTYPES if dtype.numpy_name == array.dtype.name)
    entries = place_tensors([("x", dtype, array.shape)])
    (tmp_path / "f").write_bytes(encode_header(entries, {}) + array.tobytes())
    with Checkpoint(tmp_path / "f") as checkpoint:
        return compute_statistics(checkpoint, checkpoint.tensors["x"], **options)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "uint8", "bool"]
)
def test_stats_are_numpys(dtype: str, tmp_path: Path) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    array = np.random.default_rng(0).normal(3, 2, (17, 31)).clip(0).astype(kind)
    wide = array.astype(np.float64)
    found = stats_of(array, tmp_path, chunk_elements=100)
    np.testing.assert_allclose((found["mean"], found["std"]), (wide.mean(), wide.std()), rtol=1e-13)
    assert (found["min"], found["max"]) == (wide.min(), wide.max())
    assert (found["zeros"], found["nan"], found["inf"]) == ((wide == 0).sum(), 0, 0)


def test_nan_and_infinity_are_counted_and_left_out(tmp_path: Path) -> None:
    array = np.array([1, np.nan, -np.inf, 3, np.inf, 0, -0.0, np.inf], np.float32)
    assert stats_of(array, tmp_path) == {
        "mean": 1.0,
        "std": pytest.approx(1.5**0.5),
        "min": 0.0,
        "max": 3.0,
        "zeros": 2,
        "nan": 1,
        "inf": 3,
    }


@pytest.mark.parametrize("array", [np.zeros(0, np.float32), np.full(3, np.nan)], ids=["empty", "all NaN"])
def test_no_finite_element(array: NDArray[Any], tmp_path: Path) -> None:
    found = stats_of(array, tmp_path)
    assert [found[key] for key in ("mean", "std", "min", "max")] == [None] * 4
    assert found["nan"] == array.size


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1.7e308, 5e-324])
def test_extreme_values_neither_overflow_nor_vanish(scale: float, tmp_path: Path) -> None:
    found = stats_of(np.array([-1, 1, 1, 1], np.float64) * scale, tmp_path)
    assert found["max"] == -found["min"] == scale
    np.testing.assert_allclose(found["mean"], scale / 2, rtol=1e-12, atol=5e-324)
    np.testing.assert_allclose(found["std"], scale * 0.75**0.5, rtol=1e-12, atol=5e-324)


def test_bounds_of_64_bit_integers_are_exact(tmp_path: Path) -> None:
    found = stats_of(np.array([2**63 - 1, -(2**63)], np.int64), tmp_path)
    assert (found["min"], found["max"]) == (-(2**63), 2**63 - 1)


def test_merging_equal_values_keeps_the_deviation_zero() -> None:
    moments = RunningMoments()
    for _ in range(50):
        moments.add(np.full(1000, 0.1))
    assert moments.statistics()["std"] < 1e-16
    assert moments.statistics()["mean"] == pytest.approx(0.1, rel=1e-15)


def test_complex_and_narrow_types_have_no_stats(tmp_path: Path) -> None:
    assert stats_of(np.zeros(2, np.complex64), tmp_path) is None
    header = b'{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
    (tmp_path / "f").write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with Checkpoint(tmp_path / "f") as checkpoint:
        tensors = [*checkpoint.tensors.values()]
        parts = iter_json(checkpoint, tensors, [compute_statistics(checkpoint, tensors[0])])
        found = json.loads("".join(parts))
    assert found["tensors"] == [
        {
            "name": "q",
            "dtype": "f4",
            "shape": [4],
            "parameters": 4,
            "bytes": 2,
            "file": str(tmp_path / "f"),
            "stats": None,
        }
    ]


def test_selection_and_order(tmp_path: Path) -> None:
    path = tmp_path / "f"
    safetensors.numpy.save_file({name: np.zeros(1) for name in ("b.w", "a.w", "a.b", "A.w")}, path)
    with Checkpoint(path) as checkpoint:
        for pattern, names in {
            None: ["A.w", "a.b", "a.w", "b.w"],
            "a.*": ["a.b", "a.w"],
            "*.[w]": ["A.w", "a.w", "b.w"],
            "z": [],
        }.items():
            assert [entry.name for entry, _ in select_tensors(checkpoint, pattern)] == names


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "uint64", "complex64", "bool"])
def test_a_dtype_that_numpy_has_is_named_as_numpy_names_it(dtype: str, tmp_path: Path) -> None:
    safetensors.numpy.save_file({"x": np.zeros(2, dtype)}, tmp_path / "f")
    with Checkpoint(tmp_path / "f") as checkpoint:
        found = json.loads("".join(iter_json(checkpoint, select_tensors(checkpoint, None), None)))
    assert [tensor["dtype"] for tensor in found["tensors"]] == [dtype]


@pytest.mark.parametrize(
    ("layout", "buffers"),
    [("canonical", 0), ("torch", 2 * 3 + 1), ("keras", 2 * 3), ("flax", 2 * 3)],
)
def test_buffers_are_counted_separately(
    layout: str, buffers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = [
        {"name": "norm", "type": "batchnorm", "num_channels": 3},
        {"name": "lstm", "type": "lstm", "input_size": 3, "num_hidden_units": 2},
    ]
    plan = paramgen.plan({"layout": layout, "operations": operations})
    result = paramgen.build({"layout": layout, "operations": operations}, tmp_path / "f")
    with Checkpoint(tmp_path / "f") as checkpoint:
        tensors = select_tensors(checkpoint, None)
        found = json.loads("".join(iter_json(checkpoint, tensors, None)))
        print_inspection(checkpoint, tensors)
    elements = sum(tensor["parameters"] for tensor in found["tensors"])
    assert plan.buffer_elements == buffers
    assert plan.total_parameters == result.total_parameters == found["total_parameters"] == elements - buffers
    print_plan(plan, plan.tensors)
    totals = [line for line in capsys.readouterr().out.splitlines() if " tensors, " in line]
    assert [f"{buffers} buffer elements, " in line for line in totals] == [buffers > 0] * 2
