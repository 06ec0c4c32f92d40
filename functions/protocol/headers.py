"""The one header that the protocol's binary tensor data extension adds to HTTP, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable

from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError

JSON_LENGTH = "inference-header-content-length"
_ENCODING = "content-encoding"

_TEXT = {"content-type": "application/json"}


def json_length(headers: Iterable[tuple[str, object]]) -> int | None:
    """How many bytes of the body are JSON, if the caller says so; names may be in any case.

    Raises ``BadRequestError`` for a length that is none, and for a compressed body, which would only look
    like a broken one further on.
    """
    length: int | None = None
    for name, value in headers:
        lower = name.lower()
        if lower == JSON_LENGTH:
            length = _number(value)
        elif lower == _ENCODING and value != "identity":
            raise BadRequestError(
                "the body is compressed, and is read as it is: leave `Content-Encoding` out"
            )
    return length


def retry_headers(error: Exception) -> dict[str, str]:
    """The header that says when to ask again, where an error knows (RFC 9110, "Retry-After")."""
    seconds = getattr(error, "retry_after_s", None)
    return {} if seconds is None else {"retry-after": str(seconds)}


def content_headers(encoded: Encoded) -> dict[str, str]:
    """The headers that say what an answer's body is."""
    if encoded.json_length is None:
        return _TEXT
    return {"content-type": "application/octet-stream", JSON_LENGTH: str(encoded.json_length)}


def _number(value: object) -> int:
    text = str(value).strip()
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    raise BadRequestError("the header `Inference-Header-Content-Length` has to be a whole number of bytes")
