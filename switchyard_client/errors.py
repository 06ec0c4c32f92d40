"""Everything a call can end in, in one tree.

ClientError
├── InputError              these arrays cannot be sent; nothing left this machine
├── CredentialsError        the API asks for IAM, and no credentials or region are known
├── UnreachableError        nobody answered: no connection, or it broke
│   └── TimedOutError       the answer did not come in time
├── UnreadableAnswerError   what answered does not speak the protocol
├── StillWaitingError       a queued request has no answer yet; it may have one later
└── RefusedError            the server answered with an error; ``status`` has its code
    ├── BadRequestError     400, 405, 415, 422: the request cannot mean anything for this model
    ├── AccessDeniedError   401, 403: these credentials may not call this
    ├── UnknownModelError   404: no such model or version is served there
    ├── TooLargeError       413: more than goes through, in either direction
    ├── ThrottledError      429: too many requests, also after waiting
    ├── NotReadyError       503: the model is not released, or cannot answer now
    └── ServerFaultError    any other 5xx: the server's own fault
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of every error this package raises on purpose.

    ``hint`` is one imperative sentence a person can act on, kept apart from the message.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(ClientError, ValueError):
    """The request cannot be written. It was not sent."""


class CredentialsError(ClientError):
    """A request could not be signed. It was not sent."""


class UnreachableError(ClientError, ConnectionError):
    """No answer came. The server may or may not have seen the request; inference is safe to repeat."""


class TimedOutError(UnreachableError, TimeoutError):
    """No answer came in time. Not repeated on its own: the next attempt would take as long."""


class UnreadableAnswerError(ClientError):
    """An answer came that is not one of the protocol's."""


class StillWaitingError(ClientError):
    """A queued request was not answered within the time given. It is not lost: ask for its result again."""


class RefusedError(ClientError):
    """The server answered with an error. ``status`` is HTTP's code, the message is the server's own."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BadRequestError(RefusedError, ValueError):
    """The model cannot be asked this. Sending it again changes nothing."""


class AccessDeniedError(RefusedError, PermissionError):
    """The caller is not known there, or may not call this."""


class UnknownModelError(RefusedError, LookupError):
    """The model, the alias or the version is not served there."""


class TooLargeError(RefusedError):
    """The request or its answer is more than the server carries."""


class ThrottledError(RefusedError):
    """Too many requests at once, still after every wait."""


class NotReadyError(RefusedError):
    """Nothing is released, or the model cannot answer now. The same call may work later."""


class ServerFaultError(RefusedError):
    """The server failed. Its log has the details."""


_BY_STATUS: dict[int, tuple[type[RefusedError], str]] = {
    401: (AccessDeniedError, "Give the client credentials: `auth=Iam()` or `auth=Bearer(token)`."),
    403: (
        AccessDeniedError,
        "Check that these credentials may `execute-api:Invoke`, and that this machine's clock is right.",
    ),
    404: (UnknownModelError, "Ask `metadata(model)` which version is served, and look at the address."),
    413: (
        TooLargeError,
        "Send fewer rows at once, or let the model hand large payloads off (`handoff = true`).",
    ),
    429: (ThrottledError, "Send fewer requests at once, or raise the stage's throttle."),
    503: (NotReadyError, "Release a version, or try again later."),
}


def refusal(status: int, message: str) -> RefusedError:
    """The error for an answer with this status."""
    if status in _BY_STATUS:
        kind, hint = _BY_STATUS[status]
        return kind(message, status=status, hint=hint)
    if status >= 500:
        return ServerFaultError(message, status=status, hint="Look at the function's log, then repeat.")
    return BadRequestError(
        message, status=status, hint="Compare the arrays with what `metadata(model)` says the model takes."
    )
