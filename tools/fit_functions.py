"""A fit of the polynomials of exp, sine and cosine in sampling/reference/elementary.py, and the parts of ln 2 and π/2.

With z = r·r:

    exp(r) = 1 + r + z·EXP(r)          for |r| ≤ ln 2 / 2
    sin(r) = r + r·(z·SIN(z))          for |r| ≤ π / 4
    cos(r) = (1 - z/2) + z·(z·COS(z))  for |r| ≤ π / 4

Remez exchange minimizes the largest relative error of each polynomial. Needs mpmath:

python tools/fit_functions.py
"""

from collections.abc import Callable

import mpmath as mp
import numpy as np
from fit_normal import remez, show

TERMS = 30
REACH = mp.mpf("1.0001")  # a little beyond the reduced arguments, which are rounded


def series(first: int, step: int) -> Callable[[mp.mpf], mp.mpf]:
    """Return v -> the sum of sign·v^i/(first + step·i)!; the signs alternate if step is 2."""

    def value(v: mp.mpf) -> mp.mpf:
        return mp.fsum((-v if step == 2 else v) ** i / mp.factorial(first + step * i) for i in range(TERMS))

    return value


def leading(number: mp.mpf, bits: int) -> float:
    """Return the first bits of a number below 4, rounded down."""
    scale = mp.mpf(2) ** (bits - mp.floor(mp.log(number, 2)) - 1)
    return float(mp.floor(number * scale) / scale)


def main() -> None:
    half = mp.log(2) / 2 * REACH
    show("EXP", *remez(series(2, 1), -half, half, 9, mp.mpf(0)), np.float64)
    largest = (mp.pi / 4 * REACH) ** 2
    sine, cosine = series(3, 2), series(4, 2)
    show("SIN, in z", *remez(lambda z: -sine(z), mp.mpf(0), largest, 5, mp.mpf(0)), np.float64)
    show("COS, in z", *remez(cosine, mp.mpf(0), largest, 5, mp.mpf(0)), np.float64)
    high = leading(mp.log(2), 40)
    print("ln 2:", repr(high), repr(float(mp.log(2) - high)))
    first = leading(mp.pi / 2, 33)
    second = leading(mp.pi / 2 - first, 33)
    print("π/2:", repr(first), repr(second), repr(float(mp.pi / 2 - first - second)))


if __name__ == "__main__":
    main()
