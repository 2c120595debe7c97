"""Where a parameter's random numbers come from: the version of the stream, and its id by the parameter's name."""

import hashlib

STREAM_VERSION = "philox4x32-v1"


def stream_id(name: str) -> int:
    """Return the 64-bit stream id of a parameter: the first 8 bytes, little-endian, of SHA-256 of its UTF-8 name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
