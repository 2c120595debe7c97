"""Arrays of computed values → the initializers that give them, within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen import limits

Array = NDArray[Any]

SINUSOID_TOLERANCE = 5e-4
"""Angles computed in float32 are off by 1e-7 times the position, which is up to a few thousand."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far computed values may be apart: float32 functions are off by a few units."""

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
    """Return an initializer of these values as a mapping of a spec, or None if there is none."""
    if not array.size or not np.isfinite(array).all():
        return None
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
        for text, compute in _formulas(values, tolerance):
            with np.errstate(all="ignore"):
                found = compute(k)
            if tolerance.close(found, values):
                yield {"type": "formula", "value": f"${{{text}}}", **where}


def _formulas(values: Array, tolerance: Tolerance) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Yield formulas of k and n whose constants fit the first and last values."""
    n = len(values)
    for start in range(1, 3):
        yield f"log(k + {start})", lambda k, start=start: np.log(k + start)
        yield f"-log(k + {start})", lambda k, start=start: -np.log(k + start)
        yield f"1 / (k + {start})", lambda k, start=start: 1 / (k + start)
    if (values > 0).all():
        for offset in (0, 1):
            for steps, text in ((n, "n"), (n - 1, "(n - 1)")):
                # first · base^(k / steps), with its first number taken out of the exponent if that is 1
                ratio = float(values[-1] / values[0]) ** (steps / (n - 1))
                base = shortest(1 / ratio if ratio < 1 else ratio, Tolerance(64 * tolerance.relative))
                sign = "-" if ratio < 1 else ""
                first = shortest(
                    float(values[0]) * float(base) ** (offset / steps * (1 if ratio < 1 else -1)), tolerance
                )
                index = f"(k + {offset})" if offset else "k"
                factor = "" if first == 1 else f"{first} * "
                text = f"{factor}{base} ** ({sign}{index} / {text})"

                def compute(
                    k: Array,
                    first: float = first,
                    base: float = base,
                    steps: int = steps,
                    offset: int = offset,
                    sign: int = -1 if ratio < 1 else 1,
                ) -> Array:
                    return np.asarray(first * float(base) ** (sign * (k + offset) / steps))

                if len(f"{base}") < 9:
                    yield text, compute
    if (values > 0).all():
        low, high = math.exp(values[0]), math.exp(values[-1])
        first, step = (shortest(number, Tolerance(64 * tolerance.relative)) for number in (low, (high - low) / (n - 1)))
        if len(f"{first}{step}") < 12:
            yield f"log({first} + {step} * k)", lambda k: np.log(first + step * k)


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
