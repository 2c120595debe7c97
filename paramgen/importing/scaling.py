"""Initializers that Keras and JAX scale by fans → numbers of a spec."""

from __future__ import annotations

import math
from typing import Any

from paramgen.importing.recognition import Tolerance, shortest

# The standard deviation of a standard normal distribution within -2 … 2.
TRUNCATED_STD = 0.87962566103423978


def scale_variance(scale: float, mode: str, distribution: str, fan_in: float, fan_out: float) -> dict[str, Any] | None:
    """Return an initializer with mean 0 and the variance `scale` / fan, as Keras and jax.nn.initializers define it."""
    fans = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }
    if mode not in fans:
        return None
    std = math.sqrt(scale / max(1.0, fans[mode]))
    if distribution == "truncated_normal":
        return {"type": "truncated_normal", "std": round_number(std / TRUNCATED_STD)}
    if distribution in ("normal", "untruncated_normal"):
        return {"type": "gaussian", "std": round_number(std)}
    return {"type": "uniform", "bound": round_number(math.sqrt(3) * std)} if distribution == "uniform" else None


def round_number(value: float) -> int | float:
    """Return the number with the fewest digits that float32 does not distinguish from `value`."""
    return shortest(float(value), Tolerance(relative=1e-7))
