"""Arrays of computed values → the initializers that give them, within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen import limits

Array = NDArray[Any]

SINUSOID_TOLERANCE = 5e-4
"""Angles computed in float32 are off by 1e-7 times the position, which is up to a few thousand."""
SHORT = 9
"""A constant of a formula has fewer characters; others only happen to fit."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest difference of computed values: float32 functions are off by a few units."""

    relative: float = 1e-6
    absolute: float = 2e-6

    @classmethod
    def of_bits(cls, significant_bits: int) -> Tolerance:
        """Return the tolerance of values rounded to a dtype. Integers, with 0 bits, are compared exactly."""
        if not significant_bits:
            return cls(0.0, 0.0)
        unit = 2.0**-significant_bits
        return cls(max(1e-6, 2 * unit), max(2e-6, 2 * unit))

    def close(self, one: Any, other: Any) -> bool:
        return bool(np.allclose(one, other, rtol=self.relative, atol=self.absolute))


def recognize(array: Array, tolerance: Tolerance) -> dict[str, Any] | None:
    """Return an initializer of these values as a mapping of a spec, or None if there is none; none is complex."""
    if not array.size or not np.isfinite(array).all():
        return None
    if array.dtype.kind == "c":
        if array.imag.any():
            return None
        array = array.real
    values = array.astype(np.float64)
    if (values == values.flat[0]).all():
        return constant(float(values.flat[0]))
    return next(_candidates(values, tolerance), None)


def constant(value: float) -> dict[str, Any]:
    """Return the initializer of a constant."""
    if value in (0, 1):
        return {"type": "ones" if value else "zeros"}
    return {"type": "constant", "value": plain(value)}


def plain(value: float) -> int | float:
    """Return a whole number as an integer, and any other as it is."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def shortest(value: float, tolerance: Tolerance) -> int | float:
    """Return the number with the fewest digits within the tolerance."""
    for digits in range(1, 17):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= tolerance.relative * abs(value) / 2:
            return plain(short)
    return plain(value)


def _candidates(values: Array, tolerance: Tolerance) -> Iterator[dict[str, Any]]:
    for axis in range(values.ndim):
        first = values[(0,) * axis + (slice(None),) + (0,) * (values.ndim - axis - 1)]
        along = first.reshape((-1,) + (1,) * (values.ndim - axis - 1))
        if (values == along).all():
            where = {} if axis == values.ndim - 1 else {"axis": axis}
            yield from _along_axis(first, where, tolerance)
    yield from _matrices(values)
    yield from _sinusoids(values)
    yield from _listed(values)


def _along_axis(values: Array, where: Mapping[str, int], tolerance: Tolerance) -> Iterator[dict[str, Any]]:
    """Yield initializers of numbers that depend on the index along one axis."""
    n = len(values)
    k = np.arange(n, dtype=np.float64)
    start, step = float(values[0]), float(values[-1] - values[0]) / (n - 1)
    start, step = (shortest(number, tolerance) for number in (start, step))
    if n <= limits.MAX_ARANGE and n > 2 and tolerance.close(start + step * k, values):
        yield {
            "type": "arange",
            **({"start": start} if start else {}),
            **({"step": step} if step != 1 else {}),
            **where,
        }
    if n > 2 and n <= limits.MAX_VALUES:
        for text, found in _formulas(values, tolerance):
            if tolerance.close(found, values):
                yield {"type": "formula", "value": f"${{{text}}}", **where}


def _formulas(values: Array, tolerance: Tolerance) -> Iterator[tuple[str, Array]]:
    """Yield formulas of k and n, and their values, whose constants fit the first and the last number."""
    n = len(values)
    k = np.arange(n, dtype=np.float64)
    for start in (1, 2):
        yield f"log(k + {start})", np.log(k + start)
        yield f"-log(k + {start})", -np.log(k + start)
        yield f"1 / (k + {start})", 1 / (k + start)
    if not (values > 0).all():
        return
    wide = Tolerance(64 * tolerance.relative)
    with np.errstate(all="ignore"):
        low, high = np.exp(values[[0, -1]])
        first, step = (shortest(float(number), wide) for number in (low, (high - low) / (n - 1)))
        if len(f"{first}{step}") < SHORT:
            yield f"log({first} + {step} * k)", np.log(first + step * k)
        for offset in (0, 1):
            for steps, size in ((n, "n"), (n - 1, "(n - 1)")):
                yield from _powers(values, k, offset, steps, size, tolerance)


def _powers(
    values: Array, k: Array, offset: int, steps: int, size: str, tolerance: Tolerance
) -> Iterator[tuple[str, Array]]:
    """Yield first · base^(±(k + offset) / steps) with a base above 1."""
    ratio = float(values[-1] / values[0]) ** (steps / (len(values) - 1))
    sign = -1 if ratio < 1 else 1
    base = shortest(ratio**sign, Tolerance(64 * tolerance.relative))
    if len(f"{base}") < SHORT and math.isfinite(base):
        first = shortest(float(values[0]) * float(base) ** (-sign * offset / steps), tolerance)
        factor = "" if first == 1 else f"{first} * "
        index = f"(k + {offset})" if offset else "k"
        text = f"{factor}exp({'-' if sign < 0 else ''}log({base}) * {index} / {size})"
        yield text, first * float(base) ** (sign * (k + offset) / steps)


def _matrices(values: Array) -> Iterator[dict[str, Any]]:
    if values.ndim == 2:
        gain = float(values[0, 0])
        if gain and (values == gain * np.eye(*values.shape)).all():
            yield {"type": "identity", **({"gain": plain(gain)} if gain != 1 else {})}
    if values.ndim in (3, 4, 5):
        expected = np.zeros_like(values)
        centre = tuple(size // 2 for size in values.shape[2:])
        for channel in range(min(values.shape[:2])):
            expected[(channel, channel, *centre)] = 1
        if (values == expected).all():
            yield {"type": "dirac"}


def _sinusoids(values: Array) -> Iterator[dict[str, Any]]:
    if values.ndim < 2 or math.prod(values.shape[:-2]) != 1 or values.shape[-1] % 2 or np.abs(values).max() > 1.001:
        return
    rows, channels = values.shape[-2:]
    half = channels // 2
    given = values.reshape(rows, channels)
    for denominator_offset in (0, 1):
        if half <= denominator_offset:
            continue
        for position_offset in (0, 1, 2):
            position = np.arange(rows, dtype=np.float64)[:, None] + position_offset
            angles = position * np.exp(-math.log(10000.0) / (half - denominator_offset) * np.arange(half))
            sines, cosines = np.sin(angles), np.cos(angles)
            for arrangement, expected in (
                ("interleaved", np.stack([sines, cosines], axis=2).reshape(rows, channels)),
                ("concatenated", np.concatenate([sines, cosines], axis=1)),
            ):
                if np.abs(expected - given).max() <= SINUSOID_TOLERANCE:
                    yield {
                        "type": "sinusoidal",
                        "arrangement": arrangement,
                        **({"position_offset": position_offset} if position_offset else {}),
                        **({"denominator_offset": denominator_offset} if denominator_offset else {}),
                    }


def _listed(values: Array) -> Iterator[dict[str, Any]]:
    """Yield the numbers themselves, without the axes along which they are repeated."""
    while values.ndim > 1 and (values == values[:1]).all():
        values = values[0]
    if values.size <= limits.MAX_VALUES:
        yield {"type": "values", "values": _as_lists(values.tolist())}


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, list) else plain(value)
