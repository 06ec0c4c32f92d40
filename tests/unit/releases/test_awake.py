"""``releases.awake``: what serves and what a rollback would go to can answer, or somebody hears that it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.keys import awake_prefix
from model_store.contract.names import ByVersion
from releases.adapters.memory import MemoryFunctions
from releases.awake import Asked, Round, keep_awake, keep_model_awake, newest, targets_of
from releases.ports import FunctionConfig
from releases.records import timestamp
from tests.unit.releases.world import STAGE, Around, World, honest, respond

FUNCTION = function_name(STAGE, "digits")
DAY_S = 24 * 3600.0


@pytest.fixture
def asked() -> list[str]:
    """Which Lambda versions were asked, in that order."""
    return []


@pytest.fixture
def world(asked: list[str]) -> World:
    """Versions 1, 2 and 3 were released one after the other."""

    def play(config: FunctionConfig, event: dict[str, Any]) -> Any:
        asked.append(config.version)
        return honest(config, event)

    made = World(MemoryFunctions(play))
    made.deploy(rollback_depth=3)
    for version in (1, 2, 3):
        made.publish(version)
        made.controller().release(ByVersion("digits", version))
    asked.clear()
    return made


def round_of(world: World) -> Round:
    (done,) = keep_awake(world.stage())
    return done


def lambda_version(world: World, version: int) -> str:
    return targets_of(world.stage(), "digits")[version]


def test_what_serves_and_its_predecessors_are_asked_and_when_they_answered_is_kept(
    world: World, asked: list[str]
) -> None:
    """Law 6."""
    done = round_of(world)
    now = timestamp(world.clock.now())
    assert [(item.version, item.awake, item.seen) for item in done.asked] == [
        (1, True, now),
        (2, True, now),
        (3, True, now),
    ]
    assert sorted(asked) == sorted(item.lambda_version for item in done.asked)
    assert (newest(world.store, "digits"), done.asleep) == (done, 0)


def test_a_version_that_sleeps_is_woken(world: World) -> None:
    """Law 6: an idle SnapStart version is Inactive after 14 days."""
    world.functions.fail_version(FUNCTION, lambda_version(world, 1), state="Inactive")
    done = round_of(world)
    assert [(item.state, item.awake) for item in done.asked] == [
        ("Inactive", True),
        ("Active", True),
        ("Active", True),
    ]
    config = world.functions.config(FUNCTION, lambda_version(world, 1))
    assert config is not None
    assert config.state == "Active"


def test_nothing_moves_and_nothing_is_published(world: World) -> None:
    changed: list[str] = []

    def before(name: str) -> None:
        if name not in {"config", "alias", "aliases", "invoke"}:
            changed.append(name)

    lines = world.controller().history("digits")
    keep_awake(world.stage(functions=Around(world.functions, before=before)))
    assert (changed, world.controller().history("digits")) == ([], lines)


def test_a_version_that_is_gone_or_fails_is_counted_and_says_when_it_last_could_answer(world: World) -> None:
    first = round_of(world)
    seen = timestamp(world.clock.now())
    world.functions.delete(FUNCTION, lambda_version(world, 2))
    world.functions.fail_version(FUNCTION, lambda_version(world, 1), state="Failed", reason="no such layer")
    world.clock.sleep(DAY_S)
    second = round_of(world)
    found = {item.version: item for item in second.asked}
    assert second.asleep >= 1
    assert found[3].seen == timestamp(world.clock.now())
    assert (found[2].awake, found[2].state, found[2].seen) == (False, "gone", seen)
    assert "does not exist" in found[2].why
    assert newest(world.store, "digits") == second != first
    world.clock.sleep(DAY_S)
    assert {item.version: item for item in round_of(world).asked}[2].seen == seen


def test_a_version_that_answers_badly_is_no_way_back() -> None:
    def play(config: FunctionConfig, event: dict[str, Any]) -> Any:
        if sick and config.environment.get(env.VERSION) == "1":
            return respond(config, 500, {"error": "the server failed"})
        if sick and config.environment.get(env.VERSION) == "2":
            raise MemoryError("too large")
        return honest(config, event)

    sick = False
    world = World(MemoryFunctions(play))
    world.deploy()
    for version in (1, 2):
        world.publish(version)
        world.controller().release(ByVersion("digits", version))
    sick = True
    done = round_of(world)
    assert done.asleep == 2
    assert "not ready, with 500" in done.asked[0].why
    assert "MemoryError" in done.asked[1].why


def test_every_alias_is_looked_after(world: World) -> None:
    world.publish(4)
    world.deploy(aliases=("live", "candidate"), rollback_depth=3)
    world.controller().release(ByVersion("digits", 4), alias="candidate")
    assert [item.version for item in round_of(world).asked] == [1, 2, 3, 4]


def test_the_step_before_is_asked_on_an_older_base_too_and_those_further_back_are_not(world: World) -> None:
    """A rollback would go there, and says that it is an older base."""
    world.memory_mb = 1024
    world.deploy(rebase=False)
    assert sorted(targets_of(world.stage(), "digits")) == [2, 3]


def test_a_model_that_serves_nothing_is_not_asked_and_leaves_no_record(world: World) -> None:
    world.controller().retire("digits")
    world.publish(1, model="words")
    assert [done.asleep for done in keep_awake(world.stage())] == [0, 0]
    assert newest(world.store, "digits") is None
    assert newest(world.store, "words") is None


def test_a_model_that_cannot_be_asked_keeps_no_other_from_it(world: World) -> None:
    world.deploy("digits", "words", rollback_depth=3)
    world.publish(1, model="words")
    world.controller().release(ByVersion("words", 1))
    world.functions.delete(function_name(STAGE, "words"))
    found = {done.model: done for done in keep_awake(world.stage())}
    assert found["digits"].asleep == 0
    assert found["words"].asleep == 1


def test_two_rounds_at_once_are_both_kept(world: World) -> None:
    met: list[str] = []

    def once(name: str) -> None:
        if name == "try_put_once" and not met:
            met.append(name)
            keep_model_awake(world.stage(), "digits")

    keep_model_awake(world.stage(store=Around(world.store, before=once)), "digits")
    assert len(list(world.store.keys(awake_prefix("digits")))) == 2


def test_a_round_is_what_was_written() -> None:
    made = Round("digits", "2026-11-22T11:30:07.176+00:00", (Asked(1, "2", "Active", awake=True, seen="x"),))
    assert Round.from_json(made.to_json()) == made
