"""Bytes as API Gateway and Lambda carry them: base64 in JSON, and no more than so many.

Decoding an image of 600 KB takes the standard library a millisecond, and ``pybase64`` a thirtieth of that.
The runtime layer carries it; it is imported with the first binary body, because many functions never see one.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable
from functools import cache

from functions.protocol.encoded import Encoded
from functions.protocol.errors import TooLargeError

_SURELY_FITS = 8
"""No character takes more bytes than this in Lambda's JSON, nor does base64."""


def must_fit(answer: Encoded, most: int) -> None:
    """Refuse an answer of more than ``most`` bytes as Lambda counts them.

    Above its limit Lambda fails the invocation, and the caller would see a 500 for a request that was fine.
    """
    if len(answer.body) * _SURELY_FITS > most and (size := _payload_bytes(answer)) > most:
        raise TooLargeError(
            f"the answer has {size} bytes, and at most {most} go through here: "
            "send fewer rows at once or ask for fewer `outputs`"
        )


def _payload_bytes(answer: Encoded) -> int:
    """Bytes that an answer takes in Lambda's own JSON: as an escaped string, or as base64."""
    if not answer.is_text:
        return math.ceil(len(answer.body) / 3) * 4
    return len(json.dumps(answer.body.decode()))


def from_base64(text: str) -> bytes:
    """The bytes that ``text`` stands for. Raises ``ValueError`` for anything but base64."""
    return _decoder()(text)


def to_base64(data: bytes) -> str:
    """The text that stands for ``data``."""
    return _encoder()(data)


@cache
def _decoder() -> Callable[[str], bytes]:
    try:
        import pybase64
    except ImportError:
        return lambda text: binascii.a2b_base64(text, strict_mode=True)
    return lambda text: bytes(pybase64.b64decode(text, validate=True))


@cache
def _encoder() -> Callable[[bytes], str]:
    try:
        import pybase64
    except ImportError:
        return lambda data: binascii.b2a_base64(data, newline=False).decode("ascii")
    return lambda data: str(pybase64.b64encode_as_string(data))
