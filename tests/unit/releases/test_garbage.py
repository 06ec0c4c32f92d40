"""``releases.garbage``: Lambda versions and layers that nothing needs, and only those."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from model_store.collect import DAY_SECONDS
from model_store.contract.deployment import function_name, model_layer_name
from model_store.contract.errors import CollectionRunningError
from model_store.contract.keys import collected_prefix
from model_store.contract.names import ByVersion
from model_store.pins import pin
from model_store.sweeps import claim, running
from releases.adapters.memory_collector import MemoryFunctionCollector
from releases.errors import ServiceError, UnfitVersionError
from releases.garbage import LAYER, VERSION, LambdaPlan, collect, plan
from releases.needs import needed
from releases.prepare import served_by
from tests.unit.releases.world import STAGE, Around, World

FUNCTION = function_name(STAGE, "digits")


def ref(version: int) -> ByVersion:
    return ByVersion("digits", version)


def released(world: World, *versions: int) -> World:
    """Release one after the other, and let a month pass."""
    for version in versions:
        if version > 3:
            world.publish(version)
        world.controller().release(ref(version))
    world.clock.seconds += 30 * DAY_SECONDS
    return world


@pytest.fixture
def many(world: World) -> World:
    """Fifteen releases: more than a rollback reaches."""
    return released(world, *range(1, 16))


def planned(world: World, **rules: Any) -> LambdaPlan:
    return plan(world.stage(), MemoryFunctionCollector(world.functions), **rules)


def models_in(world: World, names: list[str]) -> list[int]:
    configs = (world.functions.config(FUNCTION, name.rpartition(":")[2]) for name in names)
    return [served_by(config) for config in configs]


def going(world: World, what: str = VERSION, **rules: Any) -> list[str]:
    return [item.name for item in planned(world, **rules).items if item.what == what]


def take(world: World, agreed: LambdaPlan | None = None, **parts: Any) -> Any:
    return collect(
        parts.get("stage") or world.stage(),
        parts.get("collector") or MemoryFunctionCollector(world.functions),
        announce=world.store,
        by="collector",
        agreed=agreed or planned(world),
    )


def serving(world: World) -> set[int]:
    """The model versions that Lambda can still answer with."""
    return {served_by(config) for config, _ in world.functions.published(FUNCTION)}


def test_what_no_release_reaches_goes_and_the_last_releases_stay(many: World) -> None:
    """Law 10: the last ten releases, what serves and what a rollback reaches stay published."""
    assert models_in(many, going(many)) == [0, 1, 2, 3, 4]
    taken = take(many)
    assert serving(many) == set(range(5, 16))
    assert {item.what for item in taken.items} == {VERSION, LAYER}
    assert taken.spared == ()
    assert running(many.store, many.clock.now) is None
    for _ in range(10):
        many.controller().rollback("digits")
    assert many.status().version == 5
    assert planned(many).items == ()


def test_fewer_releases_stay_if_asked_but_never_less_than_a_deploy_may_roll_back(many: World) -> None:
    """Law 10: a deploy prepares the rollback targets on its base, so it must find them."""
    assert models_in(many, going(many, keep=1)) == [0, 1, 2, 3, 4]


def test_what_is_needed_stays_on_every_base(many: World) -> None:
    """Law 10: a stack that rolls back puts aliases on what was prepared on an earlier base."""
    before = {config.version for config, _ in many.functions.published(FUNCTION)}
    many.memory_mb = 1024
    many.deploy()
    many.clock.seconds += 30 * DAY_SECONDS
    after = {config.version for config, _ in many.functions.published(FUNCTION)}
    assert before < after
    going_now = {name.rpartition(":")[2] for name in going(many)}
    assert models_in(many, going(many)) == [0, 1, 2, 3, 4]
    assert going_now < before


def test_what_is_young_stays(many: World) -> None:
    assert going(many, grace_s=31 * DAY_SECONDS) == []
    assert going(many, LAYER, grace_s=31 * DAY_SECONDS) == []


def test_a_layer_goes_with_the_last_version_that_carries_it(many: World) -> None:
    layers = [arn for arn, _ in many.functions.layers(model_layer_name(STAGE, "digits"))]
    assert going(many, LAYER) == layers[:4]
    sizes = {item.name: item.size for item in planned(many).items if item.what == LAYER}
    assert sizes[layers[0]] == len(many.functions.layer(layers[0]))
    take(many)
    assert [arn for arn, _ in many.functions.layers(model_layer_name(STAGE, "digits"))] == layers[4:]


def test_what_a_person_pinned_stays(many: World) -> None:
    """Law 10: a pin is a word that a version is kept."""
    pin(many.store, ref(2), reason="audit", by="ann", at="2026-11-22", now=many.clock.now)
    assert 2 not in models_in(many, going(many))
    assert "`digits:2` is pinned by ann: audit" in planned(many).kept.values()


@pytest.mark.parametrize("share", [False, True])
def test_what_an_alias_leads_to_or_gives_a_share_stays_whatever_the_ledger_says(
    many: World, share: bool
) -> None:
    """Law 10: an alias that was moved past the ledger is an alias too."""
    old = going(many)[1]
    number = old.rpartition(":")[2]
    if share:
        many.functions.meddle(FUNCTION, "live", weights={number: 0.1})
    else:
        many.functions.create_alias(FUNCTION, "by-hand", version=number, note="")
    assert old not in going(many)


def test_what_is_kept_started_stays(many: World) -> None:
    old = going(many)[1]
    many.functions.provision(FUNCTION, old.rpartition(":")[2], 1)
    assert planned(many).kept[old] == "environments of it are kept started"


def test_what_a_running_shift_is_about_to_use_stays(many: World) -> None:
    """Law 10: never what a running release needs."""
    assert 2 in models_in(many, going(many))
    many.begin(2)
    assert 2 not in models_in(many, going(many))


def test_the_newest_version_of_a_function_stays_also_where_nobody_needs_it(world: World) -> None:
    """Lambda publishes nothing where nothing changed, and answers with the newest version."""
    config = world.functions.config(FUNCTION)
    assert config is not None
    for code in ("by hand", "by hand again"):
        config = world.functions.deploy(FUNCTION, code_sha256=code)
        world.functions.publish(FUNCTION, description="", code_sha256=code, revision=config.revision)
    world.clock.seconds += 30 * DAY_SECONDS
    newest = world.functions.published(FUNCTION)[-1][0].version
    assert planned(world).kept[f"{FUNCTION}:{newest}"] == "it is the newest of its function"
    assert going(world) == [f"{FUNCTION}:{int(newest) - 1}"]


def test_a_number_answers_as_long_as_its_version_is_kept(many: World) -> None:
    """Law 10: pins follow; those of what goes are parked, and no release leads them back."""
    pins = many.stage().pins("digits")
    assert set(pins.present()) == set(range(1, 16))
    take(many)
    assert set(pins.present()) == set(range(5, 16))
    assert pins.differences() == []
    many.publish(16)
    many.controller().release(ref(16))
    assert set(pins.present()) == set(range(5, 17))
    many.controller().release(ref(2))
    assert 2 in pins.present()
    many.controller().release(ref(16))
    assert 2 in pins.present()
    assert pins.differences() == []


def test_pins_that_were_parked_on_what_goes_are_moved(many: World) -> None:
    take(many)
    released(many, *range(16, 30))
    taken = take(many)
    assert taken.spared == ()
    assert set(many.stage().pins("digits").present()) == set(range(19, 30))


def test_a_tombstone_stays_of_each(many: World) -> None:
    """Law 10: who took it, when and why can be read for ever."""
    agreed = planned(many)
    take(many, agreed)
    stones = [json.loads(many.store.get(key)) for key in many.store.keys(collected_prefix("digits"))]
    assert len(stones) == len([item for item in agreed.items if item.what == VERSION])
    assert {stone["by"] for stone in stones} == {"collector"}
    assert all(stone["why"].startswith("nothing needs it") for stone in stones)


def test_what_has_a_tombstone_is_not_used_again_even_if_it_is_still_there(many: World) -> None:
    """Law 3: a collector that died may delete it any time, or the next one does."""

    class Died(BaseException):
        pass

    def die(_: str) -> None:
        raise Died

    before = {version.version for version, _ in many.functions.published(FUNCTION)}
    with pytest.raises(Died):
        take(many, collector=Interrupted(many, die))
    assert before == {version.version for version, _ in many.functions.published(FUNCTION)}
    many.clock.seconds += 3601
    many.controller().release(ref(2))
    state = many.functions.alias(FUNCTION, "live")
    assert state is not None
    assert state.version not in before


def test_a_version_that_was_taken_can_be_released_again(many: World) -> None:
    """Law 3: a record of what was prepared proves nothing; what is gone is prepared anew."""
    take(many)
    many.controller().release(ref(2))
    assert many.status().version == 2


def test_a_rollback_beyond_what_is_kept_moves_nothing_and_says_what_to_do(many: World) -> None:
    """Law 6: a rollback builds nothing; what has to be built is a release."""
    take(many)
    with pytest.raises(UnfitVersionError, match="no Lambda version of `digits:2` is left") as refusal:
        many.controller().rollback("digits", to=2)
    assert refusal.value.hint == "Prepare it again, which takes longer: `yard release digits:2`."
    assert many.status().version == 15


def test_where_lambda_does_not_answer_nothing_is_called_garbage(many: World) -> None:
    """Law 10: what cannot be known is not collected."""

    def fail(verb: str) -> None:
        if verb == "aliases":
            raise ServiceError("Lambda did not answer")

    stage = many.stage(functions=Around(many.functions, before=fail))
    with pytest.raises(ServiceError):
        plan(stage, MemoryFunctionCollector(many.functions))


def test_nothing_is_claimed_where_nothing_is_garbage(world: World) -> None:
    released(world, 1)
    before = list(world.store.keys(""))
    assert take(world).items == ()
    assert list(world.store.keys("")) == before


# Races


def test_one_collection_at_a_time(many: World) -> None:
    claim(many.store, many.clock.now, by="bo", versions=(), blobs=())
    with pytest.raises(CollectionRunningError):
        take(many)


def test_a_release_between_plan_and_deletion_keeps_what_it_took(many: World) -> None:
    """Law 10: only what nobody needs in both looks goes."""
    agreed = planned(many)
    many.controller().release(ref(2))
    taken = take(many, agreed)
    assert 2 in serving(many)
    assert many.status().version == 2
    assert [item.name for item in taken.spared if item.what == VERSION] == [
        item.name for item in agreed.items if "`digits:2`" in item.why
    ]


class Interrupted(MemoryFunctionCollector):
    """Lets somebody do something right before the first deletion."""

    def __init__(self, world: World, meanwhile: Callable[[str], None]) -> None:
        super().__init__(world.functions)
        self._meanwhile: Callable[[str], None] | None = meanwhile

    def delete_version(self, function: str, version: str) -> None:
        if self._meanwhile:
            todo, self._meanwhile = self._meanwhile, None
            todo(version)
        super().delete_version(function, version)


def test_a_release_during_the_deletions_is_refused_and_moves_nothing(many: World) -> None:
    """Law 10: whoever begins to need a version looks for a collection first."""
    refused: list[str] = []

    def release(_: str) -> None:
        with pytest.raises(CollectionRunningError) as refusal:
            many.controller().release(ref(2))
        refused.append(str(refusal.value))

    take(many, collector=Interrupted(many, release))
    assert "`digits:2` may be taken away by it" in refused[0]
    assert many.functions.alias(FUNCTION, "live") is not None
    assert many.status().version == 15
    many.controller().release(ref(2))
    assert many.status().version == 2


def test_what_an_alias_was_led_to_at_the_last_moment_stays_and_keeps_its_layer(many: World) -> None:
    """Law 10: Lambda deletes no version that an alias leads to, and neither does its layer go."""
    led: list[str] = []

    def lead(_: str) -> None:
        (version,) = (
            item.name.rpartition(":")[2] for item in planned(many).items if "`digits:2`" in item.why
        )
        many.functions.create_alias(FUNCTION, "by-hand", version=version, note="")
        led.append(version)

    taken = take(many, collector=Interrupted(many, lead))
    config = many.functions.config(FUNCTION, led[0])
    assert config is not None
    assert all(many.functions.layer_exists(arn) for arn in config.layers if "model" in arn)
    assert f"{FUNCTION}:{led[0]}" in {item.name for item in taken.spared}


def test_a_collector_that_was_paused_deletes_nothing(many: World) -> None:
    """Law 10: others have stopped waiting for it."""
    agreed = planned(many)

    def sleep(_: str) -> None:
        many.clock.seconds += 3600

    before = serving(many)
    taken = take(many, agreed, collector=Interrupted(many, sleep))
    assert len(taken.items) == 1
    assert len(before - serving(many)) == 1


def test_a_crash_at_any_deletion_loses_nothing_that_is_needed(many: World) -> None:
    """Law 10: after a crash everything that a rollback reaches is there, and the next run ends the work."""

    class Died(BaseException):
        pass

    class Mortal(MemoryFunctionCollector):
        deleted = 0

        def delete_version(self, function: str, version: str) -> None:
            if self.deleted:
                raise Died
            super().delete_version(function, version)
            self.deleted += 1

    deaths = 0
    while True:
        try:
            take(many, collector=Mortal(many.functions))
        except Died:
            deaths += 1
            assert {found.version for found in needed(many.stage())} <= serving(many)
            assert many.stage().pins("digits").differences() == []
        else:
            break
    assert deaths == 4
    assert planned(many).items == ()
    assert serving(many) == set(range(5, 16))
