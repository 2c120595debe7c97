"""Tests that kernels with other bits than the reference's are not used: flags are overridden, known answers checked."""

import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from golden import Golden
from helpers import COMPILED_BACKENDS, ROOT, TINY

from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    ElementwiseDistribution,
    Integers,
    LogUniform,
    Normal,
    Sinusoidal,
    SsmDtBias,
    TruncatedNormal,
    Uniform,
    UniformInterval,
)
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import ElementSource, kernel_arguments
from paramgen.sampling.cpu import devices, known_answers
from paramgen.sampling.reference.backend import NumpyBackend

# From the numbers of a kernel to its distribution.
DISTRIBUTIONS: dict[str, Callable[..., ElementwiseDistribution]] = {
    "constant": Constant,
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": lambda *numbers: TruncatedNormal(*numbers[:4]),
    "integers": lambda low, _, span, high: Integers(int(low), int(low + span + high * 2**32)),
    "bernoulli": lambda zeros: Bernoulli(1 - zeros / 2**32),
    "uniform_interval": lambda start, end, width: UniformInterval(start, end),
    "log_uniform": lambda start, end, width, low, high: LogUniform(low, high),
    "ssm_dt_bias": lambda start, end, width, low, high: SsmDtBias(0.001, high, low),
    "sinusoidal": lambda channels, interleaved, *rest: Sinusoidal(int(channels), bool(interleaved), *rest),
}
CASES = [
    (name, numbers, dtype, answer)
    for name, numbers, answers in known_answers.ANSWERS
    for dtype, answer in answers.items()
]
HOSTILE = (
    "-Ofast -ffast-math -funsafe-math-optimizations -fassociative-math -fno-signed-zeros -freciprocal-math "
    "-fsingle-precision-constant -ffinite-math-only -ffp-contract=fast"
)

needs_kernels = pytest.mark.skipif(not COMPILED_BACKENDS, reason="needs the compiled kernels")


def distribution_of(name: str, numbers: tuple[float, ...]) -> ElementwiseDistribution:
    distribution: ElementwiseDistribution = DISTRIBUTIONS[name](*numbers)
    assert kernel_arguments(distribution) == (f"PG_{name.upper()}", list(numbers))
    return distribution


@pytest.mark.parametrize(("name", "numbers", "dtype", "answer"), CASES)
def test_the_answers_equal_the_references(name: str, numbers: tuple[float, ...], dtype: str, answer: int) -> None:
    out = np.empty(DTYPES[dtype].nbytes(known_answers.ELEMENTS), np.uint8)
    source = ElementSource(distribution_of(name, numbers), DTYPES[dtype], known_answers.SEED, known_answers.STREAM)
    NumpyBackend().fill(source, known_answers.FIRST_ELEMENT, out)
    assert crc32(out) == answer


def test_the_answers_cover_every_distribution_and_dtype() -> None:
    assert {name for name, *_ in CASES} == set(DISTRIBUTIONS)
    assert {dtype for _, _, dtype, _ in CASES} == set(DTYPES)
    for name in DISTRIBUTIONS:
        assert {"float64", "float32"} <= {dtype for case, _, dtype, _ in CASES if case == name}
    assert known_answers.matrix_checksum(NumpyBackend()) == known_answers.MATRIX_CHECKSUM


@needs_kernels
@pytest.mark.parametrize("kernels", COMPILED_BACKENDS, ids=lambda kernels: kernels.name)
def test_every_instruction_set_gives_the_answers(kernels: Any) -> None:
    assert known_answers.first_difference(kernels) is None


@needs_kernels
@pytest.mark.parametrize(("name", "numbers", "dtype"), [case[:3] for case in CASES])
def test_one_wrong_bit_of_a_distribution_is_detected(
    name: str, numbers: tuple[float, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = COMPILED_BACKENDS[0].fill_raw

    def flip_bit(
        distribution: str, given: tuple[float, ...], kind: Any, seed: int, stream: int, start: int, out: Any
    ) -> None:
        fill(distribution, given, kind, seed, stream, start, out)
        if (distribution, given, kind.name) == (f"PG_{name.upper()}", numbers, dtype):
            out[-kind.bits // 8] ^= 1  # of the last element

    monkeypatch.setattr(COMPILED_BACKENDS[0], "fill_raw", flip_bit)
    assert known_answers.first_difference(COMPILED_BACKENDS[0]) == f"{name} {dtype}"


@needs_kernels
@pytest.mark.parametrize("function", ["add_product", "solve_triangular", "apply_reflector"])
def test_one_wrong_bit_of_a_matrix_is_detected(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(COMPILED_BACKENDS[0], function)

    def flip_bit(first: Any, second: Any, *others: Any) -> None:
        right(first, second, *others)
        result = second if function == "solve_triangular" else first
        result[5, 7] = np.nextafter(result[5, 7], np.inf)

    monkeypatch.setattr(COMPILED_BACKENDS[0], function, flip_bit)
    assert known_answers.first_difference(COMPILED_BACKENDS[0]) == "orthogonal"


@pytest.fixture
def refuse_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse the kernels, as if they gave a wrong answer."""
    monkeypatch.setattr(known_answers, "MATRIX_CHECKSUM", 0)
    caches = devices._choose_backend, devices.cpu_backend
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@needs_kernels
@pytest.mark.usefixtures("refuse_kernels")
def test_numpy_replaces_refused_kernels_with_a_warning(golden: Golden) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert isinstance(devices.cpu_backend(), NumpyBackend)
        assert isinstance(devices.cpu_backend(), NumpyBackend)
    (warning,) = warned
    assert devices.list_devices()[0].description.endswith(f", {warning.message}")
    golden(str(warning.message).replace(COMPILED_BACKENDS[-1].name, "<kernels>"))


# Loads the extension at argv[1] instead of the installed one.
LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("paramgen.sampling.cpu._kernels", sys.argv.pop(1))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["paramgen.sampling.cpu._kernels"] = module
"""
COMPARE = f"""
import json, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from paramgen.float_mode import is_default
print(is_default())  # before frozen_cases imports more
from paramgen.sampling.cpu.known_answers import first_difference
from helpers import COMPILED_BACKENDS
from frozen_cases import RECORDED, cases, digest
recorded = json.loads(RECORDED.read_text())["sha256"]
print([kernels.name for kernels in COMPILED_BACKENDS if first_difference(kernels)])
print([(kernels.name, name) for kernels in COMPILED_BACKENDS for name, *case in cases() if digest(*case, kernels) != recorded[name]])
"""
COMMAND = "from paramgen.__main__ import main; main()"


def build_extension(source: Path, to: Path, compiler: str, flags: str) -> Path:
    """Build the extension of a source tree with these CFLAGS."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", to, "--build-temp", to / "temp"]
    environment = {**os.environ, "CC": compiler, "CFLAGS": flags}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = list(to.rglob("_kernels*.so"))
    assert found, done.stderr
    return found[0]


def run_with(extension: Path, program: str, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", LOAD + program, str(extension), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture(params=["gcc", "clang"])
def compiler(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"needs {name}")
    return name


@pytest.mark.slow
def test_no_cflags_change_a_bit(compiler: str, tmp_path: Path) -> None:
    extension = build_extension(ROOT, tmp_path, compiler, HOSTILE)
    lines = run_with(extension, COMPARE, cwd=tmp_path).stdout.splitlines()
    assert lines == ["True", "[]", "[]"]


@pytest.mark.slow
def test_flags_that_are_not_overridden_are_detected(tmp_path: Path) -> None:
    """Test a flag that extension.py does not override."""
    if not shutil.which("gcc") or platform.machine() != "x86_64":
        pytest.skip("needs gcc on x86-64")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "*.so", "__pycache__", "build", "tests", "docs", "configs", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    script = source / "paramgen" / "sampling" / "cpu" / "extension.py"
    text = script.read_text(encoding="utf-8")
    assert text.count("EXACT + FASTER") == text.count("extra_link_args=EXACT") == 1
    text = text.replace("EXACT + FASTER", 'FASTER + ["-O3"]').replace("extra_link_args=EXACT", "extra_link_args=[]")
    script.write_text(text, encoding="utf-8")
    extension = build_extension(source, tmp_path / "built", "gcc", "-funsafe-math-optimizations")
    lines = run_with(extension, COMPARE, cwd=tmp_path).stdout.splitlines()
    assert lines[1] == str([kernels.name for kernels in COMPILED_BACKENDS])

    (tmp_path / "tiny.yaml").write_text(TINY)
    done = run_with(extension, COMMAND, "build", "tiny.yaml", "-o", "numpy", cwd=tmp_path)
    assert done.stderr.startswith("warning: ") and COMPILED_BACKENDS[-1].name in done.stderr
    assert done.stderr.count("\n") == 1
    subprocess.run([sys.executable, "-m", "paramgen", "build", "tiny.yaml", "--quiet"], cwd=tmp_path, check=True)
    assert (tmp_path / "numpy").read_bytes() == (tmp_path / "params.safetensors").read_bytes()
