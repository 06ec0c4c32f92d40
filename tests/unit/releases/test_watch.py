"""``releases.watch``: what somebody who looks on sees of a shift."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.names import ByVersion
from releases.watch import DONE, NONE, PREPARING, SHIFTING, TAKEN_BACK, Look, follow, look
from tests.unit.releases.world import World


@pytest.fixture
def shifted(world: World) -> World:
    world.controller().release(ByVersion("digits", 1))
    return world


def now(world: World) -> Look:
    return look(world.stage(), "digits")


def test_before_any_shift_there_is_nothing_to_follow(shifted: World) -> None:
    found = now(shifted)
    assert (found.phase, found.is_over) == (NONE, True)
    assert found.before is not None
    assert found.before.version == 1


def test_a_shift_is_seen_preparing_then_step_by_step_then_done(shifted: World) -> None:
    seen: list[Look] = []
    shift = shifted.begin(2, 0.25, 0.5)
    seen.append(now(shifted))

    def between(at: dict[str, Any]) -> None:
        if at["next"] == "bake":
            shifted.traffic(40, errors=0)
            shifted.clock.sleep(1)
            seen.append(now(shifted))

    shifted.drive(shift, between)
    seen.append(now(shifted))
    assert [found.phase for found in seen] == [PREPARING, SHIFTING, SHIFTING, DONE]
    assert [found.tried.share for found in seen if found.tried] == [0.0, 0.25, 0.5, 1.0]
    assert [found.step for found in seen] == [0, 1, 2, 2]
    assert seen[1].tried is not None
    assert seen[1].tried.seen.requests == 40
    assert seen[2].tried is not None
    assert seen[2].tried.seen.requests == 40  # since this step began, not since the shift did


def test_a_shift_that_came_back_says_why(shifted: World) -> None:
    def between(at: dict[str, Any]) -> None:
        if at["next"] == "bake":
            shifted.traffic(40, errors=40)

    shifted.drive(shifted.begin(2, 0.5), between)
    found = now(shifted)
    assert found.phase == TAKEN_BACK
    assert "40 of 40 invocations failed" in found.said


def test_a_shift_that_failed_its_checks_says_why(shifted: World) -> None:
    shift = shifted.begin(2, 0.5)
    shifted.stage().shifts("digits", "live").end(shift.number, "it does not load", shifted.clock.now())
    assert (now(shifted).phase, now(shifted).said) == (TAKEN_BACK, "it does not load")


def test_a_shift_that_somebody_released_past_says_who(shifted: World) -> None:
    shifted.begin(2)
    shifted.controller(by="bob").flip(ByVersion("digits", 1), reason="pages")
    found = now(shifted)
    assert found.phase == TAKEN_BACK
    assert "overtaken by a release to digits:1 by bob" in found.said


def test_following_ends_with_the_shift(shifted: World) -> None:
    shift = shifted.begin(2, 0.5)
    seen = []
    for found in follow(shifted.stage(), "digits", every_s=1.0):
        seen.append(found.phase)
        if len(seen) == 3:
            shifted.drive(shift, lambda at: shifted.traffic(40) if at["next"] == "bake" else None)
    assert seen == [PREPARING] * 3 + [DONE]


def test_following_ends_when_its_time_is_over(shifted: World) -> None:
    shifted.begin(2, 0.5)
    assert len(list(follow(shifted.stage(), "digits", every_s=2.0, for_s=10.0))) == 6


def test_looking_changes_nothing(shifted: World) -> None:
    shifted.begin(2, 0.5)
    before = list(shifted.store.keys(""))
    now(shifted)
    assert list(shifted.store.keys("")) == before
    assert now(shifted).as_json()["phase"] == PREPARING
