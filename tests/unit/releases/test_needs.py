"""``releases.needs``: what garbage collection must leave alone."""

from __future__ import annotations

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.errors import CollectionRunningError
from model_store.contract.names import ByVersion
from model_store.sweeps import SWEEP_SECONDS, claim, end
from model_store.tombstones import Tombstone, bury
from releases.errors import ServiceError, UnfitVersionError
from releases.lease import lease
from releases.needs import DEEPEST_ROLLBACK, PLAN_SECONDS, needed
from releases.records import Note, Plan
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


@pytest.fixture
def six(world: World) -> World:
    for version in range(4, 7):
        world.publish(version)
    return world


def test_nothing_released_needs_nothing(six: World) -> None:
    assert needed(six.stage()) == {}


def test_what_serves_and_what_a_rollback_reaches_is_needed(six: World) -> None:
    """Law 10: never what an alias or its recent predecessors need."""
    for version in (1, 2, 4):
        six.controller().release(ref(version))
    assert needed(six.stage()) == {
        ref(4): "`digits@live` serves it",
        ref(2): "`digits@live` can roll back to it",
        ref(1): "`digits@live` can roll back to it",
    }


def test_the_last_releases_are_needed_also_when_they_were_rolled_back(six: World) -> None:
    for version in (1, 2):
        six.controller().release(ref(version))
    six.controller().rollback("digits")
    assert needed(six.stage())[ref(2)] == "it is one of the last 10 releases of `digits@live`"


def test_what_a_published_version_reads_from_s3_at_start_is_needed_as_long_as_it_is_published(
    six: World,
) -> None:
    """Law 10: without its blobs its next cold start would fail, whoever asks it by number or flips to it."""
    six.ephemeral_mb = 512
    six.deploy()
    six.publish_large(7)
    for version in (7, 1, 2):
        six.controller().release(ref(version))
    six.controller().retire("digits")
    assert needed(six.stage(), keep=1)[ref(7)] == "Lambda version 2 reads it from S3 when it starts"
    assert ref(1) not in needed(six.stage(), keep=1)
    six.functions.delete(FUNCTION, "2")
    assert ref(7) not in needed(six.stage(), keep=1)


def test_older_releases_than_asked_for_are_not_needed(six: World) -> None:
    for version in range(1, 7):
        six.controller().release(ref(version))
    six.controller().retire("digits")
    assert set(needed(six.stage(), keep=3)) == {ref(5), ref(6)}


def test_as_many_steps_stay_as_any_deploy_may_want_to_roll_back(world: World) -> None:
    """Law 10: a deploy prepares the rollback targets on its base, so it must find them."""
    for version in range(4, DEEPEST_ROLLBACK + 4):
        world.publish(version)
    for version in range(1, DEEPEST_ROLLBACK + 4):
        world.controller().release(ref(version))
    assert {found.version for found in needed(world.stage(), keep=1)} == set(range(3, DEEPEST_ROLLBACK + 4))


def test_what_lambda_serves_is_needed_whatever_the_ledger_says(six: World) -> None:
    """Law 10: an alias that was moved past the ledger is an alias too."""
    for version in (1, 2):
        six.controller().release(ref(version))
    six.controller().retire("digits")
    state = six.functions.alias(FUNCTION, "live")
    assert state is not None
    prepared = six.stage().preparer.find_any("digits", 1, FUNCTION)
    assert prepared is not None
    six.functions.move_alias(
        FUNCTION, "live", version=prepared.lambda_version, note="by hand", revision=state.revision
    )
    assert needed(six.stage(), keep=1)[ref(1)] == "`digits@live` serves it"


def test_while_a_release_runs_the_model_is_left_alone(six: World) -> None:
    """Law 10: never what a running release needs."""
    with lease(six.store, six.clock, "digits", holder="bob"):
        assert set(needed(six.stage()).values()) == {"`digits` is being prepared by bob"}
        assert len(needed(six.stage())) == 6
    assert needed(six.stage()) == {}


def test_a_shift_that_runs_needs_both_its_versions(six: World) -> None:
    """Law 10: never what a running release needs, also before it takes its first share."""
    for version in (1, 2, 4):
        six.controller().release(ref(version))
    six.begin(6)
    assert needed(six.stage())[ref(6)] == "`digits@live` is being shifted from `4` to `6`"


def test_a_move_that_is_about_to_happen_needs_its_version_for_a_day(six: World) -> None:
    plan = Plan(
        *("p1", "digits", "live", "release", 3, "", "9", "b", 0, "1", "", "bob"),
        at="2026-09-21T13:33:20.000+00:00",
    )
    six.stage().mover("digits", "live").ledger.write_plan(plan)
    assert needed(six.stage())[ref(3)].startswith("a release of it by bob was about to happen")
    six.clock.seconds += PLAN_SECONDS + 86_400
    assert needed(six.stage()) == {}


def test_where_lambda_does_not_answer_nothing_is_called_garbage(six: World) -> None:
    """Law 10: what cannot be known is not collected."""
    six.controller().release(ref(1))

    def fail(_: str) -> None:
        raise ServiceError("Lambda did not answer")

    with pytest.raises(ServiceError):
        needed(six.stage(functions=Around(six.functions, before=fail)))


# The other side of the race


def test_a_release_of_what_is_being_taken_away_is_refused_and_moves_nothing(six: World) -> None:
    """Law 10: whoever begins to need a version looks for a collection first."""
    six.controller().release(ref(1))
    sweep = claim(six.store, six.clock.now, by="collector", versions=[ref(2)], blobs=[])
    with pytest.raises(CollectionRunningError, match="`digits:2` may be taken away"):
        six.controller().release(ref(2))
    assert six.ask() == (200, "digits:1")
    six.controller().release(ref(3))
    end(six.store, sweep)
    six.controller().release(ref(2))
    assert six.ask() == (200, "digits:2")


def test_a_dead_collection_holds_nobody_up_for_longer_than_it_may(six: World) -> None:
    claim(six.store, six.clock.now, by="collector", versions=[ref(2)], blobs=[])
    six.clock.seconds += SWEEP_SECONDS
    six.controller().release(ref(2))
    assert six.ask() == (200, "digits:2")


def test_the_plan_is_written_before_a_collection_is_looked_for(six: World) -> None:
    """Law 10: with the other order both sides could miss each other."""
    claim(six.store, six.clock.now, by="collector", versions=[ref(2)], blobs=[])
    with pytest.raises(CollectionRunningError):
        six.controller().release(ref(2))
    assert ref(2) in needed(six.stage())


def test_a_version_taken_away_while_it_was_prepared_is_not_put_in_force(six: World) -> None:
    def take(name: str) -> None:
        if name == "publish":
            bury(six.store, Tombstone("digits", 2, "", 0, "", "now", "collector", "too old"))

    stage = six.stage(functions=Around(six.functions, after=take))
    from releases.controller import Controller

    with pytest.raises(UnfitVersionError, match="`digits:2` was taken away"):
        Controller(stage).release(ref(2))
    assert six.ask() == (503, "")


def test_a_rollback_to_what_was_taken_away_is_refused(six: World) -> None:
    for version in (1, 2):
        six.controller().release(ref(version))
    bury(six.store, Tombstone("digits", 1, "", 0, "", "now", "collector", "too old"))
    with pytest.raises(UnfitVersionError, match="`digits:1` was taken away"):
        six.controller().rollback("digits")
    assert six.ask() == (200, "digits:2")


def test_the_note_of_a_refused_release_is_never_set(six: World) -> None:
    claim(six.store, six.clock.now, by="collector", versions=[ref(2)], blobs=[])
    with pytest.raises(CollectionRunningError):
        six.controller().release(ref(2))
    state = six.functions.alias(FUNCTION, "live")
    assert state is not None
    assert Note.from_text(state.note) == Note(0, "", 0)
