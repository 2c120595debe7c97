"""kernel.h is CUDA, too: NVRTC compiles it as it is, to PTX without fused or approximate arithmetic. No GPU is needed."""

import ctypes
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

FOUND = importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cuda_nvrtc")
SOURCE = """
#include "kernel.h"
extern "C" __global__ void draw(int law, const double *n, const uint64_t *key, float *out, double *out64, uint32_t *narrow)
{
    uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x, first, second;
    pg_block(key, 1, i, &first, &second);
    out[i] = pg_value32(law, n, (uint32_t)first);
    out64[i] = pg_value64(law, n, second);
    narrow[i] = pg_float16(out[i]) ^ pg_bfloat16(out[i]) ^ pg_float8_e4m3fn(out[i]) ^ pg_float8_e5m2(out[i]);
}
"""


def text(size: Callable[..., int], get: Callable[..., int], program: ctypes.c_void_p) -> str:
    length = ctypes.c_size_t()
    size(program, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value)
    get(program, buffer)
    return buffer.value.decode()


@pytest.mark.skipif(not FOUND, reason="NVRTC is not installed (the nvrtc extra)")
@pytest.mark.parametrize("architecture", ["compute_75", "compute_90"])
def test_kernel_compiles_to_ptx_of_plain_operations(architecture: str) -> None:
    assert FOUND and FOUND.submodule_search_locations
    (library,) = Path(FOUND.submodule_search_locations[0], "lib").glob("libnvrtc.so.1?")
    nvrtc = ctypes.CDLL(str(library))
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), SOURCE.encode(), b"draw.cu", 0, None, None) == 0
    folder = ROOT / "paramgen" / "sampling"
    options = [f"-I{folder}".encode(), b"--fmad=false", f"--gpu-architecture={architecture}".encode()]
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    assert status == 0, text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
    ptx = text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    used = set(re.findall(r"\b([a-z]\w*)\.(?:\w+\.)*f(?:32|64)\b", ptx))
    assert {"add", "mul", "div", "sqrt"} <= used
    assert used <= {"add", "sub", "mul", "div", "sqrt", "neg", "cvt", "ld", "st", "mov", "setp", "selp", "abs", "param"}
    assert not re.search(r"approx|ftz|\.full\.", ptx)
    for operation in ("add", "sub", "mul", "div", "sqrt"):
        assert not re.search(rf"\b{operation}\.f(32|64)", ptx), "rounding is written out, so nothing may be fused"
