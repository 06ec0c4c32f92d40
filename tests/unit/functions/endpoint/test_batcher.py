"""``functions.endpoint.batcher``: the queue, on a real event loop with lanes that finish when they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.endpoint.batcher import STUCK_AFTER_S, SWEEP_EVERY_S, Batcher, Policy, Waiting
from functions.endpoint.batches import Result, Work
from functions.endpoint.errors import EngineFailedError, QueueFullError
from functions.endpoint.lanes import Done
from functions.inference.predictor import BadInputError, Stop
from functions.protocol.errors import DeadlineError


class Flag:
    terminate = False


def answer(work: Work) -> Result:
    return {"y": work.inputs["x"] * 2}


class HandLane:
    """A lane that runs its batch when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.stops: list[Stop] = []
        self._now: tuple[Sequence[Work], Done] | None = None
        self.closed = False

    @property
    def is_busy(self) -> bool:
        return self._now is not None

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        assert self._now is None, "a lane runs one batch at a time"
        self.batches.append([float(value) for work in works for value in work.inputs["x"].reshape(-1)])
        self.stops.append(stop)
        self._now = (works, done)

    def at_once(self, _work: Work) -> Result | None:
        return None

    def finish(self, results: list[Result] | None = None) -> None:
        assert self._now is not None
        (works, done), self._now = self._now, None
        done(results or [answer(work) for work in works])

    def close(self) -> None:
        self.closed = True


class QuickLane(HandLane):
    """A lane that is done before it returns."""

    def start(self, works: Sequence[Work], stop: Stop, done: Done) -> None:
        super().start(works, stop, done)
        self.finish()

    def at_once(self, work: Work) -> Result | None:
        self.batches.append([float(value) for value in work.inputs["x"].reshape(-1)])
        return BadInputError("poisoned") if work.inputs["x"][0, 0] == 666 else answer(work)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def work(*values: float, width: int = 1) -> Work:
    return Work({"x": np.repeat(np.array(values, np.float32).reshape(-1, 1), width, axis=1)}, ("y",))


def batcher(*lanes: HandLane, **policy: Any) -> Batcher:
    return Batcher(lanes, Policy(**policy), new_stop=Flag)


def values(waiting: Waiting) -> list[float]:
    return [float(value) for value in waiting.future.result()["y"].reshape(-1)]


async def turn() -> None:
    """Let the loop do what it has to do."""
    for _ in range(4):
        await asyncio.sleep(0)


Test = Callable[[], Coroutine[Any, Any, None]]


def on_a_loop(test: Test) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@on_a_loop
async def test_requests_that_arrive_together_leave_together() -> None:
    lane = HandLane()
    queue = batcher(lane)
    waiting = [queue.submit(work(value)) for value in (1, 2, 3)]
    assert queue.depth == 3
    await turn()
    assert lane.batches == [[1, 2, 3]]
    assert (queue.depth, queue.running) == (0, 3)
    lane.finish()
    assert [values(one) for one in waiting] == [[2], [4], [6]]
    assert queue.running == 0


@on_a_loop
async def test_what_arrives_while_a_batch_runs_is_the_next_batch() -> None:
    lane = HandLane()
    queue = batcher(lane)
    queue.submit(work(1))
    await turn()
    queue.submit(work(2))
    queue.submit(work(3))
    await turn()
    assert lane.batches == [[1]]
    lane.finish()
    await turn()
    assert lane.batches == [[1], [2, 3]]


@on_a_loop
async def test_a_batch_has_at_most_max_batch_rows_and_a_larger_request_runs_alone() -> None:
    lane = HandLane()
    queue = batcher(lane, max_batch=3)
    for request in (work(1, 2), work(3), work(4), work(5, 6, 7, 8), work(9)):
        queue.submit(request)
    for _ in range(4):
        await turn()
        lane.finish()
        if not queue.depth:
            break
    await turn()
    if lane.is_busy:
        lane.finish()
    assert lane.batches == [[1, 2, 3], [4], [5, 6, 7, 8], [9]]


@on_a_loop
async def test_other_shapes_wait_for_a_run_of_their_own_oldest_first() -> None:
    lane = HandLane()
    queue = batcher(lane)
    queue.submit(work(1))
    await turn()
    for request in (work(2, width=2), work(3), work(4, width=2)):
        queue.submit(request)
    lane.finish()
    await turn()
    lane.finish()
    await turn()
    assert lane.batches == [[1], [2, 2, 4, 4], [3]]


@on_a_loop
async def test_nothing_is_joined_where_max_batch_is_1() -> None:
    lanes = HandLane(), HandLane()
    queue = batcher(*lanes, max_batch=1)
    for value in (1, 2, 3):
        queue.submit(work(value))
    await turn()
    assert sorted(batch for lane in lanes for batch in lane.batches) == [[1], [2]]
    assert queue.depth == 1


@on_a_loop
async def test_a_delay_waits_for_company_and_a_full_batch_does_not_wait() -> None:
    lane = HandLane()
    queue = batcher(lane, max_batch=2, max_queue_delay_s=0.05)
    queue.submit(work(1))
    await turn()
    assert lane.batches == []
    queue.submit(work(2))
    await turn()
    assert lane.batches == [[1, 2]]
    lane.finish()
    queue.submit(work(3))
    await turn()
    assert lane.batches == [[1, 2]]
    await asyncio.sleep(0.1)
    assert lane.batches == [[1, 2], [3]]


@on_a_loop
async def test_a_full_queue_refuses_and_keeps_nothing() -> None:
    lane = HandLane()
    queue = batcher(lane, queue_size=2)
    queue.submit(work(1))
    queue.submit(work(2))
    with pytest.raises(QueueFullError, match="2 requests wait"):
        queue.submit(work(3))
    await turn()
    assert lane.batches == [[1, 2]]
    queue.submit(work(4))
    assert queue.depth == 1


@on_a_loop
async def test_who_withdraws_leaves_the_queue_and_is_not_computed() -> None:
    lane = HandLane()
    queue = batcher(lane)
    first = queue.submit(work(1))
    await turn()
    gone, stays = queue.submit(work(2)), queue.submit(work(3))
    queue.withdraw(gone)
    queue.withdraw(gone)
    assert queue.depth == 1
    queue.withdraw(first)
    lane.finish()
    await turn()
    assert lane.batches == [[1], [3]]
    lane.finish()
    assert values(stays) == [6]
    assert gone.future.cancelled()
    assert first.future.cancelled()


@on_a_loop
async def test_who_waits_too_long_is_told_and_a_run_that_takes_too_long_is_stopped() -> None:
    lane, clock = HandLane(), Clock()
    stuck: list[str] = []
    queue = Batcher(
        [lane], Policy(timeout_s=5, max_batch=1), new_stop=Flag, on_stuck=stuck.append, clock=clock
    )
    running, queued = queue.submit(work(1)), queue.submit(work(2))
    await turn()
    clock.now += 6
    await asyncio.sleep(SWEEP_EVERY_S * 1.5)
    for waiting in (running, queued):
        assert isinstance(waiting.future.exception(), DeadlineError)
    assert lane.stops[0].terminate
    assert stuck == []
    clock.now += STUCK_AFTER_S + 1
    await asyncio.sleep(SWEEP_EVERY_S * 1.5)
    assert stuck
    lane.finish()
    assert queue.depth == 0


@on_a_loop
async def test_a_quick_lane_answers_at_once_where_nobody_else_is_there() -> None:
    lane = QuickLane()
    queue = batcher(lane)
    answered = queue.at_once(work(4), company=False)
    assert answered is not None
    assert answered["y"].tolist() == [[8]]
    assert queue.at_once(work(4), company=True) is None
    with pytest.raises(BadInputError, match="poisoned"):
        queue.at_once(work(666), company=False)
    queue.submit(work(1))
    assert queue.at_once(work(4), company=False) is None


@on_a_loop
async def test_nobody_waits_for_company_that_a_run_is_not_shared_with() -> None:
    assert batcher(QuickLane(), max_batch=1).at_once(work(1), company=True) is not None
    assert batcher(QuickLane(), max_queue_delay_s=1).at_once(work(1), company=False) is None
    assert batcher(HandLane()).at_once(work(1), company=False) is None


@on_a_loop
async def test_a_closed_queue_leaves_nobody_waiting() -> None:
    lane = HandLane()
    queue = batcher(lane, max_batch=1)
    queue.submit(work(1))
    await turn()
    left = queue.submit(work(2))
    queue.close()
    assert isinstance(left.future.exception(), EngineFailedError)
    assert lane.closed
    assert queue.depth == 0


@on_a_loop
async def test_every_run_is_told_with_its_rows_and_waits() -> None:
    lane, clock = HandLane(), Clock()
    told: list[tuple[int, list[float]]] = []
    queue = Batcher(
        [lane],
        Policy(),
        new_stop=Flag,
        on_batch=lambda rows, waits: told.append((rows, waits)),
        clock=clock,
    )
    queue.submit(work(1, 2))
    clock.now += 1
    queue.submit(work(3))
    await turn()
    assert told == [(3, [1.0, 0.0])]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 4), st.integers(1, 2)),
        st.tuples(st.just("withdraw"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("finish"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, max_batch=st.integers(1, 5), quick=st.booleans())
def test_whatever_arrives_in_whatever_order_everybody_gets_exactly_their_own_rows(
    steps: list[tuple[str, int, int]], max_batch: int, quick: bool
) -> None:
    asyncio.run(_anything(steps, max_batch, quick))


async def _anything(steps: list[tuple[str, int, int]], max_batch: int, quick: bool) -> None:
    lanes: list[HandLane] = [QuickLane()] if quick else [HandLane(), HandLane()]
    queue = batcher(*lanes, max_batch=max_batch, queue_size=8)
    asked: list[tuple[Waiting, list[float]]] = []
    next_value = iter(range(1, 10_000))
    for kind, number, width in steps:
        if kind == "submit":
            rows = [float(next(next_value)) for _ in range(number)]
            try:
                asked.append((queue.submit(work(*rows, width=width)), rows))
            except QueueFullError:
                assert queue.depth == 8
        elif kind == "withdraw" and asked:
            queue.withdraw(asked[number % len(asked)][0])
        elif kind == "finish" and lanes[number % len(lanes)].is_busy:
            lanes[number % len(lanes)].finish()
        else:
            await turn()
    await _finish_all(queue, lanes)
    for waiting, rows in asked:
        assert waiting.future.done()
        if not waiting.future.cancelled():
            assert waiting.future.result()["y"][:, 0].tolist() == [row * 2 for row in rows]
    computed = [value for lane in lanes for batch in lane.batches for value in batch]
    assert (queue.depth, queue.running) == (0, 0)
    widths = {row: waiting.work.inputs["x"].shape[1] for waiting, rows in asked for row in rows}
    assert all(computed.count(value) <= widths[value] for value in computed), "no row is computed twice"


async def _finish_all(queue: Batcher, lanes: Sequence[HandLane]) -> None:
    for _ in range(200):
        await turn()
        for lane in lanes:
            if lane.is_busy:
                lane.finish()
        if not queue.depth and not queue.running:
            return
    raise AssertionError("the queue does not get empty")
