"""``releases.bases``: the configurations that deploys left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from releases.bases import base_with_fingerprint, current_base, record_base
from releases.errors import NotDeployedError
from tests.unit.releases.world import World


def test_before_the_first_deploy_there_is_none() -> None:
    with pytest.raises(NotDeployedError, match="`digits` is not deployed"):
        current_base(MemoryStore(), "digits")


def test_the_newest_is_the_current_one(world: World) -> None:
    base = current_base(world.store, "digits")
    newer = replace(base, memory_mb=2048, fingerprint="new")
    record_base(world.store, "digits", newer)
    assert current_base(world.store, "digits") == newer


def test_recording_the_current_one_again_writes_nothing(world: World) -> None:
    keys = list(world.store.keys("models/digits/bases/"))
    record_base(world.store, "digits", current_base(world.store, "digits"))
    assert list(world.store.keys("models/digits/bases/")) == keys


def test_going_back_to_an_earlier_base_makes_it_the_current_one(world: World) -> None:
    """A stack that rolls back, and a team that reverts a commit."""
    first = current_base(world.store, "digits")
    record_base(world.store, "digits", replace(first, memory_mb=2048, fingerprint="new"))
    record_base(world.store, "digits", first)
    assert current_base(world.store, "digits") == first


def test_a_base_is_found_by_the_fingerprint_of_its_deploy(world: World) -> None:
    first = current_base(world.store, "digits")
    record_base(world.store, "digits", replace(first, memory_mb=2048, fingerprint="new"))
    assert base_with_fingerprint(world.store, "digits", first.fingerprint) == first
    assert base_with_fingerprint(world.store, "digits", "never") is None
