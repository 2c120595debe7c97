"""Tests of the CPU's loops against kernel.h's scalar functions, at words that are too rare to appear in other tests."""

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT

from paramgen.catalog.distributions import Bernoulli, Integers, Normal, TruncatedNormal, Uniform
from paramgen.sampling.backend import kernel_arguments

DISTRIBUTIONS = [
    Uniform(0.7),
    Normal(0.5, 2.0),
    TruncatedNormal(0.0, 1.0, -2.0, 2.0),
    TruncatedNormal(0.1, 0.02, -1.0, 30.0),
    TruncatedNormal(0.0, 1.0, 7.0, 9.0),
    TruncatedNormal(0.0, 1.0, -12.0, -8.5),
    TruncatedNormal(0.0, 1.0, 0.0, 1.0),
    TruncatedNormal(0.0, 1.0, -1.0, 0.0),
    TruncatedNormal(0.0, 1.0, -1e-9, 3.0),
    TruncatedNormal(0.0, 1.0, -100.0, 100.0),
    Integers(-(2**53), 2**53),
    Integers(-5, 1000),
    Bernoulli(0.5),
]

# Words around both ends, the middle, the limits of the tails and the word that divides a truncated distribution's sides.
PROGRAM = """
#include "loops.h"
#include <stdio.h>

static int failed;

static void compare(int distribution, const double *n, const uint64_t *centre, int centres)
{
    uint64_t wide[PG_BATCH64];
    uint32_t narrow[PG_BATCH32];
    double values64[PG_BATCH64];
    float values32[PG_BATCH32];
    pg_source_t source32 = pg_make_source(distribution, n, PG_FLOAT32), source64 = pg_make_source(distribution, n, PG_FLOAT64);
    int count = 0;
    for (int i = 0; i < centres + 1; i++)
        for (int step = -8; step < 8; step++, count++) {
            wide[count] = (i < centres ? centre[i] : source64.first_above) + (uint64_t)step;
            narrow[count] = (uint32_t)((i < centres ? centre[i] >> 32 : source32.first_above) + (uint64_t)step);
        }
    pg_compute_batch64(&source64, wide, count, values64);
    pg_compute_batch32(&source32, narrow, count, values32);
    for (int i = 0; i < count; i++) {
        if (pg_bits64(values64[i]) != pg_bits64(pg_value64(distribution, n, wide[i])))
            failed = printf("float64 distribution %d word %016llx: %.17g\\n", distribution, (unsigned long long)wide[i], values64[i]);
        if (pg_bits32(values32[i]) != pg_bits32(pg_value32(distribution, n, narrow[i])))
            failed = printf("float32 distribution %d word %08x: %.9g\\n", distribution, narrow[i], (double)values32[i]);
    }
}

int main(void)
{
    const uint64_t centre[] = {0, 1ull << 63, 0xFFFFFFFFull << 32, 0x133333333333333Full, 0xECCCCCCCCCCCCCC0ull,
                               0x002949A500000000ull, 0x0025000000000000ull, 0x7FFFFFFF00000000ull};
    static const double numbers[][7] = {DISTRIBUTION_NUMBERS};
    static const int names[] = {DISTRIBUTION_NAMES};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        compare(names[i], numbers[i], centre, (int)(sizeof centre / sizeof *centre));
    return failed != 0;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_rare_words_give_the_scalar_functions_values(tmp_path: Path, compiler: str) -> None:
    """Test rare words; the compiler must not warn, either."""
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    named = [kernel_arguments(distribution) for distribution in DISTRIBUTIONS]
    numbers = ", ".join("{" + ", ".join(number.hex() for number in numbers) + "}" for _, numbers in named)
    text = PROGRAM.replace("DISTRIBUTION_NUMBERS", numbers).replace(
        "DISTRIBUTION_NAMES", ", ".join(name for name, _ in named)
    )
    (tmp_path / "words.c").write_text(text)
    command = [compiler, "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra"]
    command += ["-Werror", f"-I{ROOT / 'paramgen' / 'sampling' / 'kernels'}", "words.c", "-o", "words"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "words"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
