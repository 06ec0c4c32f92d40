"""A stage in memory, for the rooms that release and look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from releases.adapters.memory import MemoryFunctions
from tests.unit.releases.world import Play, World, honest


@pytest.fixture
def new_world() -> Callable[..., World]:
    def make(play: Play = honest, **settings: Any) -> World:
        return World(MemoryFunctions(play, **settings))

    return make


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """A deployed stage with three published versions of ``digits``, none released."""
    made = new_world()
    made.deploy()
    for version in (1, 2, 3):
        made.publish(version)
    return made
