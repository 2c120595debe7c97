"""The compilation of gpu.cu by NVRTC (CuPy's cupy.cuda.nvrtc), which needs no GPU.

CuPy's RawModule always adds -ftz=true, which would flush float32 numbers below 2^-126 to zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paramgen.dtypes import DType
from paramgen.errors import DeviceError

FOLDER = Path(__file__).parents[1] / "kernels"
SOURCE, HEADERS = "gpu.cu", ("kernel.h", "elementary.h", "polynomials.h", "tables.h")
# A multiply and an add are rounded separately, divisions and roots correctly, and subnormal numbers are kept.
OPTIONS = ("--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--std=c++17")
C_ELEMENT_TYPES = {"float64": "double", "float32": "float"}  # the other dtypes are unsigned integers of their width


def sampling_defines(distribution: str, dtype: DType) -> tuple[str, ...]:
    """Return the preprocessor flags that select one sampling kernel instead of the kernels of matrices."""
    element = C_ELEMENT_TYPES.get(dtype.name, f"uint{dtype.bits}_t")
    return f"-DPG_DISTRIBUTION={distribution}", f"-DPG_DTYPE=PG_{dtype.name.upper()}", f"-DPG_ELEMENT={element}"


def target_architecture(nvrtc: Any, capability: str) -> str:
    """Return the target for a GPU of a compute capability ("90"): machine code, or PTX if NVRTC is older than the GPU.

    DeviceError if NVRTC is too new.
    """
    earlier = [known for known in nvrtc.getSupportedArchs() if known <= int(capability)]
    if not earlier:
        version = ".".join(map(str, nvrtc.getVersion()))
        oldest = min(nvrtc.getSupportedArchs()) / 10
        problem = f"NVRTC {version} needs compute capability {oldest}, got {int(capability) / 10}"
        raise DeviceError(f"{problem}; install an older CUDA")
    return f"{'sm' if max(earlier) == int(capability) else 'compute'}_{max(earlier)}"


def compile_kernels(nvrtc: Any, target: str, defines: tuple[str, ...]) -> bytes:
    """Compile gpu.cu to machine code (for sm_90) or PTX (for compute_90)."""
    headers = tuple((FOLDER / name).read_bytes() for name in HEADERS)
    names = tuple(name.encode() for name in HEADERS)
    program = nvrtc.createProgram((FOLDER / SOURCE).read_text(encoding="utf-8"), SOURCE, headers, names)
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"--gpu-architecture={target}", *defines))
        code: bytes = nvrtc.getCUBIN(program) if target.startswith("sm") else nvrtc.getPTX(program)
        return code
    finally:
        nvrtc.destroyProgram(program)
