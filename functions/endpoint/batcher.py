"""The queue before the model, and who shares a run with whom.

Everything here happens on the event loop, so there is no lock and no race: requests are submitted,
withdrawn and expire between two runs of the loop, and only a finished batch comes from another thread,
through the loop.

A batch is what is there when a lane is free: at most ``max_batch`` rows with the same key. With
``max_queue_delay_s`` a free lane waits that long for company, counted from the oldest request. The lane
is given its batch at the end of the loop's turn, so requests that arrived together leave together.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from functions.endpoint.batches import Outputs, Result, Work, key_of, rows_of
from functions.endpoint.errors import EngineFailedError, QueueFullError
from functions.endpoint.lanes import Lane
from functions.inference.predictor import Stop
from functions.protocol.errors import DeadlineError

SWEEP_EVERY_S = 0.25

STUCK_AFTER_S = 10.0
"""A run that was told to stop and is still running after this long will not end."""


_NO_WAIT = [0.0]


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests wait. ``max_batch`` 1 joins nothing."""

    max_batch: int = 32
    max_queue_delay_s: float = 0.0
    queue_size: int = 512
    timeout_s: float = 55.0


class Waiting:
    """A request in the queue or in a run; its answer is ``future``."""

    __slots__ = ("arrived", "future", "key", "rows", "work")

    def __init__(
        self, work: Work, key: Hashable, rows: int, future: asyncio.Future[Outputs], arrived: float
    ) -> None:
        self.work = work
        self.key = key
        self.rows = rows
        self.future = future
        self.arrived = arrived


@dataclass(slots=True)
class _Group:
    """Requests that may share a run, oldest first."""

    alone: bool
    waiting: deque[Waiting] = field(default_factory=deque)
    rows: int = 0


@dataclass(slots=True)
class _Batch:
    waiting: list[Waiting]
    stop: Stop
    stopped: float | None = None


Observe = Callable[[int, list[float]], None]


class Batcher:
    """Give it to one event loop. ``on_batch`` hears of each batch: its rows, and how long each waited."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        policy: Policy,
        *,
        new_stop: Callable[[], Stop],
        on_batch: Observe = lambda _rows, _waits: None,
        on_stuck: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._lanes = lanes
        self._idle = list(lanes)
        self._policy = policy
        self._new_stop = new_stop
        self._on_batch = on_batch
        self._on_stuck = on_stuck
        self._clock = clock
        self._groups: dict[Hashable, _Group] = {}
        self._running: dict[int, _Batch] = {}
        self._alone = itertools.count()
        self._depth = 0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper = self._loop.call_later(SWEEP_EVERY_S, self._sweep)

    @property
    def depth(self) -> int:
        """Requests that wait for a lane."""
        return self._depth

    @property
    def running(self) -> int:
        """Requests that are being computed."""
        return sum(len(batch.waiting) for batch in self._running.values())

    def submit(self, work: Work) -> Waiting:
        """Queue a request. Raises ``QueueFullError``, and then keeps nothing of it."""
        if self._depth >= self._policy.queue_size:
            raise QueueFullError(f"{self._depth} requests wait already, and this server lets no more wait")
        key: Hashable = key_of(work) if self._policy.max_batch > 1 else None
        alone = key is None
        rows = 1 if alone else rows_of(work)
        if alone:
            key = next(self._alone)
        waiting = Waiting(work, key, rows, self._loop.create_future(), self._clock())
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(alone)
        group.waiting.append(waiting)
        group.rows += rows
        self._depth += 1
        if self._idle:
            self._schedule()
        return waiting

    def at_once(self, work: Work, *, company: bool) -> Outputs | None:
        """The answer without a queue, if nobody waits and the lane is quick; ``None`` means ``submit``.

        ``company`` says that other requests are on their way in, with which this one could share a run.
        Raises what the run raised.
        """
        policy = self._policy
        if self._groups or not self._idle or (policy.max_batch > 1 and (company or policy.max_queue_delay_s)):
            return None
        result = self._idle[-1].at_once(work)
        if result is None:
            return None
        self._on_batch(rows_of(work), _NO_WAIT)
        if isinstance(result, dict):
            return result
        raise result

    def withdraw(self, waiting: Waiting) -> None:
        """Nobody waits for this answer any more: take it out of the queue, or drop the answer when it comes.

        A run that has begun goes on, because others may share it. Safe to repeat.
        """
        waiting.future.cancel()
        group = self._groups.get(waiting.key)
        if group is not None and waiting in group.waiting:
            group.waiting.remove(waiting)
            self._left(group, waiting)

    def close(self) -> None:
        """Let the lanes go. What still waits is told that it will not be answered."""
        self._sweeper.cancel()
        if self._timer is not None:
            self._timer.cancel()
        gone = EngineFailedError("this server ended before the request was computed")
        for group in list(self._groups.values()):
            for waiting in list(group.waiting):
                _settle(waiting, gone)
        self._groups.clear()
        self._depth = 0
        for lane in self._lanes:
            lane.close()

    def _schedule(self) -> None:
        if self._groups and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._idle and self._groups:
            now = self._clock()
            group = min(self._groups.values(), key=_oldest) if len(self._groups) > 1 else self._only_group()
            if not self._is_due(group, now):
                group = next((each for each in self._groups.values() if self._is_due(each, now)), group)
            if not self._is_due(group, now):
                self._wait_for_company(now)
                return
            lanes_left = len(self._idle) - 1
            self._start(self._take(group), now)
            if len(self._idle) > lanes_left:
                # It ran right here. Whoever else waits for the loop comes before the next batch.
                self._schedule()
                return

    def _only_group(self) -> _Group:
        (group,) = self._groups.values()
        return group

    def _is_due(self, group: _Group, now: float) -> bool:
        return (
            group.alone
            or group.rows >= self._policy.max_batch
            or now - group.waiting[0].arrived >= self._policy.max_queue_delay_s
        )

    def _wait_for_company(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        oldest = min(group.waiting[0].arrived for group in self._groups.values())
        self._timer = self._loop.call_later(
            max(0.0, oldest + self._policy.max_queue_delay_s - now), self._dispatch
        )

    def _take(self, group: _Group) -> list[Waiting]:
        """The oldest of a group, as many as fit into one run; the first always does."""
        taken: list[Waiting] = []
        rows = 0
        while group.waiting and (not taken or rows + group.waiting[0].rows <= self._policy.max_batch):
            waiting = group.waiting.popleft()
            self._left(group, waiting)
            rows += waiting.rows
            taken.append(waiting)
        return taken

    def _left(self, group: _Group, waiting: Waiting) -> None:
        group.rows -= waiting.rows
        self._depth -= 1
        if not group.waiting:
            self._groups.pop(waiting.key, None)

    def _start(self, taken: list[Waiting], now: float) -> None:
        lane = self._idle.pop()
        batch = _Batch(taken, self._new_stop())
        self._running[id(lane)] = batch
        self._on_batch(sum(waiting.rows for waiting in taken), [now - each.arrived for each in taken])
        lane.start(
            [waiting.work for waiting in taken], batch.stop, lambda results: self._finished(lane, results)
        )

    def _finished(self, lane: Lane, results: list[Result]) -> None:
        batch = self._running.pop(id(lane))
        self._idle.append(lane)
        for waiting, result in zip(batch.waiting, results, strict=True):
            _settle(waiting, result)
        self._schedule()

    def _sweep(self) -> None:
        """Tell those who have waited too long, and stop what computes for too long."""
        self._sweeper = self._loop.call_later(SWEEP_EVERY_S, self._sweep)
        now = self._clock()
        seconds = self._policy.timeout_s
        late = DeadlineError(f"the model did not answer within {seconds:g} s")
        for group in list(self._groups.values()):
            while group.waiting and now - group.waiting[0].arrived > seconds:
                waiting = group.waiting.popleft()
                self._left(group, waiting)
                _settle(waiting, late)
        for batch in self._running.values():
            if now - batch.waiting[0].arrived > seconds and batch.stopped is None:
                batch.stop.terminate = True
                batch.stopped = now
                for waiting in batch.waiting:
                    _settle(waiting, late)
            if batch.stopped is not None and now - batch.stopped > STUCK_AFTER_S:
                self._on_stuck("a run does not end, though it was told to stop")


def _oldest(group: _Group) -> float:
    return group.waiting[0].arrived


def _settle(waiting: Waiting, result: Result) -> None:
    if waiting.future.done():
        return
    if isinstance(result, dict):
        waiting.future.set_result(result)
    else:
        waiting.future.set_exception(result)
