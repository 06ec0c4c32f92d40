"""``releases.prepare``: borrowing ``$LATEST`` and giving it back."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.digest import Digest
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.bases import current_base
from releases.errors import DisagreementError, LostRaceError, UnfitVersionError
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def prepare(world: World, version: int, functions: Any = None) -> Any:
    stage = world.stage(functions=functions)
    manifest = load_manifest(world.store, ByVersion("digits", version))
    return stage.preparer.prepare(manifest, current_base(world.store, "digits"))


def test_latest_is_left_as_the_deploy_left_it(world: World) -> None:
    before = world.functions.config(FUNCTION)
    prepare(world, 1)
    after = world.functions.config(FUNCTION)
    assert before is not None
    assert after is not None
    assert (after.layers, after.environment) == (before.layers, before.environment)


def test_preparing_again_makes_no_second_version(world: World) -> None:
    assert prepare(world, 1) == prepare(world, 1)


def test_the_layer_of_a_model_is_used_again_on_another_base(world: World) -> None:
    first = prepare(world, 1)
    world.memory_mb = 1024
    world.deploy()
    second = prepare(world, 1)
    assert second.model_layer == first.model_layer
    assert second.lambda_version != first.lambda_version


def test_a_version_too_large_for_a_layer_is_told_where_its_manifest_is(world: World) -> None:
    """Law 4: still the absolute base and the model; law 2: the manifest is named by its digest."""
    world.ephemeral_mb = 512
    world.deploy()
    world.publish_large(4)
    prepared = prepare(world, 4)
    published = world.functions.config(FUNCTION, prepared.lambda_version)
    base = current_base(world.store, "digits")
    assert published is not None
    assert (prepared.model_layer, published.layers) == ("", base.layers)
    key = "models/digits/versions/000000004.json"
    assert published.environment == {
        **base.environment,
        "SWITCHYARD_VERSION": "4",
        "SWITCHYARD_DIGEST": prepared.digest,
        "SWITCHYARD_BASE": base.hash,
        "SWITCHYARD_MANIFEST": key,
        "SWITCHYARD_MANIFEST_DIGEST": Digest.of(world.store.get(key)).hex,
    }
    latest = world.functions.config(FUNCTION)
    assert latest is not None
    assert latest.environment == base.environment


def test_what_is_read_at_start_is_prepared_once_too_and_again_on_another_base(world: World) -> None:
    world.ephemeral_mb = 512
    world.deploy()
    world.publish_large(4)
    first = prepare(world, 4)
    assert prepare(world, 4) == first
    world.memory_mb = 1024
    world.deploy()
    assert prepare(world, 4).lambda_version != first.lambda_version


def test_a_version_that_is_never_made_publishes_nothing(world: World) -> None:
    """Law 8: a version that cannot fit is refused before anything is built or borrowed."""
    world.publish_large(4)
    calls: list[str] = []
    with pytest.raises(UnfitVersionError, match="may not read its versions from S3"):
        prepare(world, 4, Around(world.functions, before=calls.append))
    assert calls == []


def test_a_version_deleted_by_hand_is_made_again(world: World) -> None:
    first = prepare(world, 1)
    world.functions.delete(FUNCTION, first.lambda_version)
    assert prepare(world, 1).lambda_version != first.lambda_version


def test_a_change_between_the_look_and_the_publish_is_refused(world: World) -> None:
    """A deploy that sets $LATEST meanwhile wins; what was seen is what is published, or nothing."""

    def meddle(call: str) -> None:
        if call == "publish":
            world.functions.deploy(FUNCTION, memory_mb=2048)

    with pytest.raises((LostRaceError, DisagreementError)):
        prepare(world, 1, Around(world.functions, before=meddle))
    assert world.ask() == (503, "")


def test_a_setting_that_lambda_silently_ignored_is_an_error(world: World) -> None:
    """Law 9: trust, then look."""

    def undo(call: str) -> None:
        if call == "configure":
            world.functions.deploy(FUNCTION, environment={"SWITCHYARD_MODEL": "digits"})

    before = len(world.functions.published(FUNCTION))
    with pytest.raises(DisagreementError, match="environment is"):
        prepare(world, 1, Around(world.functions, after=undo))
    assert len(world.functions.published(FUNCTION)) == before, (
        "nothing is published from a setting that is wrong"
    )


def test_a_base_that_lambda_silently_did_not_take_back_is_an_error(world: World) -> None:
    """Law 9: what is left behind on ``$LATEST`` is compared too, not only what was published."""
    calls: list[str] = []

    def undo(call: str) -> None:
        calls.append(call)
        if call == "configure" and calls.count("configure") == 2:
            world.functions.deploy(FUNCTION, environment={"SWITCHYARD_MODEL": "digits"})

    with pytest.raises(DisagreementError, match=f"`{FUNCTION}` is not what was asked for"):
        prepare(world, 1, Around(world.functions, after=undo))
    assert calls.count("configure") == 2


def test_a_number_from_the_life_of_a_deleted_function_is_not_believed(world: World) -> None:
    """Lambda counts from 1 again: version 2 of the old function and of the new one are different things."""
    first = prepare(world, 1)
    world.functions.delete(FUNCTION)
    world.memory_mb = 1024
    world.deploy()
    assert prepare(world, 1).lambda_version == first.lambda_version
    world.memory_mb = 512
    world.deploy()
    again = prepare(world, 1)
    assert again.base == first.base
    assert again.lambda_version != first.lambda_version


def test_a_function_that_is_busy_settling_is_asked_again(world: World) -> None:
    """Lambda answers a change with a conflict while an earlier one settles."""
    refusals: list[str] = []

    def busy(call: str) -> None:
        if call == "configure" and len(refusals) < 2:
            refusals.append(call)
            raise LostRaceError("an update is in progress")

    prepare(world, 1, Around(world.functions, before=busy))
    assert len(refusals) == 2
    latest = world.functions.config(FUNCTION)
    assert latest is not None
    assert "SWITCHYARD_VERSION" not in latest.environment
