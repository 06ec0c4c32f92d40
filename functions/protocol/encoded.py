"""An answer as bytes, whoever wrote them: a model that was run here, or a server that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Work(NamedTuple):
    """What an inference was, for the log line and its metrics; nothing of what was in it.

    ``model_ms`` is how long the model ran or its endpoint was asked, in milliseconds; ``rows`` is ``None``
    where nobody here read the request.
    """

    model_ms: float
    rows: int | None
    request_bytes: int


class Encoded(NamedTuple):
    """An answer as it goes over the wire.

    ``json_length`` is set when binary data follow the JSON; it goes into the header
    ``Inference-Header-Content-Length``, and the content is then no text. ``work`` is there when a model ran
    for it.
    """

    body: bytes
    json_length: int | None = None
    work: Work | None = None

    @property
    def is_text(self) -> bool:
        return self.json_length is None


class Answered(NamedTuple):
    """An answer of another status than 200, or with headers of its own, which win over all others."""

    encoded: Encoded
    headers: Mapping[str, str]
    status: int = 200
