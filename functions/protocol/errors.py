"""What can be wrong with a call, in one tree.

SwitchyardError
├── BadInputError               tensors of the right kind that the model itself refuses
└── ProtocolError
    ├── BadRequestError         the request cannot mean anything for this model; the caller can fix it
    ├── UnknownModelError       another model, or another version of it, is served here
    ├── UnknownUploadError      a request names an upload that is not there for this caller
    ├── NotReadyError           nothing is released here yet; the same call may work later
    ├── TooLargeError           the request or its answer does not fit through here, in bytes, rows or time
    ├── CloudUnavailableError   a service that this call needs did not answer; the same call may work later
    ├── QueueFullError          too many are asking at once; the same call works a moment later
    ├── DeadlineError           an ordinary request was not computed in time
    └── UnwritableOutputError   the model answered what JSON cannot carry (NaN, infinity)

No status codes in here: they belong to the HTTP skin, ``functions.inference.statuses``.
"""

from __future__ import annotations

from model_store.contract.errors import SwitchyardError


class BadInputError(SwitchyardError, ValueError):
    """These arrays do not go through the model. The caller can fix it."""


class ProtocolError(SwitchyardError):
    """A call that gets an answer, but not the one it asked for."""

    retry_after_s: int | None = None
    """In how many seconds the same call is worth repeating, if that is known. The answer says it."""


class BadRequestError(ProtocolError, ValueError):
    """The request is malformed, or its tensors are not the ones the model takes."""


class UnknownModelError(ProtocolError, LookupError):
    """The model or the version in the path is not the one that is served."""


class UnknownUploadError(ProtocolError, LookupError):
    """Nothing is stored under that name, or it is too old, or it is another caller's."""


class CloudUnavailableError(ProtocolError):
    """A service that this call needs could not answer. The same call may work later."""


class QueueFullError(ProtocolError):
    """Whoever computes has as much to do as it takes on. The same call may work a moment later."""

    retry_after_s = 1


class NotReadyError(ProtocolError):
    """The function is up, and no version of its model is released yet."""


class TooLargeError(ProtocolError):
    """More bytes than Lambda carries, more rows than the model takes at once, or more than its time allows.

    The same call fails again; a smaller one goes through.
    """


class DeadlineError(ProtocolError):
    """A request no larger than the golden sample was not computed in time; the same call may work later."""


class UnwritableOutputError(ProtocolError):
    """The request was understood and computed, and the result has no JSON form.

    JSON has no NaN and no infinity, and this project never emits JSON that a strict parser refuses.
    """
