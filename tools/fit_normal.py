"""A fit of the polynomials of the float32 normal distribution (paramgen/sampling/reference/normal.py).

With u = (w + 1/2)/2^32, x = 2u - 1 and L = -log(1 - x^2) = -log(4u(1 - u)), the quotient z/x of the normal
quantile z and x is a smooth function of L near the centre and of sqrt(L) in the tails (M. Giles, "Approximating the
erfinv function", GPU Computing Gems, 2012). Remez exchange minimizes the largest relative error of both parts, up to
the extreme words 0 and 2^32 - 1 (L = 21.49). The script prints them and the series of the logarithm. Needs mpmath:

python tools/fit_normal.py
"""

from collections.abc import Callable

import mpmath as mp
import numpy as np

mp.mp.dps = 40

SPLIT = mp.mpf(6)
LARGEST = mp.mpf("21.5")
POINTS = 300


def quotient(level: mp.mpf) -> mp.mpf:
    """Return z/x at L = level, by Newton's method on the complementary error function."""
    x = mp.sqrt(-mp.expm1(-level))
    if x < 0.5:
        return mp.sqrt(2) * mp.erfinv(x) / x
    tail = mp.exp(-level) / (1 + x)
    z = mp.sqrt(2 * level) - 1 if level > 2 else mp.mpf(1)
    for _ in range(60):
        step = (mp.erfc(z / mp.sqrt(2)) - tail) / (mp.sqrt(2 / mp.pi) * mp.exp(-z * z / 2))
        z += step if abs(step) < 1 else mp.sign(step)
        if abs(step) < mp.mpf(10) ** -30:
            break
    return z / x


def remez(
    f: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int, centre: mp.mpf
) -> tuple[list[mp.mpf], float]:
    """Return coefficients of powers of v - centre, constant first, and the largest relative error on [low, high]."""
    half = (high - low) / 2
    nodes = [(low + high) / 2 + half * mp.cos(mp.pi * (2 * i + 1) / (2 * POINTS)) for i in range(POINTS)]
    scaled = [(v - centre) / half for v in nodes]
    values = [f(v) for v in nodes]
    count = degree + 2
    chosen = [round((POINTS - 1) * (1 - np.cos(np.pi * j / (count - 1))) / 2) for j in range(count)]
    for _ in range(30):
        matrix = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, i in enumerate(chosen):
            for j in range(degree + 1):
                matrix[row, j] = scaled[i] ** j
            matrix[row, degree + 1] = (-1) ** row * values[i]
            right[row] = values[i]
        solution = list(mp.lu_solve(matrix, right))[: degree + 1]
        errors = [float((mp.polyval(solution[::-1], s) - y) / y) for s, y in zip(scaled, values, strict=True)]
        extrema: list[int] = []
        for i in range(POINTS):
            if not extrema or np.sign(errors[i]) != np.sign(errors[extrema[-1]]):
                extrema.append(i)
            elif abs(errors[i]) > abs(errors[extrema[-1]]):
                extrema[-1] = i
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        if extrema == chosen or len(extrema) < count:
            break
        chosen = extrema
    return [c / half**j for j, c in enumerate(solution)], max(abs(e) for e in errors)


def show(name: str, coefficients: list[mp.mpf], error: float, dtype: type[np.floating]) -> None:
    print(f"{name}  # highest power first; relative error {error:.1e}")
    for c in reversed(coefficients):
        print(f"    {float(dtype(float(c)))!r},")


def main() -> None:
    show("CENTRE, in L - 3", *remez(quotient, mp.mpf(0), SPLIT, 9, mp.mpf(3)), np.float32)
    root = lambda s: quotient(s * s)  # noqa: E731
    show("TAIL, in sqrt(L) - 3.5", *remez(root, mp.sqrt(SPLIT), mp.sqrt(LARGEST), 8, mp.mpf("3.5")), np.float32)

    def series(s2: mp.mpf) -> mp.mpf:
        s = mp.sqrt(s2)
        return 2 * mp.atanh(s) / s if s else mp.mpf(2)

    # log(f) = s * LOG(s^2) with s = (f - 1)/(f + 1), for f in [sqrt(1/2), sqrt(2)]
    largest = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    show("LOG float32, in s^2", *remez(series, mp.mpf(0), largest, 3, mp.mpf(0)), np.float32)
    show("LOG float64, in s^2", *remez(series, mp.mpf(0), largest, 7, mp.mpf(0)), np.float64)


if __name__ == "__main__":
    main()
