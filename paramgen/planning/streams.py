"""Where a parameter's random numbers come from: the version of the stream, and its id by the parameter's name."""

from hashlib import sha256

STREAM_VERSION = "philox4x32-v1"


def stream_id(name: str) -> int:
    """Return the 64-bit stream id of a parameter: the first 8 bytes, little-endian, of SHA-256 of its UTF-8 name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "little")
