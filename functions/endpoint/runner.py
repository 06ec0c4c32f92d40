"""Runs batches and keeps an eye on the engine: one bad request is a caller's, an engine that fails is ours.

After a failure the golden sample, which this version is known to answer, says who is to blame. If it goes
through, the request was at fault. If it does not, nothing will: a GPU in a bad state fails every call until
the process is replaced, so the server reports itself broken and whoever runs it does that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from functions.endpoint.batches import Result, Work, run
from functions.endpoint.errors import EngineFailedError
from functions.inference.predictor import BadInputError, Engine, Stop
from model_store.contract.errors import SwitchyardError

Report = Callable[[str], None]

PROBE_EVERY_S = 1.0
"""Golden runs cost time; a caller who sends rubbish all day buys no more than this many."""


class Runner:
    """Called from worker threads. ``on_broken`` is told once, from whichever thread finds out."""

    def __init__(
        self,
        engine: Engine,
        golden: Work | None,
        *,
        on_broken: Report,
        on_failure: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._golden = golden
        self._on_broken = on_broken
        self._on_failure = on_failure
        self._clock = clock
        self._lock = threading.Lock()
        self._probed = -PROBE_EVERY_S

    def __call__(self, works: Sequence[Work], stop: Stop | None) -> list[Result]:
        """One result per request; an exception among them is one that a caller may be told."""
        results = run(self._engine, works, stop)
        if any(isinstance(result, Exception) for result in results):
            results = [self._tellable(result) for result in results]
            if stop is None or not stop.terminate:
                self._suspect()
        return results

    def _tellable(self, result: Result) -> Result:
        if isinstance(result, dict | SwitchyardError):
            return result
        self._on_failure(result)
        failed = EngineFailedError("the engine failed on this request: the server's log has the details")
        failed.__cause__ = result
        return failed

    def _suspect(self) -> None:
        with self._lock:
            now = self._clock()
            if self._golden is None or now - self._probed < PROBE_EVERY_S:
                return
            self._probed = now
        try:
            self._engine(self._golden.inputs, self._golden.outputs)
        except BadInputError as error:
            self._on_broken(f"the model refuses its own golden sample: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, this engine is done for
            self._on_failure(error)
            self._on_broken("the engine fails on the golden sample")
