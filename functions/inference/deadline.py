"""Answer before Lambda's deadline, or say that it cannot be done.

A function that is still computing when its time is up is killed without a word: the caller sees a 500,
and the next one pays for a cold start. So a run that may take too long is watched, and stopped while
there is still time to say so. Watching costs a thread, about as much as a whole small request; a run
that is surely quick enough goes without.

A run is stopped between two steps of the graph. One single step longer than the time left cannot be.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import onnxruntime as ort

from functions.inference.predictor import BadInputError
from functions.protocol.errors import DeadlineError, ProtocolError, TooLargeError

Result = TypeVar("Result")

MARGIN_S = 0.2
"""Kept for noticing, for the answer and for the log line."""

_SAFETY = 4.0
"""A processor shared with others may take that many times longer than it ever did."""


class Pace:
    """What this environment has learned about how long its model takes.

    Work is counted in golden samples, as elements of the inputs: the one size that is known to be
    ordinary. Small requests count as one.
    """

    def __init__(self, golden_elements: int) -> None:
        self._golden_elements = max(1, golden_elements)
        self.forget()

    def forget(self) -> None:
        """Start over: what was measured on another machine says nothing about this one."""
        self._slowest_s = math.inf
        self._too_much: tuple[int, float] | None = None

    def run(
        self, work: Callable[[ort.RunOptions | None], Result], elements: int, remaining_s: float | None
    ) -> Result:
        """Do ``work``; stop it and raise ``TooLargeError`` or ``DeadlineError`` if it takes too long.

        Nothing is kept of a run that was stopped, so the call may be repeated.
        """
        units = max(1, math.ceil(elements / self._golden_elements))
        started = time.perf_counter()
        if remaining_s is None or units * self._slowest_s * _SAFETY < remaining_s - MARGIN_S:
            result = work(None)
        else:
            result = self._watched(work, units, remaining_s - MARGIN_S)
        self._learn(units, time.perf_counter() - started)
        return result

    def _watched(self, work: Callable[[ort.RunOptions | None], Result], units: int, seconds: float) -> Result:
        if seconds <= 0 or self._surely_too_much(units, seconds):
            raise _too_slow(units, seconds)
        options = ort.RunOptions()
        options.log_severity_level = 4
        stop = threading.Timer(seconds, setattr, (options, "terminate", True))
        stop.daemon = True
        stop.start()
        try:
            return work(options)
        except BadInputError:
            if not options.terminate:
                raise
            # Of many rows it is the number that was too much. What one row took may be its values' doing, and
            # must not be held against the next caller's.
            if units > 1:
                self._too_much = (units, seconds)
            raise _too_slow(units, seconds) from None
        finally:
            stop.cancel()

    def _surely_too_much(self, units: int, seconds: float) -> bool:
        """Say whether a smaller run was stopped before, after as much time or more."""
        if self._too_much is None:
            return False
        stopped_units, stopped_s = self._too_much
        return units >= stopped_units and seconds <= stopped_s

    def _learn(self, units: int, seconds: float) -> None:
        each = seconds / units
        self._slowest_s = each if self._slowest_s == math.inf else max(each, self._slowest_s)


def _too_slow(units: int, seconds: float) -> ProtocolError:
    if units > 1:
        return TooLargeError(
            f"this request cannot be computed in the {max(0.0, seconds):.1f} s that are left for it: "
            "send fewer rows at once"
        )
    return DeadlineError(
        f"the model did not answer within the {max(0.0, seconds):.1f} s that were left for it"
    )
