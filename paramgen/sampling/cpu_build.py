"""How the extension `paramgen.sampling._cpu` is built (by setup.py, through cffi): cpu.c, and what Python sees of it.

Without a compiler the package installs all the same, and draws with NumPy.
"""

from pathlib import Path

from cffi import FFI

FOLDER = "paramgen/sampling/kernels"

# These undo CFLAGS, which come before them: each operation is rounded once, to its own type, in the order written.
# -fno-fast-math alone undoes only what -ffast-math set. At the link they keep out gcc's start-up code that flushes
# subnormals to zero in the whole process.
EXACT = [
    "-O3",  # or -Ofast would hold
    "-fno-fast-math",
    "-fno-unsafe-math-optimizations",
    "-fno-associative-math",
    "-fno-reciprocal-math",
    "-fno-finite-math-only",
    "-fsigned-zeros",
    "-fno-single-precision-constant",
    "-ffp-contract=off",
]
# These change no value: without them the compiler, which would have to preserve errno and floating-point flags, cannot
# vectorize sqrt and conditions.
FASTER = ["-g0", "-fno-math-errno", "-fno-trapping-math"]

ffi = FFI()
ffi.cdef(
    """
    enum { PG_CONSTANT, PG_UNIFORM, PG_NORMAL, PG_TRUNCATED, ... };
    enum { PG_FLOAT64, PG_FLOAT32, PG_FLOAT16, PG_BFLOAT16, PG_FLOAT8_E4M3FN, PG_FLOAT8_E5M2, ... };
    enum { PG_TILE, PG_SCRATCH, ... };
    enum { PG_KERNEL_SETS, ... };
    """
    + Path(FOLDER, "kernel_table.h").read_text(encoding="utf-8")
    + "static const pg_kernels pg_kernel_sets[];"
)
ffi.set_source(
    "paramgen.sampling._cpu",
    '#include "cpu.c"',
    include_dirs=[FOLDER],
    depends=[
        f"{FOLDER}/{name}" for name in ("cpu.c", "kernel.h", "loops.h", "matrix.h", "polynomials.h", "kernel_table.h")
    ],
    extra_compile_args=EXACT + FASTER,
    extra_link_args=EXACT,
    optional=True,
)
