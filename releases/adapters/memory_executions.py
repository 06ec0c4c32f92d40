"""Step Functions in memory: obeys the laws of ``releases.ports.Executions``, and can be driven by hand.

``drive`` plays the state machine: it goes from state to state as the deployed one does, and waits on
the clock that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from releases.ports import Clock

At = dict[str, Any]

FINAL = ("done", "taken-back", "superseded")
WAITING = {"bake": "look", "hold": "look"}


class MemoryExecutions:
    """``releases.ports.Executions`` without AWS."""

    def __init__(self) -> None:
        self.started: dict[str, At] = {}
        self.ended: dict[str, str] = {}

    def start(self, name: str, at: At) -> None:
        self.started.setdefault(name, json.loads(json.dumps(at)))

    def running(self, name: str) -> bool:
        return name in self.started and name not in self.ended

    def end(self, name: str, reason: str) -> None:
        if name in self.started:
            self.ended.setdefault(name, reason)

    def drive(
        self,
        name: str,
        step: Callable[[str, At], At],
        clock: Clock,
        *,
        between: Callable[[At], None] = lambda _: None,
    ) -> At:
        """Run the execution to its end and return its last data; an error takes the way back.

        ``between`` happens after every state, before the next.
        """
        at, do = self.started[name], "prepare"
        while True:
            try:
                at = json.loads(json.dumps(step(do, at)))
            except Exception as error:  # a state machine catches what its task raises
                if do == "back":
                    self.ended[name] = "FAILED"
                    raise
                cause = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
                at = {**at, "error": {"Error": type(error).__name__, "Cause": cause}, "next": "back"}
            between(at)
            if name in self.ended:
                return at
            if at["next"] in FINAL:
                self.ended[name] = "SUCCEEDED" if at["next"] == "done" else "FAILED"
                return at
            if at["next"] in WAITING:
                clock.sleep(float(at["wait_s"]))
            do = WAITING.get(at["next"], str(at["next"]))
