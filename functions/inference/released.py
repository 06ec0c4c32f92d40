"""What the doors need to know of a function: what it serves, and whom to ask.

A function that runs its model (``functions.inference.served``) and one that passes requests on
(``functions.gateway``) have the same doors. So these know neither an engine nor an endpoint, and import
nothing that only one of the two needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from functions.inference.limits import Limits
from functions.protocol.encoded import Encoded
from functions.protocol.errors import NotReadyError, UnknownModelError
from functions.protocol.words import quoted
from model_store.contract.manifest import Golden, Manifest


class Released(Protocol):
    """A released version, ready to be asked.

    ``labels`` go into every log line, ``headers`` into every answer, so that a bad prediction can be
    traced to the release that made it. ``golden`` reads the golden sample with its values.
    """

    @property
    def model(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...

    @property
    def golden(self) -> Callable[[], Golden]: ...

    @property
    def labels(self) -> dict[str, str]: ...

    @property
    def headers(self) -> dict[str, str]: ...


class Unreleased(NamedTuple):
    """A function that ``cdk deploy`` made and no release has reached yet."""

    model: str

    @property
    def labels(self) -> dict[str, str]:
        return {"model": self.model, "version": ""}

    @property
    def headers(self) -> dict[str, str]:
        return {}


class Service(Protocol):
    """The protocol's model calls. Raises ``ProtocolError`` and ``BadInputError``, and is safe to repeat."""

    @property
    def served(self) -> Released | Unreleased: ...

    @property
    def limits(self) -> Limits: ...

    def select(self, model: str | None = None, version: str | None = None) -> Released:
        """The served version, if it is the one that the caller names; nothing named is whatever is served."""

    def must_be_ready(self) -> None:
        """Raise ``NotReadyError`` or ``CloudUnavailableError`` if an inference could not be answered now."""

    def metadata(self, model: str, version: str | None = None) -> dict[str, Any]: ...

    def infer(
        self,
        body: bytes | str,
        model: str,
        version: str | None = None,
        *,
        json_length: int | None = None,
        remaining_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Encoded: ...

    def must_fit(self, answer: Encoded) -> None:
        """Refuse an answer that Lambda would not carry."""


AnyReleased = TypeVar("AnyReleased", bound=Released)


def selected(served: AnyReleased | Unreleased, model: str | None, version: str | None) -> AnyReleased:
    """What is served, if it is what the caller names.

    Raises ``UnknownModelError`` for something else, and ``NotReadyError`` before the first release.
    """
    if model is not None and model != served.model:
        raise UnknownModelError(f"no model {quoted(model)} is served here, this is `{served.model}`")
    if isinstance(served, Unreleased):
        raise NotReadyError(f"no version of {served.model} is released yet")
    live = served.manifest.version
    if version is not None and version != str(live):
        raise UnknownModelError(
            f"version {quoted(version)} of {served.model} is not served here, version {live} is"
        )
    return served
