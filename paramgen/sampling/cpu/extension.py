"""The build of the extension `paramgen.sampling.cpu._kernels` from cpu.c, which setup.py runs through cffi.

Without a compiler the package is still installed, and draws with NumPy.
"""

import re
from pathlib import Path

from cffi import FFI

FOLDER = "paramgen/sampling/kernels"

# These override CFLAGS, which come before them: each operation is rounded once, to its own type, in the order written.
# -fno-fast-math alone would undo only -ffast-math. At the link they keep out gcc's start-up code, which flushes
# subnormals to zero in the whole process.
EXACT = [
    "-O3",  # overrides -Ofast
    "-fno-fast-math",
    "-fno-unsafe-math-optimizations",
    "-fno-associative-math",
    "-fno-reciprocal-math",
    "-fno-finite-math-only",
    "-fsigned-zeros",
    "-fno-single-precision-constant",
    "-ffp-contract=off",
]
# These change no value. Without -fno-… the compiler has to preserve errno and floating-point flags, and does not
# vectorize sqrt and conditions. Unaligned, a loop's speed changes by up to a quarter whenever code elsewhere does.
FASTER = ["-g0", "-falign-loops=64", "-fno-math-errno", "-fno-trapping-math"]

ENUMS = re.findall(r"(?:typedef )?enum \{.*?;", Path(FOLDER, "tables.h").read_text(encoding="utf-8"))

ffi = FFI()
ffi.cdef(
    "".join(ENUMS)
    + "enum { PG_TILE, PG_SCRATCH, PG_KERNEL_SETS, ... };"
    + Path(FOLDER, "kernel_table.h").read_text(encoding="utf-8")
    + "static const pg_kernels_t pg_kernel_sets[];"
)
ffi.set_source(
    "paramgen.sampling.cpu._kernels",
    '#include "cpu.c"',
    include_dirs=[FOLDER],
    depends=sorted(map(str, Path(FOLDER).glob("*.[ch]"))),
    extra_compile_args=EXACT + FASTER,
    extra_link_args=EXACT,
    optional=True,
)
