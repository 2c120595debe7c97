"""Initial values for tensors of which only names, shapes and dtypes are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from paramgen.dtypes import DTYPES

GUESS = "Initial values are guesses from names: scales of norms 1, biases 0, other weights normal with std 0.02."
GUESSED = "guess"
"""The comment beside a tensor if others have known initial values."""
STD = 0.02

_NORM = re.compile(r"(\w*norm\w*|ln_?\w*|bn\d*)\.(weight|scale|gamma)|gamma|running_var")
_POSITIONS = re.compile(r"position_ids|positions?")
_ZERO = re.compile(r"\w*bias(es)?|beta|running_mean|num_batches_tracked|lora_B\.weight|lora_up\.weight")


def guess_initializer(name: str, dtype: str, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the initializer that a tensor of this name probably has."""
    if 0 in shape:
        return {"type": "zeros"}
    *_, last = segments = name.split(".")
    pair = ".".join(segments[-2:])
    if DTYPES[dtype].is_integer:
        return _guess_integers(last, dtype, shape)
    if _ZERO.fullmatch(last) or _ZERO.fullmatch(pair):
        return {"type": "zeros"}
    if not shape or dtype == "float8_e8m0fnu" or any(map(_NORM.fullmatch, (".".join(segments[-3:]), pair, last))):
        return {"type": "ones"}
    return {"type": "gaussian", "std": STD}


def _guess_integers(last: str, dtype: str, shape: tuple[int, ...]) -> Mapping[str, Any]:
    if _POSITIONS.fullmatch(last) and shape:
        return {"type": "arange"}
    found = DTYPES[dtype]
    is_packed = len(shape) > 1 and dtype in ("uint8", "int8", "uint32", "int32")
    return {"type": "integers", "low": int(found.min), "high": int(found.max)} if is_packed else {"type": "zeros"}
