"""The version of the random stream, and the id of each parameter's own stream."""

from hashlib import sha256

STREAM_VERSION = "philox4x32-v1"


def stream_id(name: str) -> int:
    """Return the 64-bit stream id of a parameter: the first 8 bytes, little-endian, of SHA-256 of its UTF-8 name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "little")
