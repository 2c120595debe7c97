"""Tests that the kernels of every instruction set of this CPU give the bits of the NumPy reference."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import COMBINATIONS
from golden import Golden
from helpers import COMPILED_BACKENDS, ROOT, TINY, draw, make_tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from paramgen.catalog.distributions import (
    Constant,
    Normal,
    Orthogonal,
    unit_forget_gate,
)
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import Backend, ElementSource, ElementwiseDistribution
from paramgen.sampling.host import TILE, HostBackend
from paramgen.sampling.reference.backend import NumpyBackend

REFERENCE = NumpyBackend()

each_set = pytest.mark.parametrize("kernels", COMPILED_BACKENDS, ids=lambda kernels: kernels.name)


def bits(
    backend: Any, distribution: ElementwiseDistribution, dtype: str, seed: int, stream: int, start: int, count: int
) -> bytes:
    out = np.full(DTYPES[dtype].nbytes(count), 0xA5, np.uint8)
    backend.fill(ElementSource(distribution, DTYPES[dtype], seed, stream), start, out)
    return out.tobytes()


def test_the_instruction_sets_of_x86() -> None:
    names = [kernels.name for kernels in COMPILED_BACKENDS]
    assert names == ["portable", "baseline", "avx2", "avx512"][: len(names)]


@each_set
@pytest.mark.parametrize(("distribution", "dtype"), COMBINATIONS, ids=str)
def test_any_range_equals_the_references(kernels: Backend, distribution: ElementwiseDistribution, dtype: str) -> None:
    for start, count in [
        (0, 1),
        (0, 5000),
        (3, 2000),
        (1023, 3000),
        (2**32 - 5, 4000),
        (2**40 + 3, 40_000),
        (2**63, 9),
    ]:
        expected = bits(REFERENCE, distribution, dtype, 42, 777, start, count)
        assert bits(kernels, distribution, dtype, 42, 777, start, count) == expected, (start, count)


@each_set
@given(
    combination=st.sampled_from(COMBINATIONS),
    seed=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**63),
    count=st.integers(0, 3000),
)
@settings(max_examples=150, deadline=None)
def test_any_stream_equals_the_references(kernels: Backend, combination: Any, **drawn: Any) -> None:
    assert bits(kernels, *combination, **drawn) == bits(REFERENCE, *combination, **drawn)


@pytest.mark.slow
@each_set
def test_extreme_words_are_among_those_compared(kernels: Backend) -> None:
    """Test elements in the far tails, where scalar code takes over: about 40 in float32, 3 in float64."""
    for dtype, root in (("float32", 4.9), ("float64", 5.2)):
        distribution = Normal(0.0, 1.0)
        expected = np.frombuffer(bits(REFERENCE, distribution, dtype, 5, 6, 7, 2**23), dtype)
        assert np.abs(expected).max() > root
        assert bits(kernels, distribution, dtype, 5, 6, 7, 2**23) == expected.tobytes()


@each_set
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
)
def test_narrow_types_round_every_kind_of_number(kernels: Backend, dtype: str) -> None:
    """Test ties, subnormals, numbers that round to zero or to the next power of two, the largest, and larger ones."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 0x7F800000, 3000, dtype=np.uint32)
    patterns[::2] &= np.uint32(0xFFFFF000)  # ties
    values = patterns.view(np.float32) * np.where(rng.integers(0, 2, 3000), np.float32(1), np.float32(-1))
    narrow = rng.uniform(-20, 10, 3000).astype(np.float32)
    values = np.concatenate([values, np.exp2(narrow), np.exp2(np.rint(narrow)) * np.float32(1.0625), -np.exp2(narrow)])
    with np.errstate(over="ignore"):
        expected = values.astype(DTYPES[dtype].numpy_dtype())
    for value, number in zip(values.tolist(), expected, strict=True):
        assert bits(kernels, Constant(value), dtype, 0, 0, 0, 1) == number.tobytes(), value


@pytest.mark.parametrize("backend", [REFERENCE, *COMPILED_BACKENDS], ids=lambda backend: backend.name)
def test_powers_of_two_are_the_nearest(backend: Backend) -> None:
    """Test all powers of float8_e8m0fnu, the values halfway between them, and their neighbours; ties go to the larger."""
    powers = 2.0 ** np.arange(-127, 128)
    halfway = 0.75 * powers[1:]
    below, above = (np.nextafter(np.float32(halfway), np.float32(limit)) for limit in (0, np.inf))
    for values, expected in ((powers, powers), (halfway, powers[1:]), (below, powers[:-1]), (above, powers[1:])):
        codes = [bits(backend, Constant(value), "float8_e8m0fnu", 0, 0, 0, 1)[0] for value in values.tolist()]
        assert codes == (np.log2(expected) + 127).tolist()
    rng = np.random.default_rng(0)
    for value in np.exp2(rng.uniform(-126, 127, 1000)).astype(np.float32):
        code = value.astype(DTYPES["float8_e8m0fnu"].numpy_dtype()).tobytes()
        assert bits(backend, Constant(float(value)), "float8_e8m0fnu", 0, 0, 0, 1) == code, value


@each_set
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 70), (TILE + 9, TILE - 3), (40, 2 * TILE + 17), (5, 9, 2, 31)])
def test_orthogonal_matrices_equal_the_references(kernels: Backend, dtype: str, shape: tuple[int, ...]) -> None:
    tensor = make_tensor(Orthogonal(1.25), dtype, shape, stream=99)
    expected = draw(tensor, 3, 0, tensor.size)
    for threads in (1, 3):
        assert draw(tensor, 3, 0, tensor.size, kernels, threads).tobytes() == expected.tobytes()


@each_set
def test_reflections_equal_the_references(kernels: Backend) -> None:
    rng = np.random.default_rng(0)
    a, v = rng.normal(size=(70, 33)), rng.normal(size=70)
    b = a.copy()
    kernels.apply_reflector(a[:, 5:], v, 0.3)
    REFERENCE.apply_reflector(b[:, 5:], v, 0.3)
    assert a.tobytes() == b.tobytes()


@each_set
@pytest.mark.parametrize("n", [1, 5, 6, 25, 48, 131, TILE - 2])
def test_matrix_tiles_equal_the_references(kernels: HostBackend, n: int) -> None:
    """Test sizes that do and do not fill the kernels' registers, within a matrix with longer rows."""
    rng = np.random.default_rng(n)
    left, right = rng.normal(size=(2 * TILE + 3, n)), rng.normal(size=(2 * TILE + 3, n + 2))
    whole = rng.normal(size=(n, n + 9))
    for sign in (1, -1):
        c, d = whole.copy(), whole.copy()
        kernels.add_product(c[:, 3 : n + 5], left, right, sign)
        REFERENCE.add_product(d[:, 3 : n + 5], left, right, sign)
        assert c.tobytes() == d.tobytes()
    gram = np.zeros((n, n + 9))
    REFERENCE.add_product(gram[:, :n], left, left, 1)
    r, s = gram.copy(), gram.copy()
    kernels.add_product(r[:, :n], left[:5], left[:5], 1, upper=True)
    REFERENCE.add_product(s[:, :n], left[:5], left[:5], 1, upper=True)
    assert np.triu(r).tobytes() == np.triu(s).tobytes()
    assert kernels.cholesky_tile(r[:, :n], gram.diagonal().copy(), 1e-14)
    assert REFERENCE.cholesky_tile(s[:, :n], gram.diagonal().copy(), 1e-14)
    assert np.triu(r[:, :n]).tobytes() == np.triu(s[:, :n]).tobytes()
    for x in (rng.normal(size=(n, 37)), rng.normal(size=(37, n)).T):
        y = x.copy(order="K")
        kernels.solve_triangular(s[:, :n], x)
        REFERENCE.solve_triangular(s[:, :n], y)
        assert x.tobytes() == y.tobytes()


@each_set
def test_a_tile_that_is_not_positive_is_refused_in_any_row(kernels: HostBackend) -> None:
    for k in (0, 23, 24, 40):
        g = np.eye(41)
        g[k, k] = 0.0
        assert not kernels.cholesky_tile(g, np.ones(41), 1e-14)


@each_set
def test_scratch_memory_is_reused_and_aligned(kernels: Any) -> None:
    """Test reuse, which saves page faults, and alignment: vectors across cache lines cost a tenth of the time."""
    left = np.ones((3, 5))
    kernels.add_product(np.zeros((5, 5)), left, left, 1)
    before = [room.ctypes.data for room in kernels._scratch]
    assert before and not any(address % 64 for address in before)
    kernels.add_product(np.zeros((5, 5)), left, left, 1)
    assert [room.ctypes.data for room in kernels._scratch] == before


@each_set
def test_unit_forget_gate(kernels: Backend) -> None:
    tensor = make_tensor(unit_forget_gate(10), "float32", (40,), stream=99)
    assert draw(tensor, 3, 5, 37, kernels).tolist() == [0.0] * 5 + [1.0] * 10 + [0.0] * 17


@pytest.mark.parametrize("flag", ["-ffast-math", "-mfpmath=387"])
def test_arithmetic_that_is_not_ieee_is_refused(flag: str) -> None:
    compiler = shutil.which("gcc")
    if not compiler or platform.machine() != "x86_64":
        pytest.skip("needs gcc on x86-64")
    command = [compiler, flag, "-fsyntax-only", ROOT / "paramgen" / "sampling" / "kernels" / "cpu.c"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "paramgen needs IEEE arithmetic" in done.stderr


def test_the_package_builds_without_a_compiler(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--build-lib",
        tmp_path,
        "--build-temp",
        tmp_path / "temp",
    ]
    done = subprocess.run(command, cwd=ROOT, env={"CC": "/bin/false", "PATH": ""}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*.so")) == []


def test_without_the_extension_numpy_draws_the_same_with_one_warning(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    program = (
        "import sys; sys.modules['paramgen.sampling.cpu._kernels'] = None; from paramgen.__main__ import main; main()"
    )
    arguments = ["build", "tiny.yaml", "-o", "numpy"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("warning: ")
    assert done.stderr.count("\n") == 1
    quiet = subprocess.run([sys.executable, "-c", program, *arguments, "--quiet"], cwd=tmp_path, capture_output=True)  # noqa: PLW1510
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    subprocess.run([sys.executable, "-m", "paramgen", "build", "tiny.yaml", "--quiet"], cwd=tmp_path, check=True)
    assert (tmp_path / "numpy").read_bytes() == (tmp_path / "params.safetensors").read_bytes()
    golden(done.stderr)
