"""What this server is up to, told apart: starting, ready, draining, broken.

``/ping`` answers 200 for ready alone. A balancer needs no more; a person reads the word and the reason.
Draining stays draining: a server that was told to stop does not come back.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """The four states of a server."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    BROKEN = "broken"


class Health:
    """The state, and why. Changed on the event loop only."""

    def __init__(self) -> None:
        self.state = State.STARTING
        self.reason = "the model is being loaded and verified"

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    def ready(self) -> None:
        """The model answers. Says nothing to a server that is already on its way out."""
        if self.state is State.STARTING:
            self.state, self.reason = State.READY, ""

    def broken(self, reason: str) -> None:
        """Nothing here will answer again; whoever runs this server has to replace it."""
        if self.state is not State.DRAINING:
            self.state, self.reason = State.BROKEN, reason

    def draining(self) -> None:
        """Finish what was accepted and take nothing new."""
        self.state, self.reason = State.DRAINING, "this server is about to stop"
