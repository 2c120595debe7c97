"""How the extension `paramgen.sampling._cpu` is built (by setup.py, through cffi): cpu.c, and what Python sees of it.

Without a compiler the package installs all the same, and draws with NumPy.
"""

from pathlib import Path

from cffi import FFI

FOLDER = "paramgen/sampling"

# No contraction, so that a multiply and an add are two roundings; the others change no value: they tell the compiler
# that nobody looks at errno or at floating-point flags, without which it cannot vectorize sqrt and conditions.
FLAGS = ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]

ffi = FFI()
ffi.cdef(
    """
    enum { PG_CONSTANT, PG_UNIFORM, PG_NORMAL, PG_TRUNCATED, ... };
    enum { PG_FLOAT64, PG_FLOAT32, PG_FLOAT16, PG_BFLOAT16, PG_FLOAT8_E4M3FN, PG_FLOAT8_E5M2, ... };
    enum { PG_TILE, PG_ROOM, ... };
    enum { PG_SETS, ... };
    """
    + Path(FOLDER, "set.h").read_text(encoding="utf-8")
    + "static const pg_set pg_sets[];"
)
ffi.set_source(
    "paramgen.sampling._cpu",
    '#include "cpu.c"',
    include_dirs=[FOLDER],
    depends=[f"{FOLDER}/{name}" for name in ("cpu.c", "kernel.h", "loops.h", "matrix.h", "polynomials.h", "set.h")],
    extra_compile_args=FLAGS,
    optional=True,
)
