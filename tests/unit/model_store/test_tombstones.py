"""``model_store.tombstones``: what stays of a version that was taken away."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import NotFoundError
from model_store.contract.keys import manifest_key
from model_store.contract.names import ByVersion
from model_store.publish import publish
from model_store.tombstones import Tombstone, bury, is_removed, removed
from model_store.versions import load_manifest, versions, written

SaveModel = Callable[..., Path]


def stone(version: int) -> Tombstone:
    return Tombstone(
        "digits", version, "sha256:ab", 5, "2026-01-01T00:00:00Z", "2026-05-17T10:30:05Z", "ana", "too old"
    )


@pytest.fixture
def three(store: MemoryStore, save: SaveModel, clock: Callable[[], datetime]) -> MemoryStore:
    for scale in (1.0, 2.0, 3.0):
        publish(store, "digits", save(scale=scale), created_by="ana", clock=clock)
    return store


def test_a_tombstone_is_read_as_it_was_written() -> None:
    assert Tombstone.from_json(stone(3).to_json()) == stone(3)


def test_a_version_with_a_tombstone_is_no_version(three: MemoryStore) -> None:
    """Law 10: from the tombstone on it is gone, also if its manifest still lies there."""
    assert bury(three, stone(2))
    assert not bury(three, stone(2))
    assert versions(three, "digits") == [1, 3]
    assert (written(three, "digits"), removed(three, "digits")) == ([1, 2, 3], [2])
    assert is_removed(three, ByVersion("digits", 2))
    with pytest.raises(NotFoundError, match="was taken away by ana at 2026-05-17T10:30:05Z: too old"):
        load_manifest(three, ByVersion("digits", 2))


def test_a_number_is_never_given_again(
    three: MemoryStore, save: SaveModel, clock: Callable[[], datetime]
) -> None:
    """Law 10: a number is never used again, not even the newest one."""
    bury(three, stone(3))
    del three._objects[manifest_key("digits", 3)]
    done = publish(three, "digits", save(scale=3.0), created_by="ana", clock=clock)
    assert (done.manifest.version, done.created) == (4, True)


def test_a_publisher_that_slept_through_a_removal_takes_another_number(
    three: MemoryStore, save: SaveModel, clock: Callable[[], datetime]
) -> None:
    """Law 10: also when the number was free, used and taken away between its listing and its claim."""
    fourth = save(scale=4.0)

    class Sleepy(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self._objects = three._objects
            self._written = three._written

        def put_file_once(self, *args: object, **named: object) -> None:
            super().put_file_once(*args, **named)  # type: ignore[arg-type]
            bury(three, stone(4))

    done = publish(Sleepy(), "digits", fourth, created_by="ana", clock=clock)
    assert done.manifest.version == 5
    assert versions(three, "digits") == [1, 2, 3, 5]
