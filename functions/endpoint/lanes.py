"""Where batches run. A lane runs one batch at a time and says on the event loop when it is done.

``ThreadLane`` is for models that take their time: the loop goes on reading requests meanwhile.
``LoopLane`` is for models that are done before another thread would have been woken up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from functions.endpoint.batches import Result, Work
from functions.inference.predictor import Stop

Run = Callable[[Sequence[Work], Stop | None], list[Result]]
Done = Callable[[list[Result]], None]


class Lane(Protocol):
    """One batch at a time. ``done`` is called on the event loop, once, also if everything failed."""

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None: ...

    def close(self) -> None: ...


class ThreadLane:
    """A thread of its own that waits for batches.

    If the thread's own code fails, its requests get that failure as their result, and the thread lives on:
    there is no moment in which nobody takes the next batch.
    """

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._todo: queue.SimpleQueue[tuple[Sequence[Work], Stop, Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="switchyard-model", daemon=True)
        self._thread.start()

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        self._todo.put((works, stop, done))

    def close(self) -> None:
        self._todo.put(None)

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            works, stop, done = item
            results = _results(self._run, works, stop)
            try:
                self._loop.call_soon_threadsafe(done, results)
            except RuntimeError:
                return  # the loop has ended, and with it everybody who waited


class LoopLane:
    """Runs on the event loop itself: no thread to wake, and nothing else happens meanwhile."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        done(_results(self._run, works, stop))

    def close(self) -> None:
        """Nothing to close."""


def _results(run: Run, works: Sequence[Work], stop: Stop) -> list[Result]:
    try:
        return run(works, stop)
    except Exception as error:  # noqa: BLE001 - it is what the requests get
        return [error] * len(works)
