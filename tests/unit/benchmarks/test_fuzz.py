"""``benchmarks.fuzz``: hostile bodies get an answer, and never a 5xx. ``python -m benchmarks.fuzz`` sends 100,000."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzz import Handler, hostile_events, make_handler, rss_mb, run


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[Handler]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield make_handler(tmp_path / "switchyard_model")
    asyncio.set_event_loop(None)
    loop.close()


def test_ten_thousand_hostile_bodies_are_answered_and_leave_nothing_behind(handler: Handler) -> None:
    run(handler, 2_000, seed=1)
    before = rss_mb()
    statuses = run(handler, 10_000, seed=2)
    assert set(statuses) <= {200, 400, 413, 422}
    assert min(statuses[200], statuses[400]) > 1_000, "bodies that all fail alike would try little"
    assert rss_mb() - before < 16


def test_a_fault_of_the_server_would_be_noticed(handler: Handler) -> None:
    def broken(event: object, context: object) -> dict[str, object]:
        return {**handler(event, context), "statusCode": 500}

    with pytest.raises(AssertionError, match="requestContext"):
        run(broken, 1, seed=3)


def test_the_same_seed_gives_the_same_bodies() -> None:
    def bodies(seed: int) -> list[object]:
        return [event["body"] for event in itertools.islice(hostile_events(seed), 50)]

    assert bodies(7) == bodies(7)
    assert bodies(7) != bodies(8)
