"""gpu.cu compiled by NVRTC, whose functions are given as CuPy has them (cupy.cuda.nvrtc); no GPU is needed for that.

CuPy's RawModule would compile with -ftz=true, whatever options it is given, and float32 numbers below 2^-126 be lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paramgen.dtypes import DType
from paramgen.errors import DeviceError

FOLDER = Path(__file__).parent / "kernels"
SOURCE, HEADERS = "gpu.cu", ("kernel.h", "polynomials.h")
# A multiply and an add are two roundings, divisions and roots are exact to the last bit, subnormal numbers stay.
OPTIONS = ("--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--std=c++17")
ELEMENTS = {64: "double", 32: "float", 16: "uint16_t", 8: "uint8_t"}


def draw_defines(law: str, dtype: DType) -> tuple[str, ...]:
    """What makes gpu.cu the kernel that draws a distribution of kernel.h in a dtype, and not those of matrices."""
    return f"-DPG_LAW={law}", f"-DPG_DTYPE=PG_{dtype.name.upper()}", f"-DPG_ELEMENT={ELEMENTS[dtype.bits]}"


def architecture(nvrtc: Any, capability: str) -> str:
    """What to compile for a GPU of this compute capability ("90"): its machine code, or PTX if NVRTC is older than it.

    DeviceError where NVRTC is too new.
    """
    earlier = [known for known in nvrtc.getSupportedArchs() if known <= int(capability)]
    if not earlier:
        version = ".".join(map(str, nvrtc.getVersion()))
        raise DeviceError(f"a GPU of compute capability {int(capability) / 10} is too old for NVRTC {version}")
    return f"{'sm' if max(earlier) == int(capability) else 'compute'}_{max(earlier)}"


def compiled(nvrtc: Any, target: str, defines: tuple[str, ...]) -> bytes:
    """gpu.cu as machine code (for sm_90) or PTX (for compute_90)."""
    headers = tuple((FOLDER / name).read_bytes() for name in HEADERS)
    names = tuple(name.encode() for name in HEADERS)
    program = nvrtc.createProgram((FOLDER / SOURCE).read_text(encoding="utf-8"), SOURCE, headers, names)
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"--gpu-architecture={target}", *defines))
        code: bytes = nvrtc.getCUBIN(program) if target.startswith("sm") else nvrtc.getPTX(program)
        return code
    finally:
        nvrtc.destroyProgram(program)
