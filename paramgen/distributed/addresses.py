"""The addresses of clusters: that of a scheduler, or a number of worker processes on this machine."""

from __future__ import annotations

import re

from paramgen.messages import must_be

MAX_LOCAL_WORKERS = 1024
_LOCAL = re.compile(r"local:(\d{1,4})", re.ASCII)
_SCHEDULER = re.compile(r"(?:(?:tcp|tls|ucx|wss?)://)?[^\s:/]+:\d{1,5}|(?:tcp|tls)://\[[^\s\]]+\]:\d{1,5}", re.ASCII)


def parse_address(text: str) -> int | str:
    """Return the number of workers of `local:N`, or the address of a scheduler. Raises ValueError for other texts."""
    if (match := _LOCAL.fullmatch(text)) and 1 <= int(match[1]) <= MAX_LOCAL_WORKERS:
        return int(match[1])
    if text.startswith("local:") or not _SCHEDULER.fullmatch(text):
        raise ValueError(must_be(f"HOST:PORT of a scheduler, or local:N with N from 1 to {MAX_LOCAL_WORKERS:,}", text))
    return text
