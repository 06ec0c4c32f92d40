"""Bytes as API Gateway and Lambda carry them: base64 in JSON.

Decoding an image of 600 KB takes the standard library a millisecond, and ``pybase64`` a thirtieth of that.
The runtime layer carries it; it is imported with the first binary body, because many functions never see one.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import cache


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
