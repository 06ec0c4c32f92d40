"""JWT authorizers of HTTP APIs: who is let in, and what who is not let in hears.

Stock: fetches the issuer's configuration and keys and checks an RS256 signature, ``iss``, ``aud``, times and
scopes, but not the algorithm that a token names for itself; lets a token pass that never ends; says no
reason. AWS: "Control access to HTTP APIs with JWT authorizers" (RSA-based algorithms only; ``exp`` must lie
after the current time; ``client_id`` counts only where there is no ``aud``; one of the route's scopes), and
"Troubleshooting issues with HTTP API JWT authorizers" (``www-authenticate`` with the reason). Issuers are
asked over https with the certificates of ``SSL_CERT_FILE``, as Python's other programs do.
"""

from __future__ import annotations

import json
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from ministack.services import apigateway

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}

Verdict = tuple[dict[str, Any] | None, list[str] | None, Any]


class RefusedError(Exception):
    """A token that lets nobody in; the text goes into ``www-authenticate``."""


async def _validate(
    route: dict[str, Any], authorizer: dict[str, Any], headers: dict[str, str], query: dict[str, Any]
) -> Verdict:
    """Claims and scopes of the token, or the answer that refuses it."""
    token = apigateway._extract_token_from_identity_source(
        authorizer.get("identitySource", []), headers, query
    )
    if not token:
        return None, None, _refused(401, "Unauthorized", "Bearer")
    try:
        claims = await _verified(token, authorizer)
    except RefusedError as refused:
        reason = f'Bearer scope="" error="invalid_token" error_description="{refused}"'
        return None, None, _refused(401, "Unauthorized", reason)
    scopes = _scopes(claims)
    wanted = route.get("authorizationScopes") or []
    if wanted and not set(wanted) & set(scopes):
        reason = f'Bearer scope="{" ".join(wanted)}" error="insufficient_scope"'
        return None, None, _refused(403, "Forbidden", reason)
    return claims, scopes, None


async def _verified(token: str, authorizer: dict[str, Any]) -> dict[str, Any]:
    parts = token.split(".")
    try:
        header, claims = (json.loads(apigateway._b64url_decode(part)) for part in parts[:2])
        signature = apigateway._b64url_decode(parts[2])
        algorithm = _HASHES[header["alg"]]
        key = await _key(header["kid"], authorizer)
        key.verify(signature, ".".join(parts[:2]).encode(), padding.PKCS1v15(), algorithm)
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise RefusedError("the token cannot be read or its key is not known") from error
    except InvalidSignature as error:
        raise RefusedError("the signature of the token is invalid") from error
    _must_be_meant_for(authorizer, claims)
    return dict(claims)


async def _key(kid: str, authorizer: dict[str, Any]) -> rsa.RSAPublicKey:
    url = await apigateway._resolve_jwks_url(authorizer)
    keys = (await apigateway._fetch_jwks(url)).get("keys") or []
    found = next(key for key in [*keys, None] if key is None or key.get("kid") == kid)
    if found is None:
        raise KeyError(kid)
    n, e = (int.from_bytes(apigateway._b64url_decode(found[part]), "big") for part in ("n", "e"))
    return rsa.RSAPublicNumbers(e, n).public_key()


def _must_be_meant_for(authorizer: dict[str, Any], claims: dict[str, Any]) -> None:
    settings = authorizer.get("jwtConfiguration") or {}
    now = time.time()
    if claims.get("iss") != settings.get("issuer"):
        raise RefusedError("the token has an invalid issuer")
    audience = claims["aud"] if "aud" in claims else claims.get("client_id")
    if not set(audience if isinstance(audience, list) else [audience]) & set(settings.get("audience") or []):
        raise RefusedError("the token does not have a valid audience")
    try:
        ends, begins = float(claims["exp"]), max(float(claims.get(name, 0)) for name in ("nbf", "iat"))
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError("the token does not say when it ends") from error
    if ends <= now:
        raise RefusedError("the token has expired")
    if begins > now:
        raise RefusedError("the token is not valid yet")


def _scopes(claims: dict[str, Any]) -> list[str]:
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name) or []
        found |= set(value.split() if isinstance(value, str) else map(str, value))
    return sorted(found)


def _refused(status: int, message: str, reason: str) -> Any:
    headers = {"Content-Type": "application/json", "www-authenticate": reason}
    return status, headers, json.dumps({"message": message}).encode()


def install() -> None:
    """Replace what decides about tokens."""
    apigateway._validate_jwt_authorizer = _validate
