"""``functions.endpoint.lanes``: where batches run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from functions.endpoint.batches import Result, Work
from functions.endpoint.lanes import BY_FAR, STRIKES, Lane, LoopLane, ThreadLane
from functions.inference.predictor import Stop


class Flag:
    terminate = False


WORK = Work({"x": np.ones((1, 1))}, ("y",))


def echo(works: Sequence[Work], stop: Stop | None) -> list[Result]:
    return [{"thread": np.array(threading.get_ident())} for _ in works]


def burn(works: Sequence[Work], stop: Stop | None) -> list[Result]:
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass
    return echo(works, stop)


def fail(works: Sequence[Work], stop: Stop | None) -> list[Result]:
    raise RuntimeError("lost")


async def through(lane: Lane, works: Sequence[Work] = (WORK,)) -> list[Result]:
    done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
    lane.start(works, Flag(), done.set_result)
    return await asyncio.wait_for(done, 5)


def thread_of(result: Result) -> int:
    assert isinstance(result, dict)
    return int(result["thread"])


def test_a_thread_lane_runs_beside_the_loop_and_answers_on_it() -> None:
    async def test() -> None:
        lane = ThreadLane(echo, asyncio.get_running_loop())
        results = await through(lane, (WORK, WORK))
        assert len(results) == 2
        assert thread_of(results[0]) != threading.get_ident()
        assert lane.at_once(WORK) is None
        lane.close()

    asyncio.run(test())


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_a_lane_outlives_a_failure_and_everybody_in_it_hears_of_it(kind: str) -> None:
    calls = iter([fail, echo])

    def run(works: Sequence[Work], stop: Stop | None) -> list[Result]:
        return next(calls)(works, stop)

    async def test() -> None:
        lane: Lane
        if kind == "thread":
            lane = ThreadLane(run, asyncio.get_running_loop())
        else:
            lane = LoopLane(run, lambda: pytest.fail("not slow"), most_s=1)
        assert [type(result) for result in await through(lane, (WORK, WORK))] == [RuntimeError, RuntimeError]
        assert isinstance((await through(lane))[0], dict)
        lane.close()

    asyncio.run(test())


def test_a_loop_lane_runs_where_it_is_called() -> None:
    async def test() -> None:
        lane = LoopLane(echo, lambda: pytest.fail("not slow"), most_s=1)
        assert thread_of((await through(lane))[0]) == threading.get_ident()
        result = lane.at_once(WORK)
        assert result is not None
        assert thread_of(result) == threading.get_ident()
        assert lane.is_quick
        lane.close()

    asyncio.run(test())


def test_one_run_that_is_a_little_slow_is_forgiven_and_three_are_not() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        lane = LoopLane(burn, lambda: ThreadLane(echo, loop), most_s=0.018)
        for _ in range(STRIKES - 1):
            lane.at_once(WORK)
            assert lane.is_quick
        lane.at_once(WORK)
        assert not lane.is_quick
        lane.close()

    asyncio.run(test())


def test_a_run_that_is_slow_by_far_is_the_last_one_on_the_loop() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        lane = LoopLane(burn, lambda: ThreadLane(echo, loop), most_s=0.02 / BY_FAR / 2)
        assert thread_of((await through(lane))[0]) == threading.get_ident()
        assert not lane.is_quick
        assert lane.at_once(WORK) is None
        assert thread_of((await through(lane))[0]) != threading.get_ident()
        lane.close()

    asyncio.run(test())
