"""``releases.waving`` on the shipped fakes: a stage is taken to a new base wave by wave, or stops and stays.

Law 4 throughout: no deploy moves what waits, and a rebase moves no alias to another model version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name, model_alarms_prefix
from model_store.contract.names import ByVersion
from releases.adapters.memory import MemoryFunctions
from releases.alarms import served_now
from releases.bases import current_base, standing_base, waiting_base
from releases.deploy import Deploy
from releases.errors import ReleaseError, ShiftRunningError, WavesRunningError
from releases.ports import Alarm, FunctionConfig
from releases.status import status
from releases.waves import BAD, DONE, Ended
from releases.waving import Waving, progress
from tests.unit.releases.test_crashes import Fuse, ProcessDied
from tests.unit.releases.world import STAGE, Around, Play, StillClock, World, honest

MODELS = ("digits", "spam", "words")
ONE_EACH = (1.0, 50.0)
NEW, OLD = 1024, 512


@dataclass
class Busy(StillClock):
    """A clock during whose sleeps things happen."""

    meanwhile: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        super().__init__()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.meanwhile()


def fleet(play: Play = honest) -> tuple[World, Busy]:
    """Three models with two releases each, on a base; a deploy with another one has left them where they are."""
    clock = Busy()
    world = World(MemoryFunctions(play), clock=clock)
    world.deploy(*MODELS, waves=True)
    for model in MODELS:
        for version in (1, 2):
            world.publish(version, model)
            world.controller().release(ByVersion(model, version))
    world.memory_mb = NEW
    world.deploy(*MODELS, waves=True)
    return world, clock


def memory(world: World) -> list[int]:
    return [world.live_memory_mb(model) for model in MODELS]


def rebase(world: World, *, by: str = "ann", **more: Any) -> Ended:
    waving = Waving(world.stage(by=by))
    begun = waving.begin(more.pop("parts", ONE_EACH), bake_s=60, reason="CVE-2026-1", **more)
    assert begun is not None
    return waving.go_on(begun.campaign)


def fail(world: World, model: str) -> None:
    """Count faults of whatever serves ``model`` just now."""
    plan = world.controller().history(model)[-1].plan
    served = served_now(world.stage(), plan)
    world.monitoring.record(served.of_ours(env.FAULTS_METRIC), *[1.0] * 9)


def when_moved(world: World, clock: Busy, model: str, cause: Callable[[], None]) -> None:
    """Let something happen, once, as soon as ``model`` was moved and is looked at."""

    def meanwhile() -> None:
        if world.live_memory_mb(model) == NEW:
            clock.meanwhile = lambda: None
            cause()

    clock.meanwhile = meanwhile


def test_a_deploy_of_a_stage_in_waves_moves_nothing_and_says_who_waits() -> None:
    """Law 4."""
    world, _ = fleet()
    assert memory(world) == [OLD] * 3
    assert {model: current_base(world.store, model).memory_mb for model in MODELS} == dict.fromkeys(
        MODELS, NEW
    )
    assert {model: standing_base(world.store, model).memory_mb for model in MODELS} == dict.fromkeys(
        MODELS, OLD
    )
    assert "digits waits on the base before for its wave: `yard rebase`" in world.said
    seen = status(world.stage(), "digits")
    assert (seen.waits, seen.on_current_base, seen.rollback_ready, seen.disagreements) == (
        True,
        False,
        True,
        (),
    )


def test_waves_take_all_models_to_the_new_base_and_the_ledgers_say_which_and_why() -> None:
    world, clock = fleet()
    seen: list[list[int]] = []
    clock.meanwhile = lambda: seen.append(memory(world)) if memory(world) not in seen else None
    assert rebase(world) == Ended(DONE)
    assert seen == [[NEW, OLD, OLD], [NEW, NEW, OLD], [NEW, NEW, NEW]]
    for wave, model in enumerate(MODELS, 1):
        line = world.controller().history(model)[-1]
        assert (line.plan.kind, line.version) == ("rebase", 2)
        assert line.plan.reason == f"wave {wave} of 3 of rebase 1: CVE-2026-1"
        assert standing_base(world.store, model).memory_mb == NEW
        assert world.controller().rollback(model).warnings == ()
        assert world.live_memory_mb(model) == NEW
    assert Waving(world.stage()).begin(ONE_EACH, bake_s=60) is None


def test_a_wave_whose_version_does_not_answer_on_the_new_base_moves_nothing_and_ends_it() -> None:
    """Law 5."""

    def picky(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
        if config.memory_mb == NEW and config.function == function_name(STAGE, "spam"):
            raise MemoryError("spam no longer fits")
        return honest(config, event)

    world, _ = fleet(picky)
    ended = rebase(world)
    assert (ended.how, "spam no longer fits" in ended.why) == (BAD, True)
    assert memory(world) == [NEW, OLD, OLD]
    assert [line.plan.kind for line in world.controller().history("spam")] == ["release", "release"]
    found = progress(world.stage())
    assert found is not None
    assert (found.wave, found.models, found.ended) == (2, ("spam",), BAD)


def an_alarm(world: World) -> None:
    """An alarm that a deploy made begins to fire on spam."""
    plan = world.controller().history("spam")[-1].plan
    metric = served_now(world.stage(), plan).of_ours("Latency")
    name = f"{model_alarms_prefix(STAGE, 'spam')}Alias/live/slow"
    world.monitoring.put_alarm(Alarm(name, "slow", metric, "Maximum", 1.0, 60, needed=1, of=1))
    world.monitoring.record(metric, 9_999.0)
    world.monitoring.evaluate()


TROUBLE: dict[str, tuple[Callable[[World], None], str]] = {
    "faults": (lambda world: fail(world, "spam"), "spam@live: 9 of 9 answers were server faults"),
    "an alarm": (an_alarm, "Alias/live/slow` is in ALARM"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_wave_that_goes_wrong_goes_back_and_the_rest_stays(trouble: str) -> None:
    world, clock = fleet()
    cause, said = TROUBLE[trouble]

    when_moved(world, clock, "spam", lambda: cause(world))
    ended = rebase(world)
    assert (ended.how, said in ended.why) == (BAD, True), ended.why
    assert memory(world) == [NEW, OLD, OLD]
    there, back = world.controller().history("spam")[-2:]
    assert (back.plan.kind, back.plan.lambda_version) == ("rebase", there.plan.from_lambda_version)
    assert "wave 2 of 3 of rebase 1" in back.plan.reason
    assert waiting_base(world.store, "digits") is None
    assert waiting_base(world.store, "spam") is not None
    assert world.status().disagreements == ()


def test_what_was_wrong_before_a_wave_does_not_stop_it() -> None:
    """An alarm that fires already would block the repair of what it fires for."""
    world, clock = fleet()
    an_alarm(world)
    fail(world, "spam")
    clock.meanwhile = lambda: fail(world, "spam")
    assert rebase(world) == Ended(DONE)


def test_a_rollback_while_a_wave_is_looked_at_leaves_the_new_base_and_stops_the_wave() -> None:
    """Law 6: the way back leads to what served on the base before, not to the one that is being tried."""
    world, clock = fleet()

    def roll_back() -> None:
        moved = world.controller(by="ben").rollback("digits", reason="slow")
        assert (moved.ref.version, moved.warnings) == (1, ())

    when_moved(world, clock, "digits", roll_back)
    ended = rebase(world)
    assert (ended.how, "ben took digits@live back" in ended.why) == (BAD, True)
    assert memory(world) == [OLD, OLD, OLD]
    assert world.ask("digits") == (200, "digits:1")


def test_rollbacks_work_while_models_wait_and_after_a_wave_went_back() -> None:
    """Law 6."""
    world, clock = fleet()
    moved = world.controller().rollback("words")
    assert (moved.ref.version, moved.warnings, world.live_memory_mb("words")) == (1, (), OLD)
    when_moved(world, clock, "digits", lambda: fail(world, "digits"))
    assert rebase(world).how == BAD
    moved = world.controller().rollback("digits")
    assert (moved.ref.version, moved.warnings, world.live_memory_mb("digits")) == (1, (), OLD)


def test_a_release_while_its_model_waits_stands_on_the_new_base_and_its_rollback_on_the_old_one() -> None:
    world, _ = fleet()
    world.publish(3, "digits")
    moved = world.controller().release(ByVersion("digits", 3))
    assert "waits to be moved to by `yard rebase`" in moved.warnings[0]
    assert world.live_memory_mb("digits") == NEW
    assert world.controller().rollback("digits").warnings == ()
    assert world.live_memory_mb("digits") == OLD


def test_a_deploy_neither_undoes_a_wave_nor_jumps_the_queue() -> None:
    """Law 4: also one that ran again, or was rolled back by CloudFormation."""
    world, clock = fleet()
    when_moved(world, clock, "spam", lambda: fail(world, "spam"))
    assert rebase(world, parts=(("digits",), ("spam",))).how == BAD
    assert memory(world) == [NEW, OLD, OLD]
    world.deploy(*MODELS, waves=True)
    assert memory(world) == [NEW, OLD, OLD]
    again = [world.declared(model, waves=True) for model in MODELS]
    Deploy(world.stage(by="cdk")).rebase(again, publish=False)
    assert memory(world) == [NEW, OLD, OLD]


def test_a_deploy_is_refused_while_a_rebase_is_under_way_and_says_how_to_go_on() -> None:
    world, clock = fleet()
    refused: list[str | None] = []

    def deploy() -> None:
        for waves in (True, False):
            with pytest.raises(WavesRunningError, match="rebase 1 takes the models") as error:
                Deploy(world.stage()).rebase([world.declared(model, waves=waves) for model in MODELS])
            refused.append(error.value.hint)
        with pytest.raises(WavesRunningError):
            Deploy(world.stage()).refuse_while_in_waves()

    clock.meanwhile = deploy
    assert rebase(world) == Ended(DONE)
    assert set(refused) == {
        "Complete it (`yard rebase`) or end it (`yard rebase --stop`), then deploy again."
    }


def test_a_stage_that_no_longer_says_waves_moves_what_waits_with_its_next_deploy() -> None:
    world, _ = fleet()
    world.deploy(*MODELS)
    assert memory(world) == [NEW] * 3
    assert Waving(world.stage()).waiting() == {}


def test_the_base_that_failed_is_left_behind_by_the_next_deploy() -> None:
    world, clock = fleet()
    when_moved(world, clock, "digits", lambda: fail(world, "digits"))
    assert rebase(world).how == BAD
    world.code = "repaired"
    world.deploy(*MODELS, waves=True)
    clock.sleep(7_200)
    assert rebase(world) == Ended(DONE)
    function = function_name(STAGE, "digits")
    live = world.functions.alias(function, "live")
    assert live is not None
    config = world.functions.config(function, live.version)
    assert config is not None
    assert config.code_sha256 == "repaired"


def test_stopping_puts_the_unfinished_wave_back_and_leaves_the_others() -> None:
    world, clock = fleet()

    def stop() -> None:
        assert Waving(world.stage(by="ben")).stop(reason="odd answers") is not None

    when_moved(world, clock, "spam", stop)
    assert rebase(world) == Ended(BAD, "wave 2: stopped by ben: odd answers")
    assert memory(world) == [NEW, OLD, OLD]
    assert Waving(world.stage()).stop(reason="again") is None


def test_a_rebase_waits_for_a_shift_of_one_of_its_models() -> None:
    world, _ = fleet()
    world.publish(3)
    world.begin(3)
    with pytest.raises(ShiftRunningError):
        rebase(world)
    assert memory(world) == [OLD] * 3


def test_another_rebase_is_refused_while_one_is_under_way_and_the_same_goes_on() -> None:
    world, _ = fleet()
    waving = Waving(world.stage())
    begun = waving.begin(ONE_EACH, bake_s=60)
    assert begun is not None
    with pytest.raises(WavesRunningError, match="under way in other waves"):
        waving.begin((100.0,), bake_s=60)
    for parts in (ONE_EACH, None):
        again = waving.begin(parts, bake_s=60)
        assert again is not None
        assert (again.joined, again.campaign) == (True, begun.campaign)


def test_a_model_that_does_not_wait_cannot_be_asked_for() -> None:
    world, _ = fleet()
    with pytest.raises(ReleaseError, match="`nobody` waits for no wave"):
        Waving(world.stage()).begin((("nobody",),), bake_s=60)


def story(fuse: Fuse, *, bad: bool) -> tuple[World, Callable[[], None]]:
    """A fleet with two waves before it, and what carries them out until the fuse blows."""
    world, clock = fleet()
    if bad:
        when_moved(world, clock, "spam", lambda: fail(world, "spam"))
    stage = world.stage(
        store=Around(world.store, before=fuse.before, after=fuse.after),
        functions=Around(world.functions, before=fuse.before, after=fuse.after),
    )
    return world, lambda: carry_on(Waving(stage))


def carry_on(waving: Waving) -> None:
    begun = waving.begin((("digits",), ("spam",)), bake_s=20)
    assert begun is not None
    waving.go_on(begun.campaign)


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("bad", [False, True], ids=["held", "bad"])
def test_killed_at_any_call_the_same_command_completes_it(*, bad: bool, after_effect: bool) -> None:
    """Law 3: at every moment each alias is on a checked version, and no line is lost."""
    counting = Fuse(at=-1, after_effect=False)
    world, run = story(counting, bad=bad)
    run()
    wanted = memory(world)
    assert wanted == ([NEW, OLD, OLD] if bad else [NEW, NEW, NEW])
    # Every thirteenth call: each of these stories tells the lives of three models.
    for at in range(1 + after_effect, counting.calls + 1, 13):
        world, run = story(Fuse(at=at, after_effect=after_effect), bad=bad)
        with pytest.raises(ProcessDied):
            run()
        assert {world.ask(model) for model in MODELS} == {(200, f"{model}:2") for model in MODELS}, at
        for _ in range(2):  # the dead holder's lease runs out, and what goes wrong meanwhile is counted
            world.clock.sleep(120)
        found = progress(world.stage())
        if found is None or found.ended is None:
            carry_on(Waving(world.stage()))
        assert memory(world) == wanted, f"killed at call {at}"
        for model in MODELS:
            lines = world.controller().history(model)
            assert [line.line for line in lines] == list(range(1, len(lines) + 1))
            assert status(world.stage(), model).disagreements == ()
