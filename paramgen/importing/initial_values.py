"""Initial values for tensors of which only names, shapes and dtypes are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from paramgen.dtypes import DTYPES

GUESS = "Initial values are guesses from names: scales of norms 1, biases 0, other weights normal with std 0.02."
STD = 0.02

_NORM = re.compile(r"(\w*norm\w*|ln_?\w*|bn\d*)\.(weight|scale|gamma)|gamma|running_var")
_POSITIONS = re.compile(r"position_ids|positions?")
_ZERO = re.compile(r"\w*bias(es)?|beta|running_mean|num_batches_tracked|lora_B\.weight|lora_up\.weight")


def guess_initializer(name: str, dtype: str, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the initializer that a tensor of this name probably has."""
    found = DTYPES[dtype]
    segments = name.split(".")
    ending = ".".join(segments[-3:])
    if found.is_integer:
        if dtype == "bool":
            return {"type": "zeros"}
        if _POSITIONS.fullmatch(segments[-1]) and shape:
            return {"type": "arange"}
        is_packed = len(shape) > 1 and dtype in ("uint8", "int8", "uint32", "int32")
        return {"type": "integers", "low": int(found.min), "high": int(found.max)} if is_packed else {"type": "zeros"}
    if dtype == "float8_e8m0fnu":
        return {"type": "ones"}
    if _ZERO.fullmatch(segments[-1]) or _ZERO.fullmatch(".".join(segments[-2:])):
        return {"type": "zeros"}
    if not shape or any(_NORM.fullmatch(part) for part in (ending, ".".join(segments[-2:]), segments[-1])):
        return {"type": "ones"}
    return {"type": "gaussian", "std": STD}
