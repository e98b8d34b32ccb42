"""The 96 bits in the picture: a 64-bit id and a 32-bit check that depends on the key."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .convolution import coded_length

ID_PATTERN = re.compile(r"[0-9a-f]{16}")
ID_BITS, CHECK_BITS = 64, 32
PAYLOAD_BITS = ID_BITS + CHECK_BITS
CODED_BITS = coded_length(PAYLOAD_BITS)


def new_watermark_id() -> str:
    """A random id, 16 hex digits. Two of 6e8 ids coincide with a chance of 1 %."""
    return secrets.token_hex(ID_BITS // 8)


def check_watermark_id(watermark_id: str) -> str:
    """The id itself; raises InvalidInputError unless it is 16 lower-case hex digits."""
    if not ID_PATTERN.fullmatch(watermark_id):
        raise InvalidInputError(
            f"A watermark id is 16 lower-case hexadecimal digits, got {watermark_id[:40]!r}; "
            "new_watermark_id() makes one."
        )
    return watermark_id


def _check(identity: bytes, key: str) -> bytes:
    """32-bit keyed check (truncated HMAC-SHA-256): with a private key nobody else can forge an id."""
    return hmac.new(key.encode(), b"ggtalker id" + identity, hashlib.sha256).digest()[: CHECK_BITS // 8]


def pack(watermark_id: str, key: str) -> NDArray[np.uint8]:
    """The 96 payload bits of an id, [96] of 0/1."""
    identity = bytes.fromhex(check_watermark_id(watermark_id))
    return np.unpackbits(np.frombuffer(identity + _check(identity, key), np.uint8))


def unpack(bits: NDArray[np.uint8], key: str) -> str | None:
    """The id of 96 payload bits, or None when the check does not agree (chance 2^-32 for random bits)."""
    data = np.packbits(bits).tobytes()
    identity, check = data[: ID_BITS // 8], data[ID_BITS // 8 :]
    return identity.hex() if hmac.compare_digest(check, _check(identity, key)) else None
