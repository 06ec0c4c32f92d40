"""Documents over https, with the certificates that the machine trusts."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from functions.authorizer.ports import NoDocumentError

TIMEOUT_S = 3.0
"""Two documents have to come well within the 10 s that the function has."""

MAX_BYTES = 256 * 1024


class HttpsDocuments:
    """One connection for each document; redirects are not followed, for where they lead nobody vouches."""

    def get(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise NoDocumentError(f"`{url}` is no https address")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
            try:
                connection.request("GET", path, headers={"accept": "application/json"})
                answer = connection.getresponse()
                body = answer.read(MAX_BYTES + 1)
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoDocumentError(f"`{url}` did not answer: {type(error).__name__}") from error
        if answer.status != http.client.OK or len(body) > MAX_BYTES:
            raise NoDocumentError(f"`{url}` answered {answer.status} and {len(body)} bytes")
        return _object(url, body)


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise NoDocumentError(f"`{url}` answered no JSON") from error
    if not isinstance(document, dict):
        raise NoDocumentError(f"`{url}` answered no JSON object")
    return document
