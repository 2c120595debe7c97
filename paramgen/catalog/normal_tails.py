"""The tails of the standard normal distribution, in decimal arithmetic: the same numbers on every machine."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

DIGITS = 60
PI = "3.14159265358979323846264338327950288419716939937510582097494459"
# The continued fraction converges in TERMS terms above this; the power series is used below.
SERIES_LIMIT = 3
TERMS = 400
# P(Z > 50) is below the smallest float64.
UNDERFLOW = 50


@lru_cache(maxsize=256)
def tail_probabilities(low: float, high: float) -> tuple[float, float, float]:
    """Return P(Z < low), P(Z > high) and P(low < Z < high) of a standard normal Z, each correctly rounded."""
    from decimal import Context, Decimal, localcontext

    with localcontext(Context(prec=DIGITS)):
        a, b = Decimal(low), Decimal(high)
        if a >= 0:
            within = _upper_tail(a) - _upper_tail(b)
        elif b <= 0:
            within = _upper_tail(-b) - _upper_tail(-a)
        else:
            within = 1 - _upper_tail(-a) - _upper_tail(b)
        return tuple(map(float, (_upper_tail(-a), _upper_tail(b), within)))  # type: ignore[return-value]


def _upper_tail(x: Decimal) -> Decimal:
    """Return P(Z > x): M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", 26.2.11 and 26.2.14."""
    if x < 0:
        return 1 - _upper_tail(-x)
    if x > UNDERFLOW:
        return x * 0
    density = (-x * x / 2).exp() / (2 * type(x)(PI)).sqrt()
    if x > SERIES_LIMIT:
        fraction = x
        for k in range(TERMS, 0, -1):
            fraction = x + k / fraction
        return density / fraction
    total, term, k = x, x, 1
    while abs(term) > type(x)(10) ** -DIGITS:
        k += 2
        term *= x * x / k
        total += term
    return type(x)("0.5") - density * total
