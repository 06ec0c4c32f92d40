"""``releases.restore`` and ``model_store.replica`` together: a region is lost, another serves what it served."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key, ledger_key, manifest_key, signature_key
from model_store.contract.names import ByVersion
from model_store.replica import bring
from releases.restore import known, restore
from tests.unit.releases.world import World


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def replica_of(world: World, *, without: tuple[str, ...] = ()) -> MemoryStore:
    """What replication had copied when the region went; ``without`` was still on its way."""
    copied = MemoryStore()
    for key in world.store.keys("models/"):
        if key not in without:
            copied.put_once(key, world.store.get(key))
    for key in world.store.keys("blobs/"):
        if key not in without:
            copied.put_once(key, world.store.get(key))
    return copied


@pytest.fixture
def elsewhere(new_world: Callable[..., World]) -> World:
    """The other region: deployed, with nothing in its store."""
    made = new_world()
    made.memory_mb = 1024
    made.deploy()
    return made


@pytest.fixture
def lost(world: World) -> World:
    """A region where version 3 was released, found wanting, and rolled back to 2."""
    for version in (1, 2, 3):
        world.controller().release(ref(version))
    world.controller().rollback("digits", reason="worse")
    return world


def test_what_was_live_serves_in_the_other_region_and_a_rollback_is_ready(
    lost: World, elsewhere: World
) -> None:
    assert elsewhere.ask()[0] == 503
    bring(replica_of(lost), elsewhere.store)
    (restored,) = restore(elsewhere.stage())
    assert (restored.version, restored.rollback_to, restored.lost) == (2, 1, "")
    assert elsewhere.ask() == (200, "digits:2")
    assert elsewhere.status().disagreements == ()
    assert elsewhere.status().rollback_ready
    assert elsewhere.controller().rollback("digits").ref == ref(1)
    assert elsewhere.ask() == (200, "digits:1")


def test_no_line_and_no_version_is_lost(lost: World, elsewhere: World) -> None:
    """Law 3: the ledger is why, in any region."""
    before = lost.controller().history("digits")
    bring(replica_of(lost), elsewhere.store)
    assert elsewhere.controller().history("digits") == before
    restore(elsewhere.stage())
    assert elsewhere.controller().history("digits")[:-1] == before
    assert elsewhere.controller().history("digits")[-1].plan.reason == "restored from a replica"


def test_signatures_come_along(lost: World, elsewhere: World) -> None:
    key = signature_key("digits", 2, Digest.of(b"a key"))
    lost.store.put_once(key, b"signed")
    bring(replica_of(lost), elsewhere.store)
    assert elsewhere.store.get(key) == b"signed"


def test_repeating_it_changes_nothing(lost: World, elsewhere: World) -> None:
    replica = replica_of(lost)
    for _ in range(2):
        assert bring(replica, elsewhere.store).lost == []
        restore(elsewhere.stage())
    assert len(elsewhere.controller().history("digits")) == 5


def test_a_version_whose_bytes_were_still_on_their_way_is_named_and_stops_no_other(
    lost: World, elsewhere: World
) -> None:
    """Law 1: what is not whole is no version."""
    on_its_way = blob_key(Digest.of(b"digits 3"))
    brought = bring(replica_of(lost, without=(on_its_way,)), elsewhere.store)
    assert [str(found) for found in brought.versions] == ["digits:1", "digits:2"]
    assert "`digits:3` is not whole in the replica" in brought.lost[0]
    assert brought.known_until is not None
    (restored,) = restore(elsewhere.stage())
    assert (restored.version, restored.lost) == (2, "")


def test_a_live_version_that_did_not_arrive_is_said(lost: World, elsewhere: World) -> None:
    on_its_way = blob_key(Digest.of(b"digits 2"))
    bring(replica_of(lost, without=(on_its_way,)), elsewhere.store)
    (restored,) = restore(elsewhere.stage())
    assert "`digits:2` does not exist" in restored.lost
    assert elsewhere.ask()[0] == 503


def test_a_replica_that_lags_restores_what_it_knows(lost: World, elsewhere: World) -> None:
    """The rollback itself was acknowledged and not yet replicated: what was live before it is served."""
    bring(replica_of(lost, without=("models/digits/releases/live/000000004.json",)), elsewhere.store)
    restore(elsewhere.stage())
    assert elsewhere.ask() == (200, "digits:3")


def test_versions_and_lines_that_are_missing_are_named_by_their_numbers(lost: World) -> None:
    """Law 1 and 3: numbers have no gaps, so a gap is work that was acknowledged and did not arrive."""
    copied = replica_of(
        lost,
        without=(manifest_key("digits", 2), ledger_key("digits", "live", 1), ledger_key("digits", "live", 3)),
    )
    brought = bring(copied, MemoryStore())
    assert brought.lost == ["`digits:2` did not arrive in the replica"]
    (ledger,) = known(copied)
    assert (str(ledger.ref), ledger.line, ledger.missing) == ("digits@live", 4, (1, 3))
    assert ledger.at == lost.controller().history("digits")[-1].plan.at


def test_a_whole_replica_misses_nothing(lost: World) -> None:
    (ledger,) = known(replica_of(lost))
    assert (ledger.line, ledger.missing) == (4, ())


def test_a_model_of_which_no_version_arrived_is_named(lost: World) -> None:
    without = tuple(lost.store.keys("models/digits/versions/"))
    brought = bring(replica_of(lost, without=without), MemoryStore())
    assert brought.lost == [
        "no version of `digits` did arrive in the replica, though other records of it did"
    ]


def test_a_gap_in_the_ledger_stops_nothing(lost: World, elsewhere: World) -> None:
    """What the lines that arrived say is served, and the next move takes the next number."""
    bring(replica_of(lost, without=(ledger_key("digits", "live", 3),)), elsewhere.store)
    restore(elsewhere.stage())
    assert elsewhere.ask() == (200, "digits:2")
    assert [line.line for line in elsewhere.controller().history("digits")] == [1, 2, 4, 5]
    assert elsewhere.status().disagreements == ()
