"""Standard normal values of random words w, by inversion: the quantile of u = (w + 1/2)/2^32 (2^64 for float64).

Only +, -, ×, ÷, sqrt and integer operations, each correctly rounded, in the order written here: C and CUDA do the same.
Horner's rule evaluates polynomials, highest power first, a multiply then an add.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import TruncatedNormal

Float = np.float32 | np.float64
Coefficients = tuple[Float, ...]


def float32_coefficients(*values: float) -> Coefficients:
    return tuple(np.float32(value) for value in values)


def float64_coefficients(*values: float) -> Coefficients:
    return tuple(np.float64(value) for value in values)


# log f = s·LOG(s²) with s = (f - 1)/(f + 1), f in [sqrt(1/2), sqrt(2)); tools/fit_normal.py fits these and the next.
LOG_FLOAT32 = float32_coefficients(0.29925650358200073, 0.39974793791770935, 0.666668176651001, 2.0)
LOG_FLOAT64 = float64_coefficients(
    0.14810529728750974,
    0.1531244371429732,
    0.18183635098484158,
    0.2222219698810087,
    0.28571428761349005,
    0.39999999999298863,
    0.6666666666666765,
    2.0,
)

# float32: z = x·GILES_CENTRE(L - 3) for L < 6, else x·GILES_TAIL(sqrt(L) - 3.5), where x = 2u - 1 and L = -log(1 - x²).
# The form is M. Giles', "Approximating the erfinv function" (GPU Computing Gems, 2012), fitted again.
GILES_CENTRE = float32_coefficients(
    -8.240398585712683e-09,
    -6.130787877367538e-09,
    6.442921289817605e-07,
    -2.66625852418656e-06,
    -1.8041446310235187e-05,
    0.00027644523652270436,
    -0.0011823836248368025,
    -0.008115578442811966,
    0.3417168855667114,
    2.2960352897644043,
)
GILES_TAIL = float32_coefficients(
    3.868635030812584e-05,
    -0.00028267159359529614,
    0.0006926335045136511,
    -0.0010067573748528957,
    0.0015061193844303489,
    -0.0029014942701905966,
    0.004641359206289053,
    1.424633264541626,
    4.71708869934082,
)

# float64: M. Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (Applied Statistics 37,
# 1988): for |q| <= 0.425, q = u - 1/2, z = q·A(r)/B(r) with r = 0.180625 - q²; else with r = sqrt(-log(min(u, 1 - u)))
# |z| = C(r - 1.6)/D(r - 1.6) for r <= 5 and E(r - 5)/F(r - 5) beyond.
AS241_A = float64_coefficients(
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
AS241_B = float64_coefficients(
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
AS241_C = float64_coefficients(
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
AS241_D = float64_coefficients(
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
AS241_E = float64_coefficients(
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
AS241_F = float64_coefficients(
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)


# Keys are the names in kernel.h.
POLYNOMIALS = {
    "log_float32": LOG_FLOAT32,
    "log_float64": LOG_FLOAT64,
    "centre": GILES_CENTRE,
    "tail": GILES_TAIL,
    "a": AS241_A,
    "b": AS241_B,
    "c": AS241_C,
    "d": AS241_D,
    "e": AS241_E,
    "f": AS241_F,
}


def polynomial(coefficients: Coefficients, v: NDArray[Any]) -> NDArray[Any]:
    """Evaluate a polynomial by Horner's rule, in v's precision; coefficients begin with the highest power."""
    value = coefficients[0] * v + coefficients[1]
    for coefficient in coefficients[2:]:
        value *= v
        value += coefficient
    return value


def log(t: NDArray[Any]) -> NDArray[Any]:
    """Return the natural logarithm of positive normal float32 or float64 values.

    The bits of t give t = 2^k·f with f in [sqrt(1/2), sqrt(2)); log t = k·ln 2 + s·LOG(s²), s = (f - 1)/(f + 1).
    """
    single = t.dtype == np.float32
    series = LOG_FLOAT32 if single else LOG_FLOAT64
    half_root, mantissa_bits = (0x3F3504F3, 23) if single else (0x3FE6A09E667F3BCD, 52)
    bits: NDArray[Any] = t.view(np.int32 if single else np.int64)
    k = (bits - half_root) >> mantissa_bits
    f = (bits - (k << mantissa_bits)).view(t.dtype)
    one, log_2 = t.dtype.type(1), t.dtype.type(0.6931471805599453)
    s = (f - one) / (f + one)
    logarithm: NDArray[Any] = k.astype(t.dtype) * log_2 + s * polynomial(series, s * s)
    return logarithm


def magnitude_float32(double_tail: NDArray[np.float32], central: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return |z| of double_tail = 2p and central = 1 - 2p, p the nearer tail; the relative error is below 1e-6."""
    minus_log = -log(double_tail * (np.float32(2) - double_tail))
    quotient = polynomial(GILES_CENTRE, minus_log - np.float32(3))
    far = np.flatnonzero(minus_log >= np.float32(6))
    quotient[far] = polynomial(GILES_TAIL, np.sqrt(minus_log[far]) - np.float32(3.5))
    z: NDArray[np.float32] = central * quotient
    return z


def magnitude_float64(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return |z| of the nearer tail p and q = 1/2 - p; the relative error is below 1e-14."""
    r = np.float64(0.180625) - q * q
    z: NDArray[np.float64] = q * polynomial(AS241_A, r) / polynomial(AS241_B, r)
    outer = np.flatnonzero(q > np.float64(0.425))
    root = np.sqrt(-log(p[outer]))
    r = root - np.float64(1.6)
    tail = polynomial(AS241_C, r) / polynomial(AS241_D, r)
    far = np.flatnonzero(root > np.float64(5))
    r = root[far] - np.float64(5)
    tail[far] = polynomial(AS241_E, r) / polynomial(AS241_F, r)
    z[outer] = tail
    return z


def normal_float32(word: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return standard normal float32 values of 32-bit words: an odd function about the middle."""
    half, scale = np.float32(0.5), np.float32(2.0**-31)
    nearer = np.minimum(word, ~word).view(np.int32)
    double_tail = (nearer.astype(np.float32) + half) * scale  # to full relative precision in the tails
    central = ((np.int32(0x7FFFFFFF) - nearer).astype(np.float32) + half) * scale  # likewise at the centre
    z = magnitude_float32(double_tail, central)
    return np.where(word >> np.uint32(31), z, -z)


def normal_float64(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return standard normal float64 values of 64-bit words: an odd function about the middle."""
    half, scale = np.float64(0.5), np.float64(2.0**-64)
    nearer = np.minimum(word, ~word).view(np.int64)
    p = (nearer.astype(np.float64) + half) * scale
    q = ((np.int64(0x7FFFFFFFFFFFFFFF) - nearer).astype(np.float64) + half) * scale
    z = magnitude_float64(p, q)
    return np.where(word >> np.uint64(63), z, -z)


def truncated_normal(distribution: TruncatedNormal, word: NDArray[np.uint32] | NDArray[np.uint64]) -> NDArray[Any]:
    """Return standard normal values within the limits of a distribution, float32 or float64 like the words.

    Both tails of a value, P(Z < z) and P(Z > z), are computed to full relative precision, and the nearer one decides.
    """
    scale = 2.0 ** (-8 * word.itemsize)
    below = distribution.below + (word.astype(np.float64) + 0.5) * scale * distribution.within
    above = distribution.above + ((~word).astype(np.float64) + 0.5) * scale * distribution.within
    p = np.minimum(below, above)
    magnitude: NDArray[Any]
    if word.dtype == np.uint64:
        magnitude = magnitude_float64(p, 0.5 - p)
    else:
        double_tail = (2 * p).astype(np.float32)
        magnitude = magnitude_float32(double_tail, (1 - 2 * p).astype(np.float32))
        # The tail's polynomial is fitted only as far as the words of the normal distribution reach.
        beyond = double_tail < np.float32(2.0**-32)
        magnitude[beyond] = magnitude_float64(p[beyond], 0.5 - p[beyond])
    z = np.where(below < above, -magnitude, magnitude)
    low, high = magnitude.dtype.type(distribution.low), magnitude.dtype.type(distribution.high)
    z = np.where(z < low, low, z)
    return np.where(z > high, high, z)
