"""Logarithm and exponential, correctly rounded through decimal arithmetic: C libraries round them differently."""

from __future__ import annotations

from functools import lru_cache

# No float64 has an exp or a log so near to the middle of two others that 60 digits leave it open on which side it lies.
# (Lefèvre and Muller, "Worst cases for correct rounding of the elementary functions", 2000.)
DIGITS = 60


@lru_cache(maxsize=2**16)  # as many as a formula has values; 40 µs each
def log(x: float) -> float:
    """Return the natural logarithm of a positive number."""
    from decimal import Context, Decimal

    return float(Decimal(x).ln(Context(prec=DIGITS)))


@lru_cache(maxsize=2**16)
def exp(x: float) -> float:
    """Return e^x. Raises OverflowError if it is beyond float64."""
    from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

    if x > 710:
        raise OverflowError
    lowest = max(x, -1000)  # below it, the result is 0 as well
    return float(Decimal(lowest).exp(Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])))


def sqrt(x: float) -> float:
    """Return the square root of a number of at least 0; integers may have up to 128 bits."""
    import math
    from decimal import Context, Decimal

    if isinstance(x, float) or x <= 2**53:
        return math.sqrt(x)
    return float(Decimal(x).sqrt(Context(prec=DIGITS)))
