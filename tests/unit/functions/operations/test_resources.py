"""``functions.operations.resources``: custom-resource events as calls of the release controller."""

from __future__ import annotations

from typing import Any

import pytest

from functions.operations.resources import FOLDER, GUARD, MODEL, ROLLOUT, apply, physical_id
from model_store.contract.deployment import function_name
from model_store.contract.errors import IntegrityError
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.adapters.memory import MemoryFunctions
from releases.deploy import Deploy
from releases.errors import DisagreementError, StillLiveError, WavesRunningError
from releases.waving import Waving
from tests.unit.releases.world import STAGE, World, honest

FUNCTION = function_name(STAGE, "digits")
LIVE = {"Model": "digits", "Aliases": ["live"]}


@pytest.fixture
def world() -> World:
    return World(MemoryFunctions(honest))


def send(
    world: World, resource_type: str, properties: dict[str, Any], *, rolling_back: bool = False
) -> dict[str, str]:
    return apply(
        resource_type,
        {"Stage": STAGE, **properties},
        deploy=Deploy(world.stage(by="cdk")),
        store=world.store,
        rolling_back=rolling_back,
    )


def model_properties(memory_mb: int = 512) -> dict[str, Any]:
    """What a model stack hands over; CloudFormation makes strings of numbers."""
    return {
        "Model": "digits",
        "FunctionName": FUNCTION,
        "Aliases": ["live"],
        "RollbackDepth": "2",
        "Fingerprint": f"print-{memory_mb}",
        "Base": {
            "Layers": ["arn:layer:runtime:1"],
            "Environment": {"SWITCHYARD_MODEL": "digits", "SWITCHYARD_STAGE": STAGE},
            "MemorySize": str(memory_mb),
        },
    }


def cdk_deploy(world: World, memory_mb: int = 512, *, waves: bool = False) -> None:
    said = {"Waves": "true"} if waves else {}
    properties = {**model_properties(memory_mb), **said}
    world.functions.deploy(
        FUNCTION,
        memory_mb=memory_mb,
        layers=tuple(properties["Base"]["Layers"]),
        environment=properties["Base"]["Environment"],
    )
    send(world, MODEL, properties)
    rollout = {"Model": "digits", "FunctionName": FUNCTION, "Fingerprint": f"print-{memory_mb}", **said}
    send(world, ROLLOUT, {"Models": [rollout]})


def test_the_model_resource_creates_the_alias_once_and_never_moves_it(world: World) -> None:
    """Law 4."""
    cdk_deploy(world)
    assert world.ask() == (503, "")
    world.publish(1)
    world.controller().release(ByVersion("digits", 1))
    before = world.functions.alias(FUNCTION, "live")
    send(world, MODEL, model_properties())
    assert world.functions.alias(FUNCTION, "live") == before


def test_the_rollout_resource_re_releases_the_live_model_on_the_new_base(world: World) -> None:
    """Law 4."""
    cdk_deploy(world)
    world.publish(1)
    world.controller().release(ByVersion("digits", 1))
    cdk_deploy(world, memory_mb=1024)
    assert world.ask() == (200, "digits:1")
    assert world.live_memory_mb() == 1024


def test_a_model_that_moves_in_waves_is_left_to_them_by_the_rollout_and_the_guard(world: World) -> None:
    """Law 4: the deploy records the base; while a wave is under way the guard lets no other deploy in."""
    cdk_deploy(world)
    world.publish(1)
    world.controller().release(ByVersion("digits", 1))
    cdk_deploy(world, memory_mb=1024, waves=True)
    assert world.live_memory_mb() == 512
    assert Waving(world.stage()).begin((100.0,), bake_s=60) is not None
    with pytest.raises(WavesRunningError):
        send(world, GUARD, {"Models": [LIVE]})
    send(world, GUARD, {"Models": [LIVE]}, rolling_back=True)


def test_a_rollback_of_the_stack_flips_back_and_publishes_nothing(world: World) -> None:
    cdk_deploy(world)
    world.publish(1)
    world.controller().release(ByVersion("digits", 1))
    cdk_deploy(world, memory_mb=1024)
    before = world.functions.config(FUNCTION)
    old = {"Model": "digits", "FunctionName": FUNCTION, "Fingerprint": "print-512"}
    send(world, ROLLOUT, {"Models": [old]}, rolling_back=True)
    assert world.live_memory_mb() == 512
    assert world.functions.config(FUNCTION) == before


def test_the_guard_refuses_to_lose_a_live_model_but_never_a_stack_that_rolls_back(world: World) -> None:
    """Law 10. Refusing a rollback would leave the stack stuck."""
    cdk_deploy(world)
    world.publish(1)
    send(world, GUARD, {"Models": []})
    world.controller().release(ByVersion("digits", 1))
    with pytest.raises(StillLiveError, match="digits@live"):
        send(world, GUARD, {"Models": []})
    assert send(world, GUARD, {"Models": [LIVE]}) == {"Models": "digits"}
    send(world, GUARD, {"Models": []}, rolling_back=True)


def test_the_guard_asks_whether_a_model_may_still_read_what_it_starts_from(world: World) -> None:
    """Law 10. An earlier Switchyard says nothing of it, and had nothing to say."""
    cdk_deploy(world)
    world.ephemeral_mb = 512
    world.deploy()
    world.publish_large(1)
    world.controller().release(ByVersion("digits", 1))
    for said in ({}, {"ReadsStore": "true"}):
        assert send(world, GUARD, {"Models": [{**LIVE, **said}]}) == {"Models": "digits"}
    closed = {"Models": [{**LIVE, "ReadsStore": "false"}]}
    with pytest.raises(StillLiveError, match="no `ephemeral_mb` any more"):
        send(world, GUARD, closed)
    send(world, GUARD, closed, rolling_back=True)


def test_a_physical_id_is_stable_whatever_else_changes() -> None:
    first = physical_id(MODEL, {"Stage": "prod", "Model": "digits", "Fingerprint": "a"})
    assert first == physical_id(MODEL, {"Stage": "prod", "Model": "digits", "Fingerprint": "b"})
    assert first == "SwitchyardModel/prod/digits"
    assert physical_id(GUARD, {"Stage": "prod", "Models": []}) == "SwitchyardGuard/prod"


def test_a_resource_of_another_kind_is_refused(world: World) -> None:
    with pytest.raises(DisagreementError, match="Custom::Other"):
        send(world, "Custom::Other", {})


def test_the_folder_resource_lays_the_locked_version_out_once(world: World) -> None:
    """Laws 1 and 2."""
    manifest = load_manifest(world.store, world.publish(1))
    folder = {"Model": "digits", "Version": "1", "Digest": manifest.digest.hex}
    for _ in range(2):  # CloudFormation may deliver it twice
        assert send(world, FOLDER, folder) == {"Bytes": str(manifest.size)}
    assert world.store.exists("models/digits/served/000000001/manifest.json")
    with pytest.raises(IntegrityError, match="was locked"):
        send(world, FOLDER, {**folder, "Digest": "0" * 64})
    assert physical_id(FOLDER, {"Stage": "prod", **folder}) == "SwitchyardFolder/prod/digits/1"
