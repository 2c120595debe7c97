"""Tests that NVRTC compiles gpu.cu, for every GPU, to PTX without fused or approximate arithmetic."""

import re
from typing import Any

import pytest
from golden import Golden

from paramgen.catalog.distributions import ELEMENTWISE
from paramgen.dtypes import DTYPES
from paramgen.errors import DeviceError
from paramgen.sampling.backend import c_name
from paramgen.sampling.cuda import compilation

VARIANTS = [
    (),
    *(
        compilation.sampling_defines(c_name(distribution), dtype)
        for distribution in ELEMENTWISE
        for dtype in DTYPES.values()
        if (not dtype.is_complex if distribution.is_discrete else not dtype.is_integer)
    ),
]
ARITHMETIC = re.compile("UNIFORM|NORMAL")
ROUNDED = ("add", "sub", "mul", "div", "sqrt")
EXACT = {"neg", "abs", "cvt", "mov", "setp", "selp", "min", "max", "ld", "st", "param"}


@pytest.fixture(scope="module")
def nvrtc() -> Any:
    import cupy

    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed (the cuda12 extra): {error}")
    return cupy.cuda.nvrtc


@pytest.mark.cupy
@pytest.mark.parametrize("defines", VARIANTS, ids=lambda defines: " ".join(defines) or "matrices")
def test_ptx_of_plain_operations(nvrtc: Any, defines: tuple[str, ...]) -> None:
    for known in nvrtc.getSupportedArchs():
        ptx = compilation.compile_kernels(nvrtc, f"compute_{known}", defines).decode().rstrip("\0")
        assert f".target sm_{known}" in ptx
        instructions = re.findall(r"\b([a-z]\w*)((?:\.\w+)*)\.f(?:16|32|64)\b", ptx)
        assert {name for name, _ in instructions} <= {*ROUNDED, *EXACT}
        assert {rounding for name, rounding in instructions if name in ROUNDED} <= {".rn"}
        assert not re.search(r"approx|ftz|\.full\.|fma", ptx)
        if ARITHMETIC.search(str(defines)):
            assert {"add", "mul"} <= {name for name, _ in instructions}


@pytest.mark.cupy
@pytest.mark.parametrize("defines", VARIANTS[:3], ids=lambda defines: " ".join(defines) or "matrices")
def test_kernels_compile_for_every_architecture(nvrtc: Any, defines: tuple[str, ...]) -> None:
    """Test that registers and shared memory suffice for the assembler."""
    for known in nvrtc.getSupportedArchs():
        assert compilation.compile_kernels(nvrtc, f"sm_{known}", defines).startswith(b"\x7fELF")


class Old:
    getSupportedArchs = staticmethod(lambda: (75, 80, 90))  # noqa: N815 (CuPy's name)
    getVersion = staticmethod(lambda: (13, 0))  # noqa: N815


def test_an_architecture_for_every_gpu(golden: Golden) -> None:
    """Test that a GPU gets its own machine code, or PTX if NVRTC does not know it."""
    chosen = [compilation.target_architecture(Old, capability) for capability in ("75", "80", "86", "90", "120")]
    assert chosen == ["sm_75", "sm_80", "compute_80", "sm_90", "compute_90"]
    with pytest.raises(DeviceError) as caught:
        compilation.target_architecture(Old, "61")
    golden(caught.value)
