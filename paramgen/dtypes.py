"""The table of dtypes, with their names in specs, in safetensors files and in NumPy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name in specs, its code in safetensors files, its width, and NumPy's name for it.

    `numpy_name` is None for dtypes narrower than a byte, whose packing safetensors does not define. `min` and `max`
    are the extreme finite values. `significant_bits` is 0 unless the dtype is floating-point.
    """

    name: str
    code: str
    bits: int
    numpy_name: str | None
    min: float = 0
    max: float = 0
    significant_bits: int = 0
    is_integer: bool = False

    def nbytes(self, count: int) -> int:
        return -(-count * self.bits // 8)

    @property
    def is_complex(self) -> bool:
        return self.name == "complex64"

    def numpy_dtype(self) -> np.dtype[Any]:
        """Return NumPy's dtype, little-endian as in files; narrow ones are ml_dtypes'."""
        import numpy as np

        if self.numpy_name is None:
            raise TypeError(f"NumPy has no type for {self.name}")
        if self.numpy_name.startswith(("bfloat", "float8")):
            import ml_dtypes

            narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.numpy_name))
            return narrow
        return np.dtype(self.numpy_name).newbyteorder("<")

    def round_value(self, value: float) -> float:
        """Return the nearest number of the dtype; narrow dtypes round the float32 number."""
        import numpy as np

        wide = np.float64(value) if self.name == "float64" else np.float32(value)
        return float(wide.astype(self.numpy_dtype()))


def _integer(name: str, code: str, bits: int) -> DType:
    low = 0 if name.startswith("uint") else -(2 ** (bits - 1))
    return DType(name, code, bits, name, low, low + 2**bits - 1, is_integer=True)


def _float(name: str, code: str, bits: int, significant_bits: int, largest: float) -> DType:
    return DType(name, code, bits, name, -largest, largest, significant_bits)


FLOAT32 = _float("float32", "F32", 32, 24, (2.0**24 - 1) * 2.0**104)

# In the order of files, which hold tensors by dtype, then by name.
FILE_DTYPES = (
    _integer("uint64", "U64", 64),
    _integer("int64", "I64", 64),
    _float("float64", "F64", 64, 53, sys.float_info.max),
    DType("complex64", "C64", 64, "complex64", FLOAT32.min, FLOAT32.max, FLOAT32.significant_bits),
    FLOAT32,
    _integer("uint32", "U32", 32),
    _integer("int32", "I32", 32),
    _float("bfloat16", "BF16", 16, 8, 255.0 * 2.0**120),
    _float("float16", "F16", 16, 11, 65504.0),
    _integer("uint16", "U16", 16),
    _integer("int16", "I16", 16),
    _float("float8_e5m2fnuz", "F8_E5M2FNUZ", 8, 3, 57344.0),
    _float("float8_e4m3fnuz", "F8_E4M3FNUZ", 8, 4, 240.0),
    DType("float8_e8m0fnu", "F8_E8M0", 8, "float8_e8m0fnu", 2.0**-127, 2.0**127, 1),
    _float("float8_e4m3fn", "F8_E4M3", 8, 4, 448.0),
    _float("float8_e5m2", "F8_E5M2", 8, 3, 57344.0),
    _integer("int8", "I8", 8),
    _integer("uint8", "U8", 8),
    DType("f6_e3m2", "F6_E3M2", 6, None),
    DType("f6_e2m3", "F6_E2M3", 6, None),
    DType("f4", "F4", 4, None),
    DType("bool", "BOOL", 8, "bool", 0, 1, is_integer=True),
)

DTYPES_BY_NAME = {dtype.name: dtype for dtype in FILE_DTYPES}
DTYPES_BY_CODE = {dtype.code: dtype for dtype in FILE_DTYPES}
RANK_IN_FILE = {dtype.code: rank for rank, dtype in enumerate(FILE_DTYPES)}

# The dtypes of parameters: floating-point, complex, integer; sorted by width, precision and range.
DTYPES = {
    name: DTYPES_BY_NAME[name]
    for name in (
        *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz"),
        *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "complex64"),
        *("uint64", "int64", "uint32", "int32", "uint16", "int16", "uint8", "int8", "bool"),
    )
}

# Names of the dtypes that are narrower than a byte: the format's and ml_dtypes'.
SUB_BYTE_NAMES = {dtype.name for dtype in FILE_DTYPES if dtype.bits < 8} | {
    "float4_e2m1fn",
    "float4_e2m1fn_x2",
    "float6_e2m3fn",
    "float6_e3m2fn",
}
