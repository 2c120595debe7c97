"""The table of element types, with their names in specs, in safetensors files and in NumPy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: its name in specs, its code in safetensors files, its width, and NumPy's name for it.

    `array` is None for elements narrower than a byte: files may have them, but the format does not define how they are
    packed, so none can be made. `smallest` and `largest` bound the finite values, and `precision` is the number of
    significant bits of a floating-point type.
    """

    name: str
    code: str
    bits: int
    array: str | None
    smallest: float = 0
    largest: float = 0
    precision: int = 0
    is_integer: bool = False

    def nbytes(self, count: int) -> int:
        return -(-count * self.bits // 8)

    @property
    def is_complex(self) -> bool:
        return self.name == "complex64"

    def numpy(self) -> np.dtype[Any]:
        """Return the NumPy type, little-endian as in files; the narrow ones are ml_dtypes'."""
        import numpy as np

        if self.array is None:
            raise TypeError(f"NumPy has no type for {self.name}")
        if self.array.startswith(("bfloat", "float8")):
            import ml_dtypes

            narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.array))
            return narrow
        return np.dtype(self.array).newbyteorder("<")

    def round(self, value: float) -> float:
        """Return a number as a drawable type holds it; narrow types round the float32 number."""
        import numpy as np

        wide = np.float64(value) if self.name == "float64" else np.float32(value)
        return float(wide.astype(self.numpy()))


def _integer(name: str, code: str, bits: int) -> DType:
    low = 0 if name.startswith("uint") else -(2 ** (bits - 1))
    return DType(name, code, bits, name, low, low + 2**bits - 1, is_integer=True)


def _float(name: str, code: str, bits: int, precision: int, largest: float) -> DType:
    return DType(name, code, bits, name, -largest, largest, precision)


FLOAT32 = _float("float32", "F32", 32, 24, (2.0**24 - 1) * 2.0**104)

# From last to first: files hold tensors by dtype in the reverse of this order, then by name.
FILE_DTYPES = (
    DType("bool", "BOOL", 8, "bool", 0, 1, is_integer=True),
    DType("f4", "F4", 4, None),
    DType("f6_e2m3", "F6_E2M3", 6, None),
    DType("f6_e3m2", "F6_E3M2", 6, None),
    _integer("uint8", "U8", 8),
    _integer("int8", "I8", 8),
    _float("float8_e5m2", "F8_E5M2", 8, 3, 57344.0),
    _float("float8_e4m3fn", "F8_E4M3", 8, 4, 448.0),
    DType("float8_e8m0fnu", "F8_E8M0", 8, "float8_e8m0fnu", 2.0**-127, 2.0**127, 1),
    _float("float8_e4m3fnuz", "F8_E4M3FNUZ", 8, 4, 240.0),
    _float("float8_e5m2fnuz", "F8_E5M2FNUZ", 8, 3, 57344.0),
    _integer("int16", "I16", 16),
    _integer("uint16", "U16", 16),
    _float("float16", "F16", 16, 11, 65504.0),
    _float("bfloat16", "BF16", 16, 8, 255.0 * 2.0**120),
    _integer("int32", "I32", 32),
    _integer("uint32", "U32", 32),
    FLOAT32,
    DType("complex64", "C64", 64, "complex64", FLOAT32.smallest, FLOAT32.largest, FLOAT32.precision),
    _float("float64", "F64", 64, 53, sys.float_info.max),
    _integer("int64", "I64", 64),
    _integer("uint64", "U64", 64),
)

BY_NAME = {dtype.name: dtype for dtype in FILE_DTYPES}
BY_CODE = {dtype.code: dtype for dtype in FILE_DTYPES}
FILE_RANK = {dtype.code: rank for rank, dtype in enumerate(reversed(FILE_DTYPES))}


def _rank(dtype: DType) -> tuple[Any, ...]:
    return dtype.is_integer, dtype.is_complex, -dtype.bits, -dtype.precision, -dtype.largest


# The dtypes of parameters: real, complex, then integer ones; the wider, the more precise
# and the larger ones first.
DTYPES = {dtype.name: dtype for dtype in sorted(FILE_DTYPES, key=_rank) if dtype.array}

# Names of the dtypes that are narrower than a byte: the format's and ml_dtypes'.
SUB_BYTE = {dtype.name for dtype in FILE_DTYPES if not dtype.array} | {
    "float4_e2m1fn",
    "float4_e2m1fn_x2",
    "float6_e2m3fn",
    "float6_e3m2fn",
}
