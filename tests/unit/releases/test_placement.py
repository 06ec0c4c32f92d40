"""``releases.placement``: as a layer, from S3 at start, or refused with the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from model_store.contract.placement import LAYER_BYTES
from model_store.versions import load_manifest
from releases.bases import current_base
from releases.errors import UnfitVersionError
from releases.placement import Placement, place, placed, reads_at_start, slow_start
from tests.unit.releases.world import STAGE, World

FUNCTION = function_name(STAGE, "digits")
MIB = 1_048_576


def on(world: World, *, memory_mb: int = 2048, ephemeral_mb: int | None = 512, **changes: Any) -> Any:
    """The base of a deploy with these settings."""
    world.memory_mb, world.ephemeral_mb = memory_mb, ephemeral_mb
    world.deploy(rebase=False, **changes)
    return current_base(world.store, "digits")


def large(world: World, size: int, path: str = "w.bin") -> Any:
    return load_manifest(world.store, world.publish_large(7, size, path=path))


def test_what_fits_travels_as_a_layer(world: World) -> None:
    manifest = large(world, LAYER_BYTES - 1000)
    assert place(manifest, on(world)) == Placement()
    assert str(Placement()) == "layer"


def test_one_byte_more_is_read_from_s3_at_start(world: World) -> None:
    placement = place(large(world, LAYER_BYTES - 999), on(world))
    assert not placement.in_layer
    assert str(placement) == "S3 at start, 512 MB"


@pytest.mark.parametrize(
    ("size", "path", "base", "fact", "hint"),
    [
        (
            200_000_000,
            "w.bin",
            {"ephemeral_mb": None},
            "`digits:7` has 200,001,000 bytes and a layer holds 130,000,000, and this model may not read",
            "Write `ephemeral_mb = 512` under `[models.digits]` in models.toml and deploy, or publish a smaller",
        ),
        (
            600 * MIB,
            "w.bin",
            {"ephemeral_mb": None},
            "may not read its versions from S3",
            "Write `ephemeral_mb = 601` and `snapstart = false` under",
        ),
        (
            600 * MIB,
            "w.bin",
            {},
            "`digits:7` has 629,146,600 bytes, which takes 601 MB of `/tmp`, and the function has 512 MB",
            "Write `ephemeral_mb = 601` and `snapstart = false` under `[models.digits]`",
        ),
        (
            10_240 * MIB,
            "w.bin",
            {"ephemeral_mb": 10_240},
            "`/tmp` of a Lambda function has at most 10,240 MB",
            "Publish a smaller",
        ),
        (
            200 * MIB,
            "w.bin",
            {"memory_mb": 328},
            "needs about 329 MB of memory to be loaded, and the function has 328 MB",
            "Set `memory_mb = 329` under `[models.digits]`",
        ),
        (
            200 * MIB,
            "encoder.onnx",
            {"memory_mb": 512},
            "needs about 529 MB of memory to be loaded, and the function has 512 MB",
            "a graph file takes its size twice, external data once",
        ),
        (
            6_000 * MIB,
            "encoder.onnx",
            {"memory_mb": 10_240, "ephemeral_mb": 10_240},
            "needs about 12,129 MB of memory",
            "Publish a smaller",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_numbers_and_what_to_write(
    world: World, size: int, path: str, base: dict[str, Any], fact: str, hint: str
) -> None:
    """Law 8: at release, not minutes later by Lambda."""
    with pytest.raises(UnfitVersionError) as refused:
        place(large(world, size, path), on(world, **base))
    assert fact in str(refused.value)
    assert hint in str(refused.value.hint)
    assert "\n" not in str(refused.value)


def test_what_is_just_enough_is_enough(world: World) -> None:
    assert not place(large(world, 200 * MIB), on(world, memory_mb=329)).in_layer


def test_a_start_on_demand_that_lambda_will_not_wait_for_is_said(world: World) -> None:
    """Law 8, as a warning: an estimate is no reason to refuse."""
    (said,) = slow_start(large(world, 900_000_000), on(world, ephemeral_mb=1024))
    assert said == (
        "reading `digits:7` from S3 takes some 15 s by estimate, and a start has 10 s and then up to the 10 s "
        "time limit inside the first request, which may fail; what was read by then is kept"
    )
    assert slow_start(large(world, 900_000_000), on(world, ephemeral_mb=1024, provisioned=1)) == ()


def test_a_patient_start_has_longer_and_a_layer_is_never_slow(world: World) -> None:
    provisioned = on(world, ephemeral_mb=10_240, provisioned=1)
    (said,) = slow_start(large(world, 9_000_000_000), provisioned)
    assert said.endswith("takes some 150 s by estimate, and a start has 130 s")
    assert slow_start(load_manifest(world.store, ByVersion("digits", 1)), provisioned) == ()


def test_a_released_version_says_how_it_gets_its_model(world: World) -> None:
    on(world)
    world.publish_large(7)
    world.controller().release(ByVersion("digits", 7))
    assert world.status().placement == "S3 at start, 512 MB"
    world.controller().release(ByVersion("digits", 1))
    assert world.status().placement == "layer"
    world.controller().rollback("digits")
    assert (world.ask(), world.status().placement) == ((200, "digits:7"), "S3 at start, 512 MB")


def test_what_carries_no_model_is_nowhere(world: World) -> None:
    assert (placed(None), placed(world.functions.config(FUNCTION))) == ("", "")
    assert not reads_at_start(None)
