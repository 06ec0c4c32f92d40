"""How a request proves who sends it: IAM, a bearer token, or nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from switchyard_client.errors import CredentialsError
from switchyard_client.signing import Credentials, sign

SERVICE = "execute-api"

_API_HOST = re.compile(r"[a-z0-9-]+\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")

Provider = Callable[[], Credentials]
"""Asked before every request, so that credentials which are renewed in between are the new ones."""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """For an API without authorisation, or behind ``yard proxy``."""

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002
        """The headers as they are."""
        return headers


@dataclass(frozen=True, slots=True)
class Bearer:
    """For an API with a JWT authorizer; ``token`` is the token or a function that fetches it."""

    token: str | Callable[[], str] = field(repr=False)

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002
        """The headers with the token among them."""
        token = self.token if isinstance(self.token, str) else self.token()
        return {**headers, "authorization": f"Bearer {token}"}


@dataclass(slots=True)
class Iam:
    """For an API that asks for IAM: every request is signed for ``execute-api``.

    Without ``credentials`` they are found as AWS's tools find them if botocore is installed, and in the
    environment if it is not. Without ``region`` it is the one in the API's address, then the
    environment's.
    """

    credentials: Credentials | Provider | None = None
    region: str | None = None
    _provider: Provider | None = field(default=None, init=False, repr=False)

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers with a signature over all of them and the body."""
        return sign(
            method,
            url,
            headers,
            body,
            credentials=self._current(),
            region=self.region or region_of(url),
            service=SERVICE,
        )

    def _current(self) -> Credentials:
        if isinstance(self.credentials, Credentials):
            return self.credentials
        if self._provider is None:
            self._provider = self.credentials or find_credentials()
        return self._provider()


@dataclass(frozen=True, slots=True)
class Keyed:
    """For an API that also asks for a caller's key: ``inner``'s proof, and the key beside it.

    ``key`` is the key or a function that fetches it. It says who counts, not who may: that is ``inner``'s.
    """

    inner: Anonymous | Bearer | Iam
    key: str | Callable[[], str] = field(repr=False)

    def headers(self, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers of ``inner`` with the key among them."""
        return {**self.inner.headers(method, url, headers, body), **self.key_header()}

    def key_header(self) -> dict[str, str]:
        """The key alone."""
        return {KEY_HEADER: self.key if isinstance(self.key, str) else self.key()}


Auth = Anonymous | Bearer | Iam | Keyed
AuthWord = Literal["none", "iam", "jwt"]

KEY_HEADER = "x-api-key"
KEY = "SWITCHYARD_API_KEY"
KEY_FILE = "SWITCHYARD_API_KEY_FILE"

TOKEN = "SWITCHYARD_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "SWITCHYARD_TOKEN_FILE"  # noqa: S105


def with_key(auth: Auth, api_key: str | Callable[[], str] | None) -> Auth:
    """The same with a caller's key, if there is one."""
    if api_key is None or isinstance(auth, Keyed):
        return auth
    return Keyed(auth, api_key)


def key_of_environment() -> str:
    """The key in ``SWITCHYARD_API_KEY``, else in the file that ``SWITCHYARD_API_KEY_FILE`` names."""
    if key := os.environ.get(KEY):
        return key
    if file := os.environ.get(KEY_FILE):
        return one_line_of(file, "key")
    raise CredentialsError(
        "this API asks for a caller's key and none is known",
        hint=f"Set {KEY}, or {KEY_FILE} to a file that holds one, or give `api_key`.",
    )


def auth_of(given: Auth | AuthWord) -> Auth:
    """``"none"``, ``"iam"`` and ``"jwt"`` (the environment's token) are short for what one mostly wants."""
    if given == "none":
        return Anonymous()
    if given == "iam":
        return Iam()
    if given == "jwt":
        return Bearer(token_of_environment)
    return given


def token_of_environment() -> str:
    """The token in ``SWITCHYARD_TOKEN``, else in the file that ``SWITCHYARD_TOKEN_FILE`` names.

    The file is read for every request: whoever renews tokens writes the new one there.
    """
    if token := os.environ.get(TOKEN):
        return token
    if file := os.environ.get(TOKEN_FILE):
        return token_of_file(file)
    raise CredentialsError(
        "this API asks for a token and none is known",
        hint=f"Set {TOKEN}, or {TOKEN_FILE} to a file that holds one, or give `Bearer(token)`.",
    )


def token_of_file(path: str) -> str:
    """The one line of a file."""
    return one_line_of(path, "token")


def one_line_of(path: str, what: str) -> str:
    """The one word of a file that holds a secret; no error names more of it than its address."""
    hint = f"Write the {what} into it, and nothing else."
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            secret = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"the {what}'s file `{path}` cannot be read", hint=hint) from error
    if secret and not secret.split()[1:]:
        return secret
    raise CredentialsError(f"the file `{path}` does not hold one {what}", hint=hint)


def region_of(url: str) -> str:
    """The region an API stands in: in its address, else the environment's, else the profile's."""
    if found := _API_HOST.fullmatch(urlsplit(url).hostname or ""):
        return found["region"]
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _region_of_profile()
    if region:
        return region
    raise CredentialsError(
        f"no AWS region is known for `{url}`", hint="Set AWS_REGION, or give `Iam(region=...)`."
    )


def _region_of_profile() -> str | None:
    try:
        import botocore.session
    except ImportError:
        return None
    region = botocore.session.get_session().get_config_variable("region")
    return str(region) if region else None


def find_credentials() -> Provider:
    """Credentials as AWS's own tools find them (profiles, SSO, roles), or the environment's.

    The former needs botocore, which this package does not depend on.
    """
    try:
        import botocore.session
    except ImportError:
        return credentials_of_environment
    found = botocore.session.get_session().get_credentials()
    if found is None:
        return credentials_of_environment

    def current() -> Credentials:
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    return current


def credentials_of_environment() -> Credentials:
    """What ``AWS_ACCESS_KEY_ID`` and its companions say."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)
    raise CredentialsError(
        "this API asks for IAM and no AWS credentials are known",
        hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give `Iam(credentials=...)`, "
        "or install botocore for profiles and roles.",
    )
