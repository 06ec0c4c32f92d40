"""AWS's signature, version 4, with the standard library. A test compares it with botocore's.

Source: AWS General Reference, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

_EARLY_S = 300.0
"""Credentials are renewed this long before they end."""

_CREDENTIALS_S = 2.0


class Credentials(NamedTuple):
    """Whoever signs; ``token`` belongs to a role's passing credentials."""

    key: str
    secret: str
    token: str = ""


class Signer:
    """Signs requests to one service in one region as whoever runs this process."""

    def __init__(
        self,
        service: str,
        region: str,
        credentials: Callable[[], Credentials],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._service = service
        self._region = region
        self._credentials = credentials
        self._now = now
        self._key: tuple[tuple[str, str], bytes] | None = None

    def headers(
        self, method: str, host: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """``headers`` with what makes the request a signed one."""
        who, at = self._credentials(), self._now()
        stamp, date = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
        signed = {"host": host, "x-amz-date": stamp, **headers}
        if who.token:
            signed["x-amz-security-token"] = who.token
        names = sorted(signed)
        listed = ";".join(names)
        canonical = "\n".join(
            [
                method,
                quote(path),
                "",
                *(f"{name}:{signed[name].strip()}" for name in names),
                "",
                listed,
                hashlib.sha256(body).hexdigest(),
            ]
        )
        scope = f"{date}/{self._region}/{self._service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(self._signing_key(who.secret, date), text.encode(), hashlib.sha256).hexdigest()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={who.key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _signing_key(self, secret: str, date: str) -> bytes:
        if self._key is None or self._key[0] != (secret, date):
            key = f"AWS4{secret}".encode()
            for part in (date, self._region, self._service, "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            self._key = (secret, date), key
        return self._key[1]


def credentials_from(environ: Mapping[str, str]) -> Callable[[], Credentials]:
    """Where a function's credentials are: in its environment, or with SnapStart at an address named there.

    Source: AWS Lambda developer guide, "Defined runtime environment variables" and "SnapStart", credentials.
    """
    if environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return _FromAddress(
            environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
        )
    found = Credentials(
        environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN", "")
    )
    return lambda: found


class _FromAddress:
    """Credentials that are fetched, and fetched again before they end."""

    def __init__(self, url: str, token: str) -> None:
        self._request = urllib.request.Request(url, headers={"Authorization": token} if token else {})  # noqa: S310 - Lambda's own address
        self._found: Credentials | None = None
        self._until = 0.0

    def __call__(self) -> Credentials:
        if self._found is None or time.time() > self._until - _EARLY_S:
            with urllib.request.urlopen(self._request, timeout=_CREDENTIALS_S) as answer:  # noqa: S310
                body = json.load(answer)
            self._found = Credentials(body["AccessKeyId"], body["SecretAccessKey"], body.get("Token", ""))
            self._until = datetime.fromisoformat(body["Expiration"]).timestamp()
        return self._found
