"""exp, expm1, sine and cosine of float64 values, in NumPy.

Only +, -, ×, ÷ and integer operations, each correctly rounded, in the order written here: C and CUDA do the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paramgen.sampling.reference.normal import float64_coefficients, log, polynomial

Doubles = NDArray[np.float64]

# With z = r·r: exp r = 1 + r + z·EXP(r) for |r| ≤ ln 2 / 2; sin r = r + r·(z·SIN(z)) and
# cos r = (1 - z/2) + z·(z·COS(z)) for |r| ≤ π/4. tools/fit_functions.py fits these, and splits ln 2 and π/2.
EXP = float64_coefficients(
    2.5068173246141374e-08,
    2.762004636790059e-07,
    2.7557355496213692e-06,
    2.4801521396186746e-05,
    0.00019841269784673325,
    0.0013888888917139239,
    0.0083333333333562,
    0.0416666666666243,
    0.16666666666666644,
    0.5000000000000001,
)
SIN = float64_coefficients(
    1.5917933925590456e-10,
    -2.5051128870156406e-08,
    2.7557316086693627e-06,
    -0.00019841269836724044,
    0.008333333333330922,
    -0.16666666666666666,
)
COS = float64_coefficients(
    -1.138254705581321e-11,
    2.087614497691155e-09,
    -2.7557317264891267e-07,
    2.4801587298750903e-05,
    -0.0013888888888887387,
    0.041666666666666664,
)
POLYNOMIALS = {"exp": EXP, "sin": SIN, "cos": COS}

# Products of the first parts with integers below 2^13 (of ln 2) and 2^20 (of π/2) are exact.
LN_2 = (0.6931471805592082, 7.371002565167799e-13)
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
INVERSE_LN_2 = 1.4426950408889634
INVERSE_HALF_PI = 0.6366197723675814
# Adding it rounds a double to an integer, which the low bits of the sum hold.
TO_INTEGER = 1.5 * 2.0**52
# 1 - exp(-x) rounds to 1 for larger x.
MAX_SOFTPLUS = 60.0
# Keys are the names in elementary.h.
CONSTANTS = {
    "inverse_ln_2": INVERSE_LN_2,
    "ln_2_high": LN_2[0],
    "ln_2_low": LN_2[1],
    "inverse_half_pi": INVERSE_HALF_PI,
    "half_pi_high": HALF_PI[0],
    "half_pi_middle": HALF_PI[1],
    "half_pi_low": HALF_PI[2],
    "to_integer": TO_INTEGER,
    "max_softplus": MAX_SOFTPLUS,
}


def _reduce_exp(t: Doubles) -> tuple[NDArray[np.int64], Doubles]:
    """Return bits that end in those of k, and exp(r) - 1, with t = k·ln 2 + r and |r| ≤ ln 2 / 2."""
    shifted = t * INVERSE_LN_2 + TO_INTEGER
    k = shifted - TO_INTEGER
    r = (t - k * LN_2[0]) - k * LN_2[1]
    return shifted.view(np.int64), r + r * r * polynomial(EXP, r)


def _scale_by_power(values: Doubles, bits: NDArray[np.int64]) -> Doubles:
    """Return values·2^k for the k in the low bits."""
    return (values.view(np.int64) + (bits << 52)).view(np.float64)


def exp(t: Doubles) -> Doubles:
    """Return e^t of -700 ≤ t ≤ 700."""
    bits, rest = _reduce_exp(t)
    return _scale_by_power(1.0 + rest, bits)


def expm1(t: Doubles) -> Doubles:
    """Return e^t - 1 of -700 ≤ t ≤ 700, to full relative precision."""
    bits, rest = _reduce_exp(t)
    scale = _scale_by_power(np.ones_like(t), bits)
    return scale * rest + (scale - 1.0)


def inverse_softplus(x: Doubles) -> Doubles:
    """Return log(e^x - 1) = x + log(1 - e^-x) of positive x."""
    logarithm: Doubles = log(-expm1(-np.where(x < MAX_SOFTPLUS, x, MAX_SOFTPLUS)))
    return x + logarithm


def sine(angle: Doubles, quarters: NDArray[np.int64]) -> Doubles:
    """Return sin(angle + quarters·π/2) of |angle| up to about 2^20."""
    shifted = angle * INVERSE_HALF_PI + TO_INTEGER
    k = shifted - TO_INTEGER
    r = ((angle - k * HALF_PI[0]) - k * HALF_PI[1]) - k * HALF_PI[2]
    z = r * r
    quadrant = shifted.view(np.int64) + quarters
    sin = r + r * (z * polynomial(SIN, z))
    cos = (1.0 - 0.5 * z) + z * (z * polynomial(COS, z))
    magnitude: Doubles = np.where(quadrant & 1, cos, sin)
    return (magnitude.view(np.int64) ^ ((quadrant & 2) << 62)).view(np.float64)
