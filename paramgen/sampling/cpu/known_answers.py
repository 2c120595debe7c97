"""Known answers of the NumPy reference; compiled kernels that give others are not used.

Some compiler flags change floating-point arithmetic without defining a macro that C could test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from paramgen.dtypes import DTYPES

if TYPE_CHECKING:
    from paramgen.sampling.cpu.backend import CompiledBackend
    from paramgen.sampling.host import HostBackend

SEED, STREAM, FIRST_ELEMENT = 0xC0FFEE0123456789, 0xFEDCBA9876543210, 3
# Not multiples of a vector's width, to cover loop remainders.
ELEMENTS = 523
ROWS, COLUMNS = 50, 21

# Rows of a distribution's name and numbers in kernel.h, and the CRC-32 of its elements in each dtype. The truncated
# ones reach the tails' polynomials, as few normal values do; 1e-40 and 1e-310 give subnormal numbers.
ANSWERS: tuple[tuple[str, tuple[float, ...], dict[str, int]], ...] = (
    ("constant", (0.1,), {"float64": 0x8F051475, "float32": 0xF9AC1437}),
    ("uniform", (0.3,), {"float64": 0xDD46FD94, "float32": 0xA446FE2F}),
    ("normal", (0.5, 2.0), {"float64": 0x83309178, "float32": 0x1F85F2ED}),
    ("normal", (0.0, 1e-310), {"float64": 0x5F15C642}),
    ("normal", (0.0, 1e-40), {"float32": 0x273C34B1}),
    ("normal", (0.0, 0.02), {"float16": 0x4FCE02BE, "bfloat16": 0x1B28FC66}),
    ("normal", (0.0, 0.02), {"float8_e4m3fn": 0xF5173D97, "float8_e5m2": 0xF5C17CF9}),
    (
        "truncated_normal",
        (0.1, 0.02, -2.0, 2.0, 0.02275013194817921, 0.02275013194817921, 0.9544997361036416),
        {"float64": 0xCD7F0E85, "float32": 0x14B69680},
    ),
    (
        "truncated_normal",
        (0.0, 1.0, 3.3, 5.5, 0.9995165758576162, 1.8989562465887718e-08, 0.0004834051528213116),
        {"float64": 0x1DEDD418, "float32": 0x96898A03},
    ),
    (
        "truncated_normal",
        (0.0, 1.0, 7.0, 9.0, 0.9999999999987201, 1.1285884059538405e-19, 1.2798124310269944e-12),
        {"float64": 0x965C44B3, "float32": 0x06D2022E, "float8_e8m0fnu": 0x28713B06},
    ),
    ("normal", (0.0, 0.02), {"float8_e4m3fnuz": 0x20B22B17, "float8_e5m2fnuz": 0x52A10F6F}),
    ("uniform", (0.3,), {"complex64": 0x33D774C9}),
    ("integers", (3.0, 0.0, 100.0, 0.0), {"float64": 0xEBFADB78, "float32": 0x166F6C52}),
    ("integers", (3.0, 0.0, 100.0, 0.0), {"uint8": 0xFFC7DF28, "int8": 0xFFC7DF28}),
    ("integers", (3.0, 0.0, 100.0, 0.0), {"uint16": 0x649F457B, "int16": 0x649F457B}),
    ("integers", (0.0, 0.0, 4294967295.0, 0.0), {"uint32": 0x4039AE5B, "int32": 0x4039AE5B}),
    ("integers", (7.0, 0.0, 5.0, 4.0), {"uint64": 0xBD2D35C5, "int64": 0xBD2D35C5}),
    ("bernoulli", (3221225472.0,), {"float64": 0x10DEC7EC, "float32": 0x0896356E, "bool": 0x015E60F5}),
    ("uniform_interval", (-0.1, 0.75, 0.85), {"float64": 0x560C2709, "float32": 0xE9A0B71A}),
    (
        "log_uniform",
        (-6.907755278982137, -2.3025850929940455, 4.605170185988092, 0.001, 0.1),
        {"float64": 0x54CA3E47, "float32": 0x3E55C808},
    ),
    (
        "ssm_dt_bias",
        (-6.907755278982137, -2.3025850929940455, 4.605170185988092, 0.002, 0.1),
        {"float64": 0x272C9AD8, "float32": 0x6A0EBF65},
    ),
    ("sinusoidal", (6.0, 1.0, 2.0, 3.0701134573253945), {"float64": 0x429A7572, "float32": 0xC9107FDB}),
    ("sinusoidal", (1280.0, 0.0, 0.0, 0.014414), {"float64": 0xBB97A451, "float32": 0xAD1E2036}),
)
MATRIX_CHECKSUM = 0xF9F59A4A


def first_difference(kernels: CompiledBackend) -> str | None:
    """Return the first distribution for which kernels give another answer; None if all are right."""
    for name, numbers, answers in ANSWERS:
        for dtype, answer in answers.items():
            out = np.empty(DTYPES[dtype].nbytes(ELEMENTS), np.uint8)
            kernels.fill_raw(f"PG_{name.upper()}", numbers, DTYPES[dtype], SEED, STREAM, FIRST_ELEMENT, out)
            if crc32(out.data) != answer:
                return f"{name} {dtype}"
    return None if matrix_checksum(kernels) == MATRIX_CHECKSUM else "orthogonal"


def matrix_checksum(kernels: HostBackend) -> int:
    """Return the CRC-32 of a normal matrix after each matrix kernel in turn."""
    z, r, product = kernels.zeros(ROWS, COLUMNS), kernels.zeros(COLUMNS, COLUMNS), kernels.zeros(COLUMNS, COLUMNS)
    kernels.fill_normal(SEED, STREAM, FIRST_ELEMENT, True, z)
    kernels.add_product(r, z, z, 1)
    kernels.cholesky_tile(r, kernels.diagonal(r), 1e-14)
    kernels.solve_triangular(r, z.T)
    kernels.apply_reflector(z, z[:, 0].copy(), 0.7)
    kernels.add_product(product, z, z, -1)
    return crc32(product.data, crc32(z.data))
