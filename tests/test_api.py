"""The Python API: load_spec, build, sample, load; initialize against MathWorks' functions and examples."""

import ast
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from golden import Golden
from helpers import ROOT, TINY

import paramgen
from paramgen.planning.streams import stream_id
from paramgen.sampling.orthogonal import FLOAT32_TOLERANCE, Orthonormalizer
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.reference.distributions import standard_normal
from paramgen.sampling.reference.philox import draw_words

SPEC = {
    "seed": 42,
    "operations": [{"name": "conv", "type": "conv", "filter_size": [5, 5], "num_channels": 3, "num_filters": 128}],
}


def test_glorot_convolution() -> None:
    w = paramgen.initialize("glorot", [5, 5, 3, 128], fan_in=75, fan_out=3200, seed=42, name="conv.weights")
    bound = math.sqrt(6 / 3275)
    assert (w.shape, w.dtype) == ((5, 5, 3, 128), np.float32)
    assert 0.999 * bound < np.abs(w).max() <= np.float32(bound)
    assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_he_convolution() -> None:
    w = paramgen.initialize("he", [5, 5, 3, 128], fan_in=75)
    assert w.shape == (5, 5, 3, 128)
    assert w.std() == pytest.approx(math.sqrt(2 / 75), rel=0.02)


def test_gaussian_embedding() -> None:
    w = paramgen.initialize("gaussian", [300, 5000])
    assert w.shape == (300, 5000)
    assert abs(w.mean()) < 3e-5
    assert w.std() == pytest.approx(0.01, rel=0.003)


def test_uniform_attention() -> None:
    w = paramgen.initialize("uniform", [100, 100], bound=0.1)
    assert w.shape == (100, 100)
    assert 0.0995 < np.abs(w).max() <= np.float32(0.1)


def test_orthogonal_recurrent_weights() -> None:
    w = paramgen.initialize("orthogonal", [400, 100], name="lstm.recurrent_weights", seed=9)
    q = w.astype(np.float64)
    assert np.abs(q.T @ q - np.eye(100)).max() <= 1e-6
    drawn = standard_normal(draw_words(9, stream_id("lstm.recurrent_weights"), 0, 40_000)).reshape(400, 100)
    expected = Orthonormalizer(NumpyBackend(), 1)(lambda on: drawn.astype(np.float64), FLOAT32_TOLERANCE)
    assert w.tobytes() == expected.astype(np.float32).tobytes()


def test_orthogonal_arrays_flatten_to_their_last_axis() -> None:
    w = paramgen.initialize({"type": "orthogonal", "gain": 2}, [4, 5, 6, 7]).astype(np.float64).reshape(120, 7)
    assert np.abs(w.T @ w - 4 * np.eye(7)).max() < 1e-6
    wide = paramgen.initialize("orthogonal", [3, 2, 30], dtype="float64").reshape(6, 30)
    assert np.abs(wide @ wide.T - np.eye(6)).max() < 1e-12


@pytest.mark.parametrize("shape", [[400, 1], [400]])
def test_unit_forget_gate_bias(shape: list[int]) -> None:
    b = paramgen.initialize("unit_forget_gate", shape)
    assert b.shape == tuple(shape)
    np.testing.assert_array_equal(b.reshape(-1), [0] * 100 + [1] * 100 + [0] * 200)


def test_batch_normalization() -> None:
    np.testing.assert_array_equal(paramgen.initialize("ones", [128, 1]), np.ones((128, 1)))
    np.testing.assert_array_equal(paramgen.initialize("zeros", (128, 1)), np.zeros((128, 1)))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_initialize_equals_the_tensor_of_a_file(dtype: str, tmp_path: Path) -> None:
    paramgen.build({**SPEC, "dtype": dtype}, tmp_path / "p")
    loaded = paramgen.load(tmp_path / "p")["conv"]["weights"]
    w = paramgen.initialize(
        "glorot", [5, 5, 3, 128], fan_in=75, fan_out=3200, seed=42, name="conv.weights", dtype=dtype
    )
    assert w.dtype == loaded.dtype
    assert w.tobytes() == loaded.tobytes()


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        pytest.param(("glorto", [1]), {}, id="an initializer misspelt"),
        pytest.param(("glorot", [2, 2]), {}, id="glorot without fans"),
        pytest.param(("he", [2, 2]), {}, id="he without fan_in"),
        pytest.param(("he", [2, 2]), {"fan_in": 0}, id="zero for fan_in"),
        pytest.param(("uniform", [2]), {}, id="uniform without a bound"),
        pytest.param(("uniform", [2]), {"bound": 1, "std": 2}, id="an unknown field"),
        pytest.param(("uniform", [2]), {"bound": 1e39}, id="a bound beyond the dtype"),
        pytest.param(("ones", [2, -2]), {}, id="a negative size in a shape"),
        pytest.param(("ones", [2.0]), {}, id="a float in a shape"),
        pytest.param(("ones", [2]), {"dtype": "float31"}, id="an unknown dtype"),
        pytest.param(("ones", [2]), {"seed": -1}, id="a negative seed"),
        pytest.param(("ones", [2]), {"seed": True}, id="a boolean for a seed"),
        pytest.param(("ones", [2]), {"name": None}, id="no name"),
        pytest.param(("ones", [2]), {"name": "\ud800"}, id="a surrogate in a name"),
        pytest.param(("ones", 5), {}, id="a number for a shape"),
        pytest.param((None, [3]), {}, id="no initializer"),
        pytest.param(("uniform", [3]), {"type": "ones"}, id="a type beside the initializer"),
        pytest.param(("orthogonal", [4]), {}, id="orthogonal of a vector"),
        pytest.param(("unit_forget_gate", [402, 1]), {}, id="unit_forget_gate of a column"),
        pytest.param(("unit_forget_gate", [4, 4]), {}, id="unit_forget_gate of a matrix"),
    ],
)
def test_initialize_refuses_invalid_arguments(arguments: Any, keywords: Any, golden: Golden) -> None:
    with pytest.raises(paramgen.ParamgenError) as caught:
        paramgen.initialize(*arguments, **keywords)
    assert isinstance(caught.value, ValueError)
    golden(caught.value)


def test_initialize_takes_numpys_numbers() -> None:
    drawn = paramgen.initialize("gaussian", np.array([2, 3]), std=np.float32(2), seed=np.int64(5))
    assert drawn.tobytes() == paramgen.initialize({"type": "gaussian", "std": 2.0}, [2, 3], seed=5).tobytes()


def test_arrays_larger_than_memory_are_refused(golden: Golden) -> None:
    with pytest.raises(MemoryError) as caught:
        paramgen.initialize("gaussian", [2**61])
    golden(caught.value)


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 2**64}, {"seed": 1.0}, {"dtype": "F32"}, {"seed": np.bool_(True)}], ids=str
)
def test_arguments_replace_a_files_values(arguments: dict[str, Any], tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "m.yaml").write_text(TINY.replace("seed: 3\n", ""))
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec(tmp_path / "m.yaml", **arguments)
    assert paramgen.load_spec(tmp_path / "m.yaml", seed=np.uint64(2**64 - 1)).seed == 2**64 - 1
    golden(caught.value)


def test_errors_of_replaced_values_have_no_line(tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("seed: 3\nvariables: {n: 2}\noperations: [{name: p, type: prelu, num_channels: '${n}'}]\n")
    errors: list[paramgen.ParamgenError] = []
    for arguments, place in (
        ({"seed": -1}, "seed"),
        ({"layout": "tourch"}, "layout"),
        ({"variables": {"n": None}}, "variables.n"),
    ):
        with pytest.raises(paramgen.SpecError) as caught:
            paramgen.load_spec(path, **arguments)
        assert [(problem.line, problem.path) for problem in caught.value.diagnostics] == [(None, place)]
        errors.append(caught.value)
    for variables in ([], {3: 64}):
        with pytest.raises(paramgen.UsageError) as refused:
            paramgen.load_spec(path, variables=variables)  # type: ignore[arg-type]
        errors.append(refused.value)
    golden(*errors)


def test_integers_of_any_size_are_reported(golden: Golden) -> None:
    huge = {"variables": {"a": 10**400, "b": "${sqrt(a) + int(a)}"}, "operations": [{"name": "p", "type": "prelu"}]}
    with pytest.raises(paramgen.SpecError) as variable:
        paramgen.load_spec(huge)
    low = {"type": "truncated_normal", "low": 10**5000}
    with pytest.raises(paramgen.SpecError) as limit:
        paramgen.load_spec({"operations": [{"name": "p", "type": "prelu", "initializers": {"alpha": low}}]})
    assert [error.value.diagnostics[0].path for error in (variable, limit)] == [
        "variables.a",
        "operations[0].initializers.alpha.low",
    ]
    golden(variable.value, limit.value)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, 1025, 10**30])
def test_invalid_numbers_of_threads_are_refused(threads: Any, tmp_path: Path, golden: Golden) -> None:
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.build({"operations": [{"name": "p", "type": "prelu"}]}, tmp_path / "p", threads=threads)
    golden(caught.value)


def test_invalid_paths_are_refused(golden: Golden) -> None:
    errors = []
    for call in (paramgen.load_spec, paramgen.load, paramgen.Spec.from_file):
        with pytest.raises(paramgen.FileError) as caught:
            call("o\ud800")  # type: ignore[operator]
        errors.append(caught.value)
    golden(*errors)


def test_errors_can_be_pickled() -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"operations": [3] * 30, "seed": 10**5000})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.total, copy.diagnostics) == (str(caught.value), 31, caught.value.diagnostics)
    assert "16,610 bits" in str(copy)


def test_paths_of_all_kinds(tmp_path: Path, golden: Golden) -> None:
    paramgen.build(SPEC, os.fsencode(tmp_path / "p"))
    assert paramgen.load(os.fsencode(tmp_path / "p")).keys() == {"conv"}
    errors = []
    for call in (
        paramgen.load_spec,
        paramgen.load,
        paramgen.Spec.from_file,
        lambda path: paramgen.build(SPEC, path),
    ):
        with pytest.raises(paramgen.FileError) as caught:
            call("a\0b")
        errors.append(caught.value)
    golden(*errors)


def test_shapes_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.zeros(1)}, tmp_path / "p")
    data = (tmp_path / "p").read_bytes()
    header = data[8:].rpartition(b"}")[0] + b"}"
    header = header.replace(b"[1]", b"[" + b",".join([b"1"] * 70) + b"]")
    (tmp_path / "p").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(paramgen.FileError):
        paramgen.load(tmp_path / "p")


def test_load_spec_of_a_path_and_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "my.model.yaml"
    path.write_text(TINY)
    spec = paramgen.load_spec(path)
    assert (spec.name, spec.seed, spec.dtype, len(spec.source["operations"])) == ("my.model", 3, "float32", 1)
    assert spec.source["operations"][0]["name"] == "dense"
    spec = paramgen.load_spec(SPEC, seed=7, dtype="float16")
    assert (spec.name, spec.seed, spec.dtype) == ("model", 7, "float16")
    assert "dtype" not in SPEC
    with pytest.raises(AttributeError, match="seed"):
        spec.seed = 8


def test_load_spec_raises_every_problem(golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"seed": -1, "operations": [{"name": "a", "type": "batchnorm", "num_channels": 4.0}]})
    assert [problem.path for problem in caught.value.diagnostics] == ["seed", "operations[0].num_channels"]
    with pytest.raises(paramgen.SpecError) as dtype:
        paramgen.load_spec(SPEC, dtype="x")
    with pytest.raises(paramgen.FileError) as missing:
        paramgen.load_spec("none.yaml")
    golden(caught.value, dtype.value, missing.value)


def test_build_writes_the_commands_file(tmp_path: Path, golden: Golden) -> None:
    result = paramgen.build(paramgen.load_spec(SPEC), tmp_path / "p", digest=True)
    assert result.total_parameters == 9728
    assert result.sha256 is not None
    foreign = tmp_path / "f"
    foreign.write_bytes(b"precious")
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.build(SPEC, foreign)
    assert foreign.read_bytes() == b"precious"
    paramgen.build(SPEC, foreign, force=True)
    assert foreign.read_bytes() == (tmp_path / "p").read_bytes()
    golden(caught.value)


def test_samples_equal_the_tensors_of_a_file(tmp_path: Path) -> None:
    path = ROOT / "configs" / "layers.yaml"
    paramgen.build(path, tmp_path / "p")
    sampled, loaded = paramgen.sample(path), paramgen.load(tmp_path / "p")
    assert sampled.keys() == loaded.keys()
    for name, group in sampled.items():
        assert group.keys() == loaded[name].keys()
        for parameter, array in group.items():
            assert array.shape == loaded[name][parameter].shape
            assert array.dtype == loaded[name][parameter].dtype
            assert array.tobytes() == loaded[name][parameter].tobytes()


def test_load_returns_nested_writable_arrays(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a.b.c": np.arange(3), "a.d": np.ones((2, 2)), "e": np.zeros(())}, tmp_path / "p")
    loaded = paramgen.load(tmp_path / "p", device="cpu")
    np.testing.assert_array_equal(loaded["a"]["b"]["c"], [0, 1, 2])
    loaded["a"]["d"] += 1
    assert loaded["e"].shape == ()


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a.b.c")], ids=str)
def test_load_refuses_names_that_do_not_nest(names: tuple[str, str], tmp_path: Path, golden: Golden) -> None:
    safetensors.numpy.save_file({name: np.zeros(1) for name in names}, tmp_path / "p")
    with pytest.raises(paramgen.FileError) as caught:
        paramgen.load(tmp_path / "p")
    golden(caught.value)


def test_load_refuses_dtypes_that_numpy_lacks_and_unknown_devices(tmp_path: Path, golden: Golden) -> None:
    header = b'{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
    (tmp_path / "f").write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(paramgen.FileError) as dtype:
        paramgen.load(tmp_path / "f")
    with pytest.raises(paramgen.UsageError) as device:
        paramgen.load(tmp_path / "f", device="tpu")
    golden(dtype.value, device.value)


def test_importing_is_light_and_names_are_public() -> None:
    code = "import sys, paramgen; print([m for m in ('numpy', 'pydantic', 'yaml', 'rich') if m in sys.modules]); paramgen.nothing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n"
    assert "has no attribute 'nothing'" in done.stderr
    assert set(dir(paramgen)) >= {"build", "initialize", "load", "load_spec", "sample", "SpecError"}
    for name in paramgen.__all__:
        assert getattr(paramgen, name) is not None


def test_type_checkers_see_the_public_names() -> None:
    tree = ast.parse(Path(paramgen.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: node.module for node in imports for alias in node.names}
    assert names == {name: module for module, exports in paramgen._EXPORTS.items() for name in exports}
    assert {"__version__", *names} == set(paramgen.__all__)


def test_a_plan_has_the_fields_that_the_command_prints() -> None:
    spec = {"seed": 5, "operations": [{"name": "a_b", "type": "batchnorm", "num_channels": 3}]}
    plan = paramgen.plan({**spec, "layout": "torch"})
    document = json.loads("".join(plan.iter_json()))
    assert plan.rows() == document["parameters"]
    plan.rows()[0]["initializer"]["type"] = "changed"  # belongs to the caller
    assert plan.rows() == document["parameters"]
    assert plan.tensors[0].shape == (3,)
    assert [row["canonical_name"] for row in plan.rows()] == ["a_b.scale", "a_b.offset", None, None, None]
    assert repr(plan) == "<Plan 'model': 5 tensors, 6 parameters, 7 buffer elements, 56 B, seed 5>"
    assert repr(paramgen.load_spec(spec)) == "<Spec 'model': 1 item, seed 5>"


def test_flat_names_are_those_of_the_file(tmp_path: Path) -> None:
    spec = {"operations": [{"name": "a", "repeat": 2, "operations": [{"name": "b", "type": "prelu"}]}]}
    flat, nested = paramgen.sample(spec, flat=True), paramgen.sample(spec)
    paramgen.build(spec, tmp_path / "x")
    assert flat.keys() == safetensors.numpy.load_file(tmp_path / "x").keys() == {"a.0.b.alpha", "a.1.b.alpha"}
    assert flat["a.1.b.alpha"] == nested["a"]["1"]["b"]["alpha"]
