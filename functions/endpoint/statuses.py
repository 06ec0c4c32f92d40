"""The tables from errors to HTTP's and gRPC's codes. What the Lambda function answers too, it answers alike.

====================  ====  ==================  ===================================================
error                 HTTP  gRPC                why
====================  ====  ==================  ===================================================
QueueFullError        429   UNAVAILABLE         try again in a moment, or somewhere else
DrainingError         503   UNAVAILABLE         this server stops; the connection is closed
NotServingError       503   UNAVAILABLE         starting, or broken and about to be replaced
EngineFailedError     500   INTERNAL            a fault of this server
anything else         500   INTERNAL            a fault of this server
====================  ====  ==================  ===================================================

gRPC has a code for a full queue too, RESOURCE_EXHAUSTED, which clients take for a quota and do not repeat.
"""

from __future__ import annotations

from functions.endpoint.errors import DrainingError, EngineFailedError, NotServingError, QueueFullError
from functions.inference.predictor import BadInputError
from functions.inference.statuses import STATUS
from functions.protocol.errors import (
    BadRequestError,
    CloudUnavailableError,
    DeadlineError,
    NotReadyError,
    TooLargeError,
    UnknownModelError,
    UnknownUploadError,
    UnwritableOutputError,
)

HTTP: dict[type[Exception], int] = {
    **STATUS,
    QueueFullError: 429,
    DrainingError: 503,
    NotServingError: 503,
    EngineFailedError: 500,
}

GRPC: dict[type[Exception], str] = {
    BadRequestError: "INVALID_ARGUMENT",
    BadInputError: "INVALID_ARGUMENT",
    UnknownModelError: "NOT_FOUND",
    UnknownUploadError: "NOT_FOUND",
    TooLargeError: "INVALID_ARGUMENT",
    UnwritableOutputError: "FAILED_PRECONDITION",
    NotReadyError: "UNAVAILABLE",
    CloudUnavailableError: "UNAVAILABLE",
    DeadlineError: "DEADLINE_EXCEEDED",
    QueueFullError: "UNAVAILABLE",
    DrainingError: "UNAVAILABLE",
    NotServingError: "UNAVAILABLE",
    EngineFailedError: "INTERNAL",
}
"""Names of ``grpc.StatusCode``, so that a server without gRPC does not import it."""

OUTCOMES = ("ok", "refused", "queue_full", "unavailable", "too_late", "failed", "cancelled")
"""Everything that can become of a request, as the metrics call it. Bounded: law 11."""

_OUTCOME_OF = {200: "ok", 429: "queue_full", 503: "unavailable", 504: "too_late"}


def outcome_of(status: int) -> str:
    """What the metrics call an answer with this HTTP status."""
    return _OUTCOME_OF.get(status) or ("refused" if status < 500 else "failed")
