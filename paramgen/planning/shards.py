"""Shards: the tensors of a plan, split over several files as huggingface_hub splits a state dict."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The suffixes of huggingface_hub.
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: str) -> int:
    """Return a number of bytes written with a decimal unit, 5GB. Raises ValueError for other texts."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]B)\s*", text, re.IGNORECASE | re.ASCII)
    size = int(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    if not size:
        raise ValueError(f"must be a number with a unit of {', '.join(UNITS)}, such as 5GB")
    return size


def split_into_shards(sizes: Iterable[int], limit: int) -> list[list[int]]:
    """Return the numbers of the tensors of each shard, for tensors of these sizes in bytes.

    Tensors are taken in order. One that does not fit opens the next shard; one larger than the limit gets a shard of
    its own at once, before the one that is still open.
    """
    shards: list[list[int]] = []
    current: list[int] = []
    used = 0
    for number, size in enumerate(sizes):
        if size > limit:
            shards.append([number])
            continue
        if used + size > limit:
            shards.append(current)
            current, used = [], 0
        current.append(number)
        used += size
    if current:
        shards.append(current)
    return shards


def shard_names(basename: str, count: int) -> list[str]:
    """Return the names of a folder's weight files; a single one has no number."""
    if count == 1:
        return [f"{basename}.safetensors"]
    return [f"{basename}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
