"""A stage that releases only what its key has signed: asked first, by every way a version becomes live."""

from __future__ import annotations

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.digest import Digest
from model_store.contract.environment import SIGNED_MANIFEST
from model_store.contract.errors import UnsignedError
from model_store.contract.keys import manifest_key
from model_store.contract.names import ByVersion
from releases.errors import DisagreementError
from releases.plans import Planner
from releases.shadowing import Shadowing
from tests.unit.releases.world import STAGE, World


@pytest.fixture
def signing(world: World) -> World:
    """A world whose first version is signed and live, and whose second is signed by somebody else."""
    world.signed_by = "ours"
    world.sign(1)
    world.controller().release(ByVersion("digits", 1))
    world.sign(2, "theirs")
    return world


def test_a_signed_version_is_released(signing: World) -> None:
    """Law 5, with a signature besides."""
    signing.sign(2)
    signing.controller().release(ByVersion("digits", 2))
    assert signing.ask() == (200, "digits:2")


def test_an_unsigned_version_is_refused_before_anything_is_built(signing: World) -> None:
    """Law 5: a refused release changes nothing."""
    before = list(signing.store.keys("models/digits/"))
    with pytest.raises(UnsignedError, match="`digits:2` is not signed by `ours`"):
        signing.controller().release(ByVersion("digits", 2))
    assert (signing.ask(), list(signing.store.keys("models/digits/"))) == ((200, "digits:1"), before)


def test_a_shift_to_an_unsigned_version_never_starts(signing: World) -> None:
    with pytest.raises(UnsignedError):
        signing.begin(2, 0.5)
    assert list(signing.store.keys("models/digits/shifts/")) == []


def test_a_shadow_of_an_unsigned_version_never_starts(signing: World) -> None:
    with pytest.raises(UnsignedError):
        Shadowing(signing.stage()).begin(ByVersion("digits", 2), share=0.1)
    assert signing.ask() == (200, "digits:1")


def test_a_plan_says_it_too(signing: World) -> None:
    with pytest.raises(UnsignedError):
        Planner(signing.stage()).release(ByVersion("digits", 2))


def test_a_way_back_asks_for_no_signature(world: World) -> None:
    """Law 6: what was live before the stage had a key is still there to go back to."""
    for version in (1, 2):
        world.controller().release(ByVersion("digits", version))
    world.signed_by = "ours"
    world.controller().rollback("digits")
    assert world.ask() == (200, "digits:1")


def test_a_stage_with_a_key_and_nothing_that_verifies_releases_nothing(world: World) -> None:
    stage = world.stage()
    stage._signed_by = "ours"
    with pytest.raises(DisagreementError, match="nothing here verifies it"):
        stage.must_be_signed(ByVersion("digits", 1))


def signed_manifest(world: World, version: int) -> str:
    """What the Lambda version that serves was told of the signed manifest."""
    assert world.ask() == (200, f"digits:{version}")
    function = function_name(STAGE, "digits")
    state = world.functions.alias(function, "live")
    assert state is not None
    config = world.functions.config(function, state.version)
    assert config is not None
    return config.environment.get(SIGNED_MANIFEST, "")


def test_what_was_signed_is_written_into_the_version_which_loads_nothing_else(signing: World) -> None:
    """Law 2, from the signature to the memory: the version carries the digest of the manifest as it was signed."""
    stored = signing.store.get(manifest_key("digits", 1))
    assert signed_manifest(signing, 1) == Digest.of(stored).hex
    signing.memory_mb = 1024
    signing.deploy()
    assert signed_manifest(signing, 1) == Digest.of(stored).hex


def test_a_deploy_takes_along_what_nobody_signed_and_promises_nothing_of_it(world: World) -> None:
    """Law 6: what was live before the stage had a key does not depend on one."""
    world.controller().release(ByVersion("digits", 1))
    world.signed_by, world.memory_mb = "ours", 1024
    world.deploy()
    assert signed_manifest(world, 1) == ""
