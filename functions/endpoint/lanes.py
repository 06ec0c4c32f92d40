"""Where batches run. A lane runs one batch at a time and says on the event loop when it is done.

``ThreadLane`` is for models that take their time: the loop goes on reading requests meanwhile.
``LoopLane`` is for models that are done before another thread would have been woken up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from functions.endpoint.batches import Result, Work
from functions.endpoint.errors import EngineFailedError
from functions.inference.predictor import Stop

STRIKES = 3
BY_FAR = 5
_FORGIVEN_AFTER = 1000

Run = Callable[[Sequence[Work], Stop | None], list[Result]]
Done = Callable[[list[Result]], None]


class Lane(Protocol):
    """One batch at a time. ``done`` is called on the event loop, once, also if everything failed."""

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None: ...

    def at_once(self, work: Work, /) -> Result | None:
        """Run one request before returning, if this lane can; ``None`` if it has to be started."""
        ...

    def close(self) -> None: ...


class ThreadLane:
    """A thread of its own that waits for batches.

    Whatever its code raises is the result of its requests, and the thread lives on. What is raised to end a
    thread (``SystemExit``) ends this one: its requests fail, and another thread takes the next batch. What
    waits in the queue does not hear of it.
    """

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._todo: queue.SimpleQueue[tuple[Sequence[Work], Stop, Done] | None] = queue.SimpleQueue()
        self._begin()

    def _begin(self) -> None:
        threading.Thread(target=self._work, name="switchyard-model", daemon=True).start()

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        self._todo.put((works, stop, done))

    def at_once(self, _work: Work) -> Result | None:
        """Never: the loop would stand still."""
        return None

    def close(self) -> None:
        self._todo.put(None)

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            works, stop, done = item
            results, died = _results(self._run, works, stop)
            if died:
                self._begin()
            try:
                self._loop.call_soon_threadsafe(done, results)
            except RuntimeError:
                return  # the loop has ended, and with it everybody who waited
            if died:
                return


class LoopLane:
    """Runs on the event loop itself: no thread to wake, and nothing else happens meanwhile.

    It is only as good as the promise that runs are quick, in processor time. A run that breaks it by far, or
    ``STRIKES`` among a thousand that break it at all, is the last one here: ``otherwise`` takes all that
    follow. One alone is not: a virtual machine loses a few milliseconds now and then, and a model that once
    left would stay away.
    """

    def __init__(self, run: Run, otherwise: Callable[[], Lane], *, most_s: float) -> None:
        self._run = run
        self._otherwise = otherwise
        self._most_s = most_s
        self._instead: Lane | None = None
        self._strikes = 0
        self._kept = 0

    @property
    def is_quick(self) -> bool:
        """Say whether the promise has held so far."""
        return self._instead is None

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        if self._instead is not None:
            self._instead.start(works, stop, done)
            return
        done(self._timed(works, stop))

    def at_once(self, work: Work, /) -> Result | None:
        return None if self._instead is not None else self._timed((work,), None)[0]

    def close(self) -> None:
        if self._instead is not None:
            self._instead.close()

    def _timed(self, works: Sequence[Work], stop: Stop | None) -> list[Result]:
        started = time.thread_time()
        results, died = _results(self._run, works, stop)
        # What would have ended a thread must not end the server: it goes where it can.
        took = time.thread_time() - started
        if died or (took > self._most_s and self._is_too_much(took)):
            self._instead = self._otherwise()
        elif self._strikes:
            self._kept += 1
            if self._kept > _FORGIVEN_AFTER:
                self._strikes = 0
        return results

    def _is_too_much(self, took: float) -> bool:
        self._strikes += 1
        self._kept = 0
        return self._strikes >= STRIKES or took > BY_FAR * self._most_s


def _results(run: Run, works: Sequence[Work], stop: Stop | None) -> tuple[list[Result], bool]:
    """What each request gets, and whether the worker is to end with this batch."""
    try:
        return run(works, stop), False
    except Exception as error:  # noqa: BLE001 - it is what the requests get
        return [error] * len(works), False
    except BaseException as error:  # noqa: BLE001 - SystemExit and its like: they end the worker, not the server
        failed = EngineFailedError("the worker that ran this request ended with it: try it again")
        failed.__cause__ = error
        return [failed] * len(works), True
