"""Tests that no bit depends on the caller's floating-point mode, which is restored."""

import ctypes
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frozen_cases import RECORDED, cases, digest
from golden import Golden
from helpers import COMPILED_BACKENDS, CONFIGS, SMALL, draw, make_tensor

import paramgen
from paramgen.catalog.distributions import Distribution, Normal, Orthogonal
from paramgen.catalog.normal_tails import tail_probabilities
from paramgen.errors import DeviceError
from paramgen.float_mode import default_float_mode, is_default
from paramgen.sampling.backend import Backend
from paramgen.sampling.cpu import devices
from paramgen.sampling.reference.backend import NumpyBackend

LIBRARY = ctypes.CDLL(None)
# Machine -> the control register's index in an fenv_t of 32-bit integers, and its bits.
REGISTER, MODES = {
    "x86_64": (7, {"upward": 0x4000, "downward": 0x2000, "toward zero": 0x6000, "flush": 0x8040, "inputs": 0x40}),
    "aarch64": (0, {"upward": 1 << 22, "downward": 2 << 22, "toward zero": 3 << 22, "flush": 1 << 24}),
}.get(platform.machine(), (0, {}))
ROUNDING = {"x86_64": 0x6000, "aarch64": 3 << 22}.get(platform.machine(), 0)

pytestmark = pytest.mark.skipif(
    not MODES or sys.platform != "linux", reason="sets the mode by glibc's fenv_t of x86-64 and ARM64"
)

PlannedValues = tuple[bytes, list[Distribution]]
Mode = Callable[[], AbstractContextManager[None]]
backends = pytest.mark.parametrize("backend", [NumpyBackend(), *COMPILED_BACKENDS], ids=lambda backend: backend.name)


def read_environment() -> "ctypes.Array[ctypes.c_uint32]":
    found = (ctypes.c_uint32 * 64)()
    LIBRARY.fegetenv(found)
    return found


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return a context with another mode in this thread; it checks at its end that the mode is unchanged."""

    @contextmanager
    def change() -> Iterator[None]:
        before, changed = read_environment(), read_environment()
        changed[REGISTER] |= MODES[request.param]
        LIBRARY.fesetenv(changed)
        try:
            assert not is_default()
            yield
            control = MODES[request.param] | ROUNDING
            assert read_environment()[REGISTER] & control == MODES[request.param]
        finally:
            LIBRARY.fesetenv(before)

    return change


def make_plan_of(path: Path, **options: Any) -> PlannedValues:
    plan = paramgen.load_spec(path, **options).plan
    return plan.files[0].header, [spec.distribution for tensor in plan.tensors for spec in tensor.resolved]


def test_the_default_is_known() -> None:
    assert is_default()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_plans_are_the_same(mode: Mode, path: Path) -> None:
    def make() -> PlannedValues:
        tail_probabilities.cache_clear()
        return make_plan_of(path, variables=SMALL.get(path.stem))

    expected = make()
    with mode():
        found = make()
    assert found == expected


def test_written_numbers_and_expressions_are_the_same(mode: Mode, tmp_path: Path) -> None:
    """Test numbers with more digits than a double has, and arithmetic on them."""
    path = tmp_path / "numbers.yaml"
    path.write_text(
        "variables: {a: 0.1234567890123456789, b: 1.1e-310}\n"
        "operations:\n"
        "  - {name: x, type: custom, parameters: {w: {shape: [4], dtype: float64, "
        "initializer: {type: gaussian, std: '${a * 3 / 7 + sqrt(2)}', mean: '${b / 2}'}}}}\n"
        "  - {name: y, type: custom, parameters: {w: {shape: [4], "
        "initializer: {type: constant, value: 1.00000000000000011102230246251565404e-5}}}}\n"
    )

    expected = make_plan_of(path)
    with mode():
        found = make_plan_of(path)
    assert found == expected


@backends
def test_recorded_digests_are_the_same(mode: Mode, backend: Backend) -> None:
    recorded = RECORDED.read_text(encoding="utf-8")
    wanted = [case for case in cases() if "Orthogonal" in case[0]][::5] + cases()[: -len(cases()) // 3 : 9]
    assert len(wanted) > 20
    for name, *case in wanted:
        with mode():
            found = digest(*case, backend)
        assert f'"{name}": "{found}"' in recorded


@backends
@pytest.mark.parametrize(
    ("distribution", "dtype", "shape"),
    [
        (Normal(0.0, 1e-40), "float32", (5000,)),
        (Normal(1e-310, 1e-310), "float64", (5000,)),
        (Normal(0.0, 1e-6), "float16", (5000,)),
        (Normal(0.0, 3e-39), "bfloat16", (5000,)),
        (Orthogonal(1e-39), "float32", (30, 20)),
        (Orthogonal(1e-309), "float64", (30, 20)),
    ],
    ids=str,
)
def test_subnormal_results_are_the_same(
    mode: Mode, backend: Backend, distribution: Normal | Orthogonal, dtype: str, shape: tuple[int, ...]
) -> None:
    tensor = make_tensor(distribution, dtype, shape)
    expected = draw(tensor, 1, 0, tensor.size, backend)
    smallest = np.abs(expected[expected != 0].astype(np.float64)).min()
    assert smallest < {"float64": 2.0**-1022, "float16": 2.0**-14}.get(dtype, 2.0**-126)
    with mode():
        found = draw(tensor, 1, 0, tensor.size, backend)
    assert found.tobytes() == expected.tobytes()


def test_public_functions_give_the_same(mode: Mode, tmp_path: Path) -> None:
    spec = {
        "operations": [
            {"name": "a", "type": "fully_connected", "input_size": 70, "output_size": 30},
            {"name": "b", "type": "custom", "parameters": {"w": {"shape": [50, 20], "initializer": "orthogonal"}}},
            {
                "name": "c",
                "type": "custom",
                "parameters": {"w": {"shape": [900], "initializer": {"type": "gaussian", "std": 1e-40}}},
            },
        ]
    }

    def make() -> list[bytes]:
        paramgen.build(spec, tmp_path / "x", threads=2)
        arrays = paramgen.sample(spec)
        return [
            (tmp_path / "x").read_bytes(),
            *(arrays[name]["w"].tobytes() for name in "bc"),
            paramgen.initialize("truncated_normal", [9], low=-0.3, high=1.1, std=0.1).tobytes(),
            paramgen.initialize("orthogonal", [40, 30], gain=0.1).tobytes(),
        ]

    expected = make()
    with mode():
        found = make()
    assert found == expected


@pytest.mark.skipif(not COMPILED_BACKENDS, reason="the kernels are not compiled")
def test_kernels_pass_their_self_test_in_any_mode(mode: Mode) -> None:
    try:
        with mode():
            devices._choose_backend.cache_clear()
            backend, problem = devices._choose_backend()
        assert (backend, problem) == (COMPILED_BACKENDS[-1], None)
    finally:
        devices._choose_backend.cache_clear()


def test_the_mode_is_restored_after_an_error(mode: Mode) -> None:
    with mode(), pytest.raises(paramgen.UsageError):
        paramgen.initialize("glorot", [9])


@pytest.mark.parametrize("mode", ["flush", "upward"], indirect=True)  # which every machine has
def test_a_mode_that_cannot_be_changed_is_refused(mode: Mode, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    with mode(), pytest.raises(DeviceError) as caught:
        paramgen.initialize("zeros", [9])
    with default_float_mode():  # needs nothing where the mode is the default
        pass
    golden(caught.value)


def test_numpys_error_handling_changes_nothing() -> None:
    tensor = make_tensor(Normal(0.0, 1e-40), "float32", (5000,))
    matrix = make_tensor(Orthogonal(1e-39), "float32", (30, 20))
    for backend in (NumpyBackend(), *COMPILED_BACKENDS):
        expected = [draw(one, 1, 0, one.size, backend).tobytes() for one in (tensor, matrix)]
        with np.errstate(all="raise"):
            found = [draw(one, 1, 0, one.size, backend).tobytes() for one in (tensor, matrix)]
        assert found == expected
