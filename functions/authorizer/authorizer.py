"""The Lambda authorizer: from a token to API Gateway's leave, for every route of the stage alike.

API Gateway keeps an answer for a minute, by the token, so the leave is for the whole stage and not for the
path that was asked first. What it keeps no longer than that minute is a token that has just expired.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from functions.authorizer.keys import Keys
from functions.authorizer.ports import Documents
from functions.authorizer.tokens import BadTokenError, Wanted, claims_of
from model_store.contract.environment import JWT
from model_store.contract.errors import SwitchyardError

_BEARER = re.compile(r"[Bb]earer +(\S+)")
_METHOD_ARN = re.compile(r"(arn:aws[a-z-]*:execute-api:[a-z0-9-]+:[0-9]{12}:[a-z0-9]+/[^/]+)/.*", re.DOTALL)


class UnauthorizedError(Exception):
    """API Gateway answers 401 to an error of exactly this text, and 500 to every other one."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


class Authorizer:
    """The handler. Safe to ask again; what it fetched from the issuer stays for the next token."""

    def __init__(
        self,
        wanted: Wanted,
        documents: Documents,
        *,
        clock: Callable[[], float] = time.time,
        write_log: Callable[[str], object] = _to_stdout,
    ) -> None:
        self._wanted = wanted
        self._keys = Keys(wanted.issuer, documents)
        self._clock = clock
        self._write_log = write_log

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], documents: Documents) -> Authorizer:
        """Read ``SWITCHYARD_JWT``: {"issuer", "audience", "scopes"}. Raises ``SwitchyardError`` at start."""
        try:
            said = json.loads(environ[JWT])
            wanted = Wanted(str(said["issuer"]), frozenset(said["audience"]), frozenset(said["scopes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SwitchyardError(f"`{JWT}` does not say whose tokens are taken") from error
        return cls(wanted, documents)

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """API Gateway's leave or its refusal; raises ``UnauthorizedError`` for a token that is not good."""
        request_id = getattr(context, "aws_request_id", "unknown")
        try:
            stage = _stage_in(event)
            claims = claims_of(_token_in(event), self._wanted, self._keys, now=self._clock())
        except BadTokenError as refused:
            self._say(request_id, "unauthorized", str(refused))
            raise UnauthorizedError from None
        allowed = self._wanted.allows(claims)
        self._say(request_id, "allowed" if allowed else "denied", None if allowed else "none of the scopes")
        return _leave(claims, f"{stage}/*", allowed=allowed)

    def _say(self, request_id: str, outcome: str, why: str | None) -> None:
        line = {"request_id": request_id, "route": "authorizer", "outcome": outcome}
        self._write_log(json.dumps(line | ({"why": why} if why else {})) + "\n")


def _token_in(event: Mapping[str, Any]) -> str:
    found = _BEARER.fullmatch(str(event.get("authorizationToken") or ""))
    if found is None:
        raise BadTokenError("no token")
    return found[1]


def _stage_in(event: Mapping[str, Any]) -> str:
    found = _METHOD_ARN.fullmatch(str(event.get("methodArn")))
    if found is None:
        raise BadTokenError("no method of an API")
    return found[1]


def _leave(claims: Mapping[str, Any], resource: str, *, allowed: bool) -> dict[str, Any]:
    who = {name: claims[name] for name in ("iss", "sub", "client_id") if isinstance(claims.get(name), str)}
    return {
        "principalId": who.get("sub") or who.get("client_id") or "unnamed",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if allowed else "Deny",
                    "Resource": resource,
                }
            ],
        },
        "context": who,
    }
