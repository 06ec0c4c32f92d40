"""AWS Signature Version 4, from AWS's public description of it.

Source: IAM User Guide, "Create a signed AWS API request"; held against AWS's published test vectors in
``tests/unit/switchyard_client/test_signing.py``. Services other than S3 want every segment of the path
encoded once more than the request line has it; this is for those.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote_plus, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An AWS access key; the secrets never show in a log."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime | None = None,
) -> dict[str, str]:
    """Return ``headers`` and what makes them a signed request: date, token, authorization, host.

    Every header given is covered by the signature, so leave out what a proxy on the way may change. The
    signature is good for five minutes around ``now``.
    """
    when = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): value for name, value in headers.items()}
    signed.setdefault("host", _host(url))
    signed["x-amz-date"] = when
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    scope = f"{when[:8]}/{region}/{service}/aws4_request"
    canonical = canonical_request(method, url, signed, body)
    to_sign = "\n".join((ALGORITHM, when, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(
        _key(credentials.secret_key, when[:8], region, service), to_sign.encode(), hashlib.sha256
    ).hexdigest()
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return signed


def canonical_request(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """The one spelling of a request that both sides hash; ``headers`` have lower-case names."""
    parts = urlsplit(url)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
    return "\n".join(
        (
            method.upper(),
            _path(parts.path),
            _query(parts.query),
            *lines,
            "",
            ";".join(sorted(headers)),
            hashlib.sha256(body).hexdigest(),
        )
    )


def _host(url: str) -> str:
    """The host header an HTTP client sends: without the port that its scheme implies."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    implied = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return host.removesuffix(implied) if implied else host


def _path(path: str) -> str:
    if not path:
        return "/"
    normal = posixpath.normpath(path)
    if normal.startswith("//"):  # POSIX gives two slashes a meaning; URLs do not
        normal = normal[1:]
    if path.endswith("/") and not normal.endswith("/"):
        normal += "/"
    return quote(normal, safe="/~")


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    # A plus stays a space, as servers read it; then there is one way to write each character.
    encoded = [(_encoded(name), _encoded(value)) for name, _, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _encoded(text: str) -> str:
    return quote(unquote_plus(text), safe="-_.~")


def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
