"""``releases.unfit``: a Lambda version that failed its checks is written down and never used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.errors import DisagreementError, ServiceError, UnfitVersionError
from releases.lease import LEASE_SECONDS
from releases.ports import FunctionConfig
from releases.unfit import Unfit, UnfitMarks
from tests.unit.releases.test_crashes import Fuse, ProcessDied
from tests.unit.releases.world import STAGE, Around, World, honest

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


class Moody:
    """Deployed code whose version 2 fails while ``sick``."""

    def __init__(self) -> None:
        self.sick = True

    def __call__(self, config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
        if self.sick and config.environment.get("SWITCHYARD_VERSION") == "2":
            raise MemoryError("cannot allocate 9 GB")
        return honest(config, event)


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
def world(new_world: Callable[..., World], moody: Moody) -> World:
    made = new_world(moody)
    made.deploy()
    for version in (1, 2):
        made.publish(version)
    made.controller().release(ref(1))
    return made


def marks(world: World) -> list[Unfit]:
    return UnfitMarks(world.store).all("digits")


def refuse(world: World, *, by: str = "ann") -> None:
    with pytest.raises(UnfitVersionError, match="cannot allocate"):
        world.controller(by=by).release(ref(2))


def test_a_version_that_fails_its_checks_is_marked_with_the_reason(world: World) -> None:
    """Law 5: a failed release changes nothing but what is known about it."""
    refuse(world, by="bob")
    (mark,) = marks(world)
    assert (mark.version, mark.by) == (2, "bob")
    assert "cannot allocate 9 GB" in mark.why
    config = world.functions.config(FUNCTION, mark.lambda_version)
    assert config is not None
    assert config.environment["SWITCHYARD_VERSION"] == "2"
    assert world.ask() == (200, "digits:1")


def test_the_next_attempt_makes_another_version(world: World, moody: Moody) -> None:
    """Lambda would hand out the failed one again, since nothing changed."""
    refuse(world)
    refuse(world)
    moody.sick = False
    moved = world.controller().release(ref(2))
    failed = {mark.lambda_version for mark in marks(world)}
    assert len(failed) == 2
    assert moved.lambda_version not in failed
    assert world.ask() == (200, "digits:2")


def test_what_failed_once_and_passed_since_is_not_outstanding(world: World, moody: Moody) -> None:
    refuse(world)
    assert [mark.version for mark in UnfitMarks(world.store).outstanding("digits")] == [2]
    moody.sick = False
    world.controller().release(ref(2))
    assert UnfitMarks(world.store).outstanding("digits") == []
    assert len(marks(world)) == 1


def test_what_passed_its_checks_once_is_not_marked_by_a_bad_day(world: World, moody: Moody) -> None:
    """It may be what serves, or what a rollback needs (law 6)."""
    moody.sick = False
    world.controller().release(ref(2))
    moody.sick = True
    refuse(world)
    assert marks(world) == []


def test_a_service_that_does_not_answer_says_nothing_about_the_version(world: World) -> None:
    def throttled(call: str) -> None:
        if call == "invoke":
            raise ServiceError("Lambda answered TooManyRequestsException")

    stage = world.stage(functions=Around(world.functions, before=throttled))
    with pytest.raises(ServiceError):
        Controller(stage).release(ref(2))
    assert marks(world) == []


def test_a_version_that_was_published_otherwise_than_asked_is_marked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 9: what Lambda published is compared with what was asked for."""
    publish = world.functions.publish

    def silently_undone(function: str, **asked: Any) -> FunctionConfig:
        found = world.functions._functions[function]
        found.latest = world.functions.deploy(function, memory_mb=128)
        return publish(function, **{**asked, "revision": found.latest.revision})

    monkeypatch.setattr(world.functions, "publish", silently_undone)
    with pytest.raises(DisagreementError, match="memory_mb is `128`"):
        world.controller().release(ref(2))
    (mark,) = marks(world)
    assert "memory_mb is `128`" in mark.why


def test_another_base_begins_with_no_marks(world: World, moody: Moody) -> None:
    refuse(world)
    moody.sick = False
    world.memory_mb = 1024
    world.deploy()
    moved = world.controller().release(ref(2))
    config = world.functions.config(FUNCTION, moved.lambda_version)
    assert config is not None
    assert "SWITCHYARD_ATTEMPT" not in config.environment


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_a_crash_at_any_call_of_a_release_that_fails_is_survived(
    new_world: Callable[..., World], *, after_effect: bool
) -> None:
    """Law 3 and 5: whatever is left behind, the next attempt passes and the failed version is not it."""

    def made(moody: Moody) -> World:
        world = new_world(moody)
        world.deploy()
        for version in (1, 2):
            world.publish(version)
        world.controller().release(ref(1))
        return world

    def release(world: World, fuse: Fuse) -> None:
        stage = world.stage(
            store=Around(world.store, before=fuse.before, after=fuse.after),
            functions=Around(world.functions, before=fuse.before, after=fuse.after),
        )
        Controller(stage).release(ref(2))

    counting = Fuse(at=-1, after_effect=False)
    with pytest.raises(UnfitVersionError):
        release(made(Moody()), counting)
    for at in range(1, counting.calls + 1):
        moody = Moody()
        world = made(moody)
        with pytest.raises(ProcessDied):
            release(world, Fuse(at=at, after_effect=after_effect))
        assert world.ask() == (200, "digits:1")
        world.clock.sleep(LEASE_SECONDS)
        moody.sick = False
        moved = world.controller().release(ref(2))
        assert moved.lambda_version not in {mark.lambda_version for mark in marks(world)}
        assert world.ask() == (200, "digits:2")
        assert world.status().disagreements == ()
