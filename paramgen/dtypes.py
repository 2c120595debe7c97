"""The element types of parameters: one table, from the spec's names to safetensors' and NumPy's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name in specs, its code in safetensors files, its width, and NumPy's name for it.

    `largest` is the largest finite value of a type that parameters can be drawn in, None for the others, which
    only files have. `array` is None where NumPy has no such type (elements narrower than a byte).
    """

    name: str
    code: str
    bits: int
    array: str | None
    largest: float | None = None

    def nbytes(self, count: int) -> int:
        return -(-count * self.bits // 8)

    def numpy(self) -> np.dtype[Any]:
        """The NumPy type, little-endian as in files; the narrow ones are ml_dtypes'."""
        import numpy as np

        if self.array is None:
            raise TypeError(f"NumPy has no type for {self.name}")
        if self.array.startswith(("bfloat", "float8")):
            import ml_dtypes

            narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.array))
            return narrow
        return np.dtype(self.array).newbyteorder("<")


# In the official writer's order, which puts the last first in a file: by falling dtype, then by name.
FILE_DTYPES = (
    DType("bool", "BOOL", 8, "bool"),
    DType("f4", "F4", 4, None),
    DType("f6_e2m3", "F6_E2M3", 6, None),
    DType("f6_e3m2", "F6_E3M2", 6, None),
    DType("uint8", "U8", 8, "uint8"),
    DType("int8", "I8", 8, "int8"),
    DType("float8_e5m2", "F8_E5M2", 8, "float8_e5m2", 57344.0),
    DType("float8_e4m3fn", "F8_E4M3", 8, "float8_e4m3fn", 448.0),
    DType("f8_e8m0", "F8_E8M0", 8, "float8_e8m0fnu"),
    DType("f8_e4m3fnuz", "F8_E4M3FNUZ", 8, "float8_e4m3fnuz"),
    DType("f8_e5m2fnuz", "F8_E5M2FNUZ", 8, "float8_e5m2fnuz"),
    DType("int16", "I16", 16, "int16"),
    DType("uint16", "U16", 16, "uint16"),
    DType("float16", "F16", 16, "float16", 65504.0),
    DType("bfloat16", "BF16", 16, "bfloat16", 255.0 * 2.0**120),
    DType("int32", "I32", 32, "int32"),
    DType("uint32", "U32", 32, "uint32"),
    DType("float32", "F32", 32, "float32", (2.0**24 - 1) * 2.0**104),
    DType("complex64", "C64", 64, "complex64"),
    DType("float64", "F64", 64, "float64", sys.float_info.max),
    DType("int64", "I64", 64, "int64"),
    DType("uint64", "U64", 64, "uint64"),
)

BY_NAME = {dtype.name: dtype for dtype in FILE_DTYPES}
BY_CODE = {dtype.code: dtype for dtype in FILE_DTYPES}
FILE_RANK = {dtype.code: rank for rank, dtype in enumerate(reversed(FILE_DTYPES))}

# What parameters can be drawn in, widest first.
DTYPES = {name: BY_NAME[name] for name in ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")}
