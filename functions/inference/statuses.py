"""The one table from errors to status codes, whichever way a request takes.

=====================  ======  =====================================================================
error                  status  why
=====================  ======  =====================================================================
BadRequestError        400     the request cannot mean anything for this model
BadInputError          400     the tensors are of the right kind, and the model still refuses them
UnknownModelError      404     that model or version is not what is served here
UnknownUploadError     404     no upload of this caller has that name, or it is gone
TooLargeError          413     more bytes, more rows or more work than go through here at once
UnwritableOutputError  422     understood and computed; the result is NaN, which JSON cannot carry
NotReadyError          503     nothing is released yet
CloudUnavailableError  503     S3, or the endpoint that a gateway asks, did not answer
QueueFullError         429     a model's queue is full, says whoever keeps it
DeadlineError          504     a request of ordinary size was not computed in time
anything else          500     a fault of this server, never of what a caller sends
=====================  ======  =====================================================================

NaN is a 422 and not a 500 because the caller's values decide it: a 5xx would let one caller's odd
inputs trip the alarms that undo a release. It is not a 400 because the request is well formed, so the
two can be counted apart. A version that *always* answers NaN fails its golden check and is not released.

Time is told apart by size, for the same reason. Who sends more than the golden sample and runs out of
time hears 413, as for every other "send less at once"; a version that is too slow for what its own
golden sample is like hears 504, and that is what alarms are for.
"""

from __future__ import annotations

from functions.protocol.errors import (
    BadInputError,
    BadRequestError,
    CloudUnavailableError,
    DeadlineError,
    NotReadyError,
    QueueFullError,
    TooLargeError,
    UnknownModelError,
    UnknownUploadError,
    UnwritableOutputError,
)

STATUS: dict[type[Exception], int] = {
    BadRequestError: 400,
    BadInputError: 400,
    UnknownModelError: 404,
    UnknownUploadError: 404,
    TooLargeError: 413,
    UnwritableOutputError: 422,
    NotReadyError: 503,
    CloudUnavailableError: 503,
    QueueFullError: 429,
    DeadlineError: 504,
}
