"""The check of weights: sound files of every kind have no findings, damaged ones do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from helpers import CONFIGS, FORMER_SMALL, SMALL, SPECS

import paramgen
from paramgen.analysis.check import check
from paramgen.catalog.distributions.base import Moments
from paramgen.catalog.distributions.computed import LogUniform
from paramgen.catalog.distributions.elementwise import TruncatedNormal
from paramgen.folder_build import build_folder
from paramgen.planning.files import FolderLayout


def find(path: Path) -> list[tuple[str, str | None, str]]:
    return [tuple(finding) for finding in check(str(path)).findings]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.stem} {path.stem}")
def test_the_specs_of_models_are_sound(path: Path, dtype: str, tmp_path: Path) -> None:
    small = SMALL if path in CONFIGS else FORMER_SMALL
    paramgen.build(paramgen.load_spec(path, dtype=dtype, variables=small.get(path.stem)), tmp_path / "f")
    assert find(tmp_path / "f") == []


INITIALIZERS: dict[str, Any] = {
    "gaussian": {"type": "gaussian", "mean": 3, "std": 0.5},
    "uniform": {"type": "uniform", "low": -1, "high": 5},
    "one-sided": {"type": "truncated_normal", "low": 2.0, "high": 9.0},
    "skewed": {"type": "truncated_normal", "low": -0.5, "high": 9.0},
    "narrow": {"type": "log_uniform", "low": 1.0, "high": 1.0000001},
    "wide": {"type": "log_uniform", "low": 1e-6, "high": 1e3},
    "rare": {"type": "bernoulli", "p": 0.001},
    "integers": {"type": "integers", "low": -3, "high": 12},
    "tiny": {"type": "gaussian", "std": 1e-9},
    "zeros": {"type": "zeros"},
    "values": {"type": "values", "values": [[0.0, 0.0], [0.0, 0.0]]},
}


@pytest.mark.parametrize("shape", [[], [1], [2, 2], [7, 20], [100, 102]], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_initializers_are_sound_in_all_sizes(shape: list[int], dtype: str, tmp_path: Path) -> None:
    initializers = {name: value for name, value in INITIALIZERS.items() if name != "values" or shape == [2, 2]}
    parameters = {
        f"{name}{number}": {"shape": shape, "initializer": initializer}
        for name, initializer in initializers.items()
        for number in range(30)
    }
    spec = {"dtype": dtype, "operations": [{"name": "x", "type": "custom", "parameters": parameters}]}
    paramgen.build(spec, tmp_path / "f")
    assert find(tmp_path / "f") == []


def test_part_of_a_parameter_has_its_std(tmp_path: Path) -> None:
    """Build a GRU for Flax, which splits one parameter into three tensors."""
    gru = {"name": "gru", "type": "gru", "input_size": 40, "num_hidden_units": 50}
    paramgen.build({"layout": "flax", "operations": [gru]}, tmp_path / "f")
    assert find(tmp_path / "f") == []


@pytest.mark.parametrize(
    ("distribution", "draws"),
    [
        (LogUniform(0.5, 40.0), lambda rng: np.exp(rng.uniform(np.log(0.5), np.log(40.0), 10**6))),
        (TruncatedNormal(1.0, 2.0, -1.0, 1.0), lambda rng: 1 + 2 * clip(rng.normal(size=10**6), -1, 1)),
        (TruncatedNormal(0.0, 1.0, 1.0, 9.0), lambda rng: clip(rng.normal(size=10**6), 1, 9)),
    ],
)
def test_moments_are_those_of_draws(distribution: Any, draws: Any) -> None:
    promise: Moments = distribution.moments()
    values = draws(np.random.default_rng(0))
    assert promise.mean == pytest.approx(values.mean(), rel=0.02)
    assert promise.std == pytest.approx(values.std(), rel=0.02)
    kurtosis = (((values - values.mean()) / values.std()) ** 4).mean()
    assert promise.kurtosis > kurtosis * 0.98


def clip(values: Any, low: float, high: float) -> Any:
    return values[(values > low) & (values < high)]


OPERATIONS = [
    {"name": "a", "type": "custom", "parameters": {"w": {"shape": [40, 50], "initializer": "gaussian"}}},
    {"name": "b", "type": "custom", "parameters": {"w": {"shape": [40, 50], "initializer": "orthogonal"}}},
]


def damage(path: Path, name: str, change: Any) -> None:
    """Change a tensor's values in place; the metadata stay."""
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little") + header[name]["data_offsets"][0]
    array = safetensors.numpy.load_file(path)[name]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(change(array).astype(array.dtype).tobytes())


def put(index: tuple[int, ...], value: float) -> Any:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change", "finding"),
    [
        ("a.w", lambda array: array * 1.2, "std must be 0.01 by its spec, got 0.011"),
        ("a.w", lambda array: array + 0.002, "mean must be 0 by its spec, got 0.00"),
        ("a.w", lambda array: array * 0, "std must be 0.01 by its spec, got 0"),
        ("a.w", put((3, 4), np.nan), "has 1 NaN"),
        ("b.w", put((0, 0), -np.inf), "has 1 infinite value"),
        ("b.w", lambda array: array * 0, "all values of this matrix are zero"),
    ],
    ids=["std", "mean", "zero", "NaN", "infinity", "zero orthogonal"],
)
def test_damaged_values_are_found(name: str, change: Any, finding: str, tmp_path: Path) -> None:
    paramgen.build({"operations": OPERATIONS}, tmp_path / "f")
    assert find(tmp_path / "f") == []
    damage(tmp_path / "f", name, change)
    ((file, tensor, found),) = find(tmp_path / "f")
    assert (file, tensor) == ("f", name)
    assert found.startswith(finding)


@pytest.mark.parametrize(
    ("array", "finding"),
    [
        (np.zeros((2, 3), np.float16), "all values of this matrix are zero"),
        (np.zeros((2, 3), np.complex64), "all values of this matrix are zero"),
        (np.array([1j, complex(0, np.nan), np.inf], np.complex64), "has 1 NaN"),
        (np.array([[np.inf, -np.inf]]), "has 2 infinite values"),
        (np.zeros(3), None),
        (np.zeros((1, 3)), None),
        (np.zeros((0, 3)), None),
        (np.zeros((2, 3), np.int32), None),
        (np.zeros((2, 3), bool), None),
        (np.array([[0.0, 1e-30]]), None),
    ],
    ids=lambda value: f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else None,
)
def test_values_without_a_spec(array: Any, finding: str | None, tmp_path: Path) -> None:
    safetensors.numpy.save_file({"x": array}, tmp_path / "f")
    assert find(tmp_path / "f") == ([("f", "x", finding)] if finding else [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Build a folder of two shards."""
    plan = paramgen.plan({"operations": OPERATIONS}).split(FolderLayout(limit=9000))
    build_folder(plan, f"{tmp_path}/d/")
    return tmp_path / "d"


ONE, TWO = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
INDEX = "model.safetensors.index.json"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (lambda folder: None, []),
        (lambda folder: (folder / TWO).unlink(), [(TWO, None, "listed in the index, but absent")]),
        (lambda folder: cut(folder / ONE), [(ONE, None, "not a safetensors file: ")]),
        (
            lambda folder: (folder / TWO).rename(folder / "model-00003-of-00003.safetensors"),
            [
                (TWO, None, "listed in the index, but absent"),
                ("model-00003-of-00003.safetensors", None, "not listed in the index"),
            ],
        ),
        (lambda folder: (folder / INDEX).write_text("{"), [(INDEX, None, "not an index: must be valid JSON")]),
        (
            lambda folder: (folder / INDEX).write_text('{"weight_map": {"x": "../x"}}'),
            [(INDEX, None, "weight_map: x: must be the name of a file beside the index, got '../x'")],
        ),
    ],
    ids=["sound", "missing", "truncated", "renamed", "no JSON", "outside"],
)
@pytest.mark.parametrize("path", ["", f"/{INDEX}"], ids=["folder", "index"])
def test_folders(path: str, change: Any, findings: list[Any], folder: Path) -> None:
    change(folder)
    found = find(Path(f"{folder}{path}"))
    assert len(found) == len(findings)
    for (file, tensor, text), (expected_file, expected_tensor, start) in zip(found, findings, strict=True):
        assert (file, tensor) == (expected_file, expected_tensor)
        assert text.startswith(start)


def test_a_malformed_shard_hides_no_other_finding(folder: Path) -> None:
    cut(folder / ONE)
    name = next(iter(safetensors.numpy.load_file(folder / TWO)))
    damage(folder / TWO, name, lambda array: array * np.nan)
    assert [(file, tensor) for file, tensor, _ in find(folder)] == [(ONE, None), (TWO, name)]


def test_a_single_file_beside_an_index(folder: Path) -> None:
    """Loaders take the single file of a folder, whatever the index lists."""
    safetensors.numpy.save_file({"x": np.ones(1)}, folder / "model.safetensors")
    assert find(folder) == [(INDEX, None, "ignored: loaders prefer model.safetensors")]
    assert find(folder / INDEX) == [("model.safetensors", None, "not listed in the index")]
    assert find(folder / "model.safetensors") == []


@pytest.mark.parametrize("path", ["d", "d/"])
def test_a_malformed_single_file_of_a_folder_is_named(path: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "model.safetensors").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    result = check(path)
    assert result.files == ("d/model.safetensors",)
    ((file, tensor, finding),) = result.findings
    assert (file, tensor) == ("model.safetensors", None)
    assert finding.startswith("not a safetensors file: ")


def test_findings_do_not_depend_on_threads(folder: Path) -> None:
    for file, arrays in ((path, safetensors.numpy.load_file(path)) for path in (folder / ONE, folder / TWO)):
        for name in arrays:
            damage(file, name, lambda array: array * np.nan)
    results = [check(str(folder), threads=threads) for threads in (1, 7)]
    assert results[0] == results[1]
    assert len(results[0].findings) == 2
