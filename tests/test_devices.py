"""Builds and arrays on GPUs, simulated and real: the same bytes, bounded memory, and errors of one line."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from golden import Golden
from helpers import DATA, FIRST_DTYPES, ROOT, SPECS, Run, find_digest_key, find_small_variables, read_without_files

import paramgen
from paramgen import engine
from paramgen.sampling import devices

RECORDED: dict[str, dict[str, str]] = json.loads((DATA / "digests.json").read_text())
LAYERS = ROOT / "configs" / "layers.yaml"
ORTHOGONAL = {"w": {"shape": [300, 100], "initializer": "orthogonal"}, "v": {"shape": [9], "initializer": "gaussian"}}
ORTHOGONAL_SPEC = {"operations": [{"name": "x", "type": "custom", "parameters": ORTHOGONAL}]}


@pytest.mark.parametrize("path", SPECS, ids=find_digest_key)
@pytest.mark.parametrize("dtype", [None, *FIRST_DTYPES])
def test_every_config_has_its_digest(gpu: ModuleType, path: Path, dtype: str | None, tmp_path: Path) -> None:
    spec = paramgen.load_spec(read_without_files(path), dtype=dtype, variables=find_small_variables(path))
    result = paramgen.build(spec, tmp_path / "x", device="gpu", digest=True)
    assert result.sha256 == RECORDED[find_digest_key(path)][dtype or "as written"]
    assert result.device == ",".join(device.name for device in gpu.list_devices())


@pytest.mark.parametrize("device", ["gpu:1", "gpu:1,gpu:0", "gpu:0"])
@pytest.mark.parametrize("block", [4096, 2**20])
def test_gpus_share_the_blocks(simulated: ModuleType, device: str, block: int, tmp_path: Path) -> None:
    plan = paramgen.plan(LAYERS)
    result = engine.build(plan, str(tmp_path / "x"), device=device, block_bytes=block, digest=True)
    assert (result.sha256, result.device) == (RECORDED["layers"]["as written"], device)


def test_several_gpus_share_a_matrix(simulated: ModuleType, tmp_path: Path) -> None:
    plan = paramgen.plan(ORTHOGONAL_SPEC)
    digests = {
        engine.build(plan, str(tmp_path / "x"), device=device, block_bytes=8192, digest=True).sha256
        for device in ("cpu", "gpu")
    }
    assert len(digests) == 1


def test_auto_starts_a_gpu_only_for_long_builds(simulated: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose_device(seconds: float) -> str:
        return devices.open_backends("auto", 2, 2**20, seconds)[0].device

    assert paramgen.build(LAYERS, os.devnull).device == "cpu"
    assert choose_device(1.9 * devices.GPU_START_SECONDS) == "cpu"
    assert choose_device(2.1 * devices.GPU_START_SECONDS) == "gpu:0"
    monkeypatch.setenv("SIMULATED_MEMORY", "1000")
    assert choose_device(1e9) == "cpu"
    monkeypatch.setenv("SIMULATED_GPUS", "0")
    simulated.why_unusable.cache_clear()
    assert choose_device(1e9) == "cpu"


def test_an_interrupted_build_leaves_nothing(simulated: ModuleType, tmp_path: Path) -> None:
    before = threading.active_count()

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    plan = paramgen.load_spec(ORTHOGONAL_SPEC).plan
    with pytest.raises(KeyboardInterrupt):
        engine.build(plan, str(tmp_path / "x"), device="gpu", progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def on_host(array: Any) -> Any:
    """Return an array of a GPU on the host, copied by CuPy itself."""
    import cupy

    assert isinstance(array, cupy.ndarray)
    return cupy.asnumpy(array)


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_samples_and_loaded_files_are_those_of_the_cpu(gpu: ModuleType, dtype: str, tmp_path: Path) -> None:
    spec = paramgen.load_spec(ROOT / "configs" / "lstm_classifier.yaml", dtype=dtype)
    paramgen.build(spec, tmp_path / "x", device="cpu")
    here, there = paramgen.sample(spec), paramgen.sample(spec, device="gpu")
    loaded, loaded_there = paramgen.load(tmp_path / "x"), paramgen.load(tmp_path / "x", device="gpu:0")
    for group, arrays in here.items():
        for name, array in arrays.items():
            found = [there[group][name], loaded_there[group][name]]
            assert loaded[group][name].tobytes() == array.tobytes()
            for there_too in found:
                assert there_too.shape == array.shape
                assert there_too.dtype == (array.dtype if "float8" not in dtype else np.uint8)
                assert on_host(there_too).tobytes() == array.tobytes()


@pytest.fixture
def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "encoder": {"0": {"weights": rng.normal(size=(30, 50)).astype(np.float32), "bias": np.zeros((0, 3))}},
        "long": rng.integers(0, 2**60, 1_300_000),
        "turned": rng.normal(size=(20, 30)).T,
        "every other": rng.normal(size=(20, 30))[::2, ::3],
        "backwards": np.arange(7)[::-1],
        "scalar": np.array(3.5),
        "big-endian": np.arange(5, dtype=">i4"),
        "narrow": [np.arange(4).astype(ml_dtypes.bfloat16), (np.ones((2, 2), bool), np.ones(3, np.complex64))],
    }


def leaves(params: Any) -> Iterator[Any]:
    if isinstance(params, dict | list | tuple):
        for value in params.values() if isinstance(params, dict) else params:
            yield from leaves(value)
    else:
        yield params


def test_arrays_return_unchanged_from_a_gpu(gpu: ModuleType, arrays: dict[str, Any]) -> None:
    there = paramgen.to_gpu(arrays)
    assert isinstance(there["narrow"], list) and isinstance(there["narrow"][1], tuple)
    back = paramgen.to_cpu(there)
    for before, between, after in zip(leaves(arrays), leaves(there), leaves(back), strict=True):
        np.testing.assert_array_equal(after, before)
        assert after.dtype == between.dtype == before.dtype.newbyteorder("=")
        assert after.shape == between.shape == before.shape
        assert after.flags.c_contiguous
    again = paramgen.to_gpu(there)
    assert all(one is other for one, other in zip(leaves(there), leaves(again), strict=True))


def test_arrays_move_between_gpus(simulated: ModuleType, arrays: dict[str, Any]) -> None:
    there = paramgen.to_gpu(arrays, device="gpu:1")
    assert {int(array.device) for array in leaves(there)} == {1}
    over = paramgen.to_gpu(there, device="gpu:0")
    assert {int(array.device) for array in leaves(over)} == {0}
    for before, after in zip(leaves(arrays), leaves(paramgen.to_cpu(over)), strict=True):
        np.testing.assert_array_equal(after, before)


def test_dtypes_that_cupy_lacks_keep_their_bits(gpu: ModuleType) -> None:
    array = np.arange(6).reshape(2, 3).astype(ml_dtypes.float8_e4m3fn)
    back = paramgen.to_cpu(paramgen.to_gpu({"w": array}))["w"]
    assert (back.dtype, back.shape) == (np.uint8, (2, 3))
    assert back.view(ml_dtypes.float8_e4m3fn).tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [3.5, "text", np.array(["text"]), np.array([None]), np.array([], "M8[s]"), None])
def test_other_values_than_arrays_are_refused(simulated: ModuleType, value: Any, golden: Golden) -> None:
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.to_gpu({"a": [np.ones(2), {"b": value}]})
    golden(caught.value)


def test_to_cpu_needs_no_gpu(golden: Golden) -> None:
    params = {"a": np.ones(3), "b": [np.float32(2)]}
    assert paramgen.to_cpu(params)["a"] is params["a"]
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.to_cpu(1.0)
    golden(caught.value)


def test_arrays_are_on_one_device(simulated: ModuleType, tmp_path: Path, golden: Golden) -> None:
    errors = []
    for device in ("cpu", "gpu:0,gpu:1", "gpu:x", "auto"):
        with pytest.raises(paramgen.UsageError) as caught:
            paramgen.to_gpu({}, device=device)
        assert device in str(caught.value)
        errors.append(caught.value)
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.sample(LAYERS, device="gpu:0,gpu:1")
    golden(*errors, caught.value)


@pytest.fixture
def run_simulated(run: Run, simulated_gpus: dict[str, str]) -> Run:
    """Run `paramgen ARGUMENTS` with simulated GPUs; `env` adds to the environment."""
    return lambda *arguments, env=(), **keywords: run(*arguments, env={**simulated_gpus, **dict(env)}, **keywords)


PIP_12 = "pip install cupy-cuda12x 'cuda-toolkit[cudart,nvrtc]==12.*'"
PIP_13 = "pip install cupy-cuda13x 'cuda-toolkit[cudart,nvrtc]==13.*'"


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of an error of the system: exit status 3, empty stdout."""
    assert (done.returncode, done.stdout) == (3, ""), done
    (line,) = done.stderr.splitlines()
    return line


def test_the_command_builds_on_a_gpu(run_simulated: Run, tiny: Path, tmp_path: Path) -> None:
    document = json.loads(run_simulated("build", "tiny.yaml", "--device", "gpu:1", "--json").stdout)
    assert document["device"] == "gpu:1"
    there = (tmp_path / "params.safetensors").read_bytes()
    assert document["sha256"] == hashlib.sha256(there).hexdigest()
    assert run_simulated("build", "tiny.yaml", "--device", "cpu", "--quiet").returncode == 0
    assert (tmp_path / "params.safetensors").read_bytes() == there


def test_the_command_lists_devices(run_simulated: Run, run: Run, golden: Golden) -> None:
    lines = run_simulated("devices").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["cpu", "yes"], ["gpu:0", "yes"], ["gpu:1", "yes"]]
    usable = lines[2]
    document = json.loads(run_simulated("devices", "--json").stdout)
    assert [(device["name"], device["usable"]) for device in document] == [
        ("cpu", True),
        ("gpu:0", True),
        ("gpu:1", True),
    ]
    lines = run_simulated("devices", env={"SIMULATED_GPUS": "0"}).stdout.splitlines()
    assert lines[2].split()[:2] == ["gpu", "no"]
    golden(usable, lines[2])


@pytest.mark.parametrize(
    ("device", "env", "place"),
    [
        pytest.param("gpu:2", {}, "gpu:2", id="a third of two"),
        pytest.param("gpu:0,gpu:7", {"SIMULATED_GPUS": "1"}, "gpu:7", id="an eighth of one"),
        pytest.param("gpu", {"SIMULATED_GPUS": "0"}, "gpu", id="any of none"),
        pytest.param("gpu:1", {"SIMULATED_MEMORY": "100"}, "gpu:1", id="without memory"),
    ],
)
def test_unusable_gpus_are_reported(
    run_simulated: Run, tiny: Path, tmp_path: Path, device: str, env: dict[str, str], place: str, golden: Golden
) -> None:
    line = one_line(run_simulated("build", "tiny.yaml", "--device", device, env=env))
    assert line.startswith(f"{place}: ")
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.yaml"]
    golden(line)


def test_a_matrix_larger_than_a_gpus_memory_is_reported(run_simulated: Run, tmp_path: Path, golden: Golden) -> None:
    """Leave memory for the blocks, but not for the matrix."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(ORTHOGONAL_SPEC))
    line = one_line(run_simulated("build", "spec.yaml", "--device", "gpu", env={"SIMULATED_MEMORY": "200000"}))
    assert line.startswith("gpu:")
    assert list(tmp_path.iterdir()) == [spec]
    golden(re.sub(r"\d[\d,]*", "N", line))  # either GPU, and any of the arrays, may fail first


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("auto", ("auto", [])), ("cpu", ("cpu", [])), ("gpu", ("gpu", [])), ("gpu:1,gpu:0,gpu:1", ("gpu", [1, 0]))],
)
def test_names_of_devices_are_read(text: str, parsed: tuple[str, list[int]]) -> None:
    assert devices.parse_device(text) == parsed


@pytest.mark.parametrize("text", ["gpux", "gpu:", "gpu:-1", "gpu:0,", "gpu,gpu:1", "GPU", "cuda", "", "gpu:٣"])
def test_invalid_devices_are_refused(run: Run, tiny: Path, text: str, golden: Golden) -> None:
    done = run("build", "tiny.yaml", "--device", text)
    assert (done.returncode, done.stdout) == (2, "")
    with pytest.raises(paramgen.UsageError) as caught:
        paramgen.build(tiny, device=text)
    golden(done.stderr, caught.value)


WITHOUT = """
import sys
sys.modules["cupy"] = None
from paramgen.sampling.cuda import runtime
runtime._driver_version = lambda: {driver}
from paramgen.__main__ import main
main()
"""


@pytest.mark.parametrize("driver", [None, 12040, 13000])
def test_a_gpu_without_cupy_is_one_error(tiny: Path, tmp_path: Path, driver: int | None, golden: Golden) -> None:
    command = [sys.executable, "-c", WITHOUT.format(driver=driver), "build", tiny, "--device", "gpu"]
    line = one_line(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False))
    assert line.startswith("gpu: ")
    assert os.listdir(tmp_path) == ["tiny.yaml"]
    golden(line)


def test_errors_of_the_driver_and_nvrtc_are_reported(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    def refuse() -> int:
        raise simulated.cupy.cuda.runtime.CUDARuntimeError("cudaErrorInsufficientDriver: too old")

    def problem() -> str:
        simulated.why_unusable.cache_clear()
        (found,) = simulated.list_devices()
        assert not found.usable
        return found.description  # type: ignore[no-any-return]

    def missing() -> None:
        raise RuntimeError("libnvrtc.so.12\nnot found")

    monkeypatch.setattr("paramgen.sampling.cuda.runtime._driver_version", lambda: 12020)
    monkeypatch.setattr(simulated.cupy.cuda.nvrtc, "getVersion", missing)
    without_nvrtc = problem()
    monkeypatch.setattr(simulated.cupy.cuda.runtime, "getDeviceCount", refuse)
    refused = problem()
    monkeypatch.setattr("paramgen.sampling.cuda.runtime._driver_version", lambda: None)
    golden(without_nvrtc, refused, problem())


def test_a_refused_kernel_is_reported_in_one_line(
    simulated: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, golden: Golden
) -> None:
    def refuse(program: int, options: tuple[str, ...]) -> None:
        raise simulated.cupy.cuda.nvrtc.NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    monkeypatch.setattr(simulated.cupy.cuda.nvrtc, "compileProgram", refuse)
    with pytest.raises(paramgen.DeviceError) as caught:
        paramgen.build(LAYERS, tmp_path / "x", device="gpu:0")
    assert list(tmp_path.iterdir()) == []
    golden(caught.value)


def names_of_cupy() -> set[str]:
    """Return CuPy's attributes that sampling uses, as the longest chains."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "paramgen" / "sampling" / "cuda").glob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree))
    chains = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    return {chain for chain in chains if re.fullmatch(r"cupy(\.\w+)+", chain)}


@pytest.mark.cupy
def test_cupy_has_every_attribute_that_is_used() -> None:
    """Compare with CuPy itself, which imports without a GPU."""
    names = names_of_cupy()
    assert {"cupy.cuda.Stream", "cupy.cuda.runtime.memcpyAsync", "cupy.asnumpy"} <= names
    subprocess.run([sys.executable, "-c", f"import cupy; {'; '.join(sorted(names))}"], check=True)


def test_safetensors_loads_a_file_drawn_by_a_gpu(gpu: ModuleType, tmp_path: Path) -> None:
    paramgen.build(LAYERS, tmp_path / "x", device="gpu")
    loaded = safetensors.numpy.load_file(tmp_path / "x")
    assert all(np.isfinite(array.astype(np.float64)).all() for array in loaded.values())
