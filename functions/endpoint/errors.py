"""What only a server with a queue can answer.

ProtocolError (``functions.protocol.errors``)
├── QueueFullError      more requests wait than this server lets wait; the same call may work in a moment
├── DrainingError       this server is about to stop and takes nothing new; another one takes it
├── NotServingError     the model is still loading, or it is broken and this server waits to be replaced
└── EngineFailedError   the engine failed in a way that no input explains
"""

from __future__ import annotations

from functions.protocol.errors import ProtocolError
from functions.protocol.errors import QueueFullError as QueueFullError


class DrainingError(ProtocolError):
    """The server was told to stop: it finishes what it has accepted and takes nothing new."""


class NotServingError(ProtocolError):
    """There is no model to ask: not yet, or not any more."""


class EngineFailedError(ProtocolError):
    """The model did not run, and the request is not known to be the reason."""
