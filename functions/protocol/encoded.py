"""An answer as bytes, whoever wrote them: a model that was run here, or a server that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Encoded(NamedTuple):
    """An answer as it goes over the wire.

    ``json_length`` is set when binary data follow the JSON; it goes into the header
    ``Inference-Header-Content-Length``, and the content is then no text.
    """

    body: bytes
    json_length: int | None = None

    @property
    def is_text(self) -> bool:
        return self.json_length is None


class Answered(NamedTuple):
    """An answer of another status than 200, or with headers of its own, which win over all others."""

    encoded: Encoded
    headers: Mapping[str, str]
    status: int = 200
