"""The version of the random stream, and the id of each parameter's own stream."""

from hashlib import sha256
from struct import Struct

STREAM_VERSION = "philox4x32-v1"

_unpack_uint64 = Struct("<Q").unpack_from


def stream_id(name: str) -> int:
    """Return the 64-bit stream id of a parameter: the first 8 bytes, little-endian, of SHA-256 of its UTF-8 name."""
    stream: int = _unpack_uint64(sha256(name.encode()).digest())[0]
    return stream
