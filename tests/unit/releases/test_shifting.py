"""``releases.shifting``: releases in steps, on the shipped fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.deployment import TELLING_ALARMS, UNDOING_ALARMS, function_name
from model_store.contract.names import ByVersion
from releases import alarms
from releases.controller import Controller
from releases.errors import (
    DisagreementError,
    LostRaceError,
    NotDeployedError,
    ReleaseError,
    ShiftRunningError,
    UnfitVersionError,
)
from releases.ledger import standing
from releases.ports import FunctionConfig
from releases.shifting import NEXT, Shifting, check_shares
from releases.stage import Stage
from tests.unit.releases.world import STAGE, Around, World, honest, respond

FUNCTION = function_name(STAGE, "digits")
At = dict[str, Any]


def weights(world: World) -> dict[str, float]:
    state = world.functions.alias(FUNCTION, "live")
    assert state is not None
    return state.weights


def kinds(world: World) -> list[str]:
    return [line.plan.kind for line in world.controller().history("digits")]


@pytest.fixture
def shifted(world: World) -> World:
    """``digits:1`` serves, and a shift of it can be asked for."""
    world.controller().release(ByVersion("digits", 1))
    return world


def busy(world: World, **bad: Any) -> Callable[[At], None]:
    """Enough traffic at every step."""
    return lambda at: world.traffic(100, **bad) if at["next"] in ("bake", "hold") else None


def test_a_shift_goes_step_by_step_and_then_flips(shifted: World) -> None:
    seen: list[dict[str, float]] = []

    def between(at: At) -> None:
        if at["next"] == "bake":
            seen.append(weights(shifted))
            assert shifted.ask() == (200, "digits:1")
            shifted.traffic(100)

    assert shifted.drive(shifted.begin(2, 0.05, 0.25, 0.5), between) == "done"
    assert [list(found.values()) for found in seen] == [[0.05], [0.25], [0.5]]
    assert (shifted.ask(), weights(shifted)) == ((200, "digits:2"), {})
    assert kinds(shifted) == ["release", "shift", "shift", "shift", "release"]
    assert shifted.status().disagreements == ()


def test_while_a_shift_runs_the_alias_is_on_the_version_before_it(shifted: World) -> None:
    """Law 3: the ledger says so too: the steps of a shift are no steps for a rollback."""

    def between(at: At) -> None:
        if at["next"] == "bake":
            status = shifted.status()
            assert (status.version, status.disagreements) == (1, ())
            assert [step.version for step in standing(shifted.controller().history("digits"))] == [1]
            shifted.traffic(100)

    shifted.drive(shifted.begin(2, 0.1), between)


def test_each_step_bakes_as_long_as_asked(shifted: World) -> None:
    began = shifted.clock.now()
    shifted.drive(shifted.begin(2, 0.05, 0.5, bake_s=300), busy(shifted))
    assert shifted.clock.now() - began == pytest.approx(600, abs=5)


def test_a_step_without_enough_requests_holds_and_goes_on_when_they_came(shifted: World) -> None:
    said: list[str] = []

    def between(at: At) -> None:
        if at["next"] == "hold":
            said.append(at["said"])
            if len(said) == 3:
                shifted.traffic(100)

    assert shifted.drive(shifted.begin(2, 0.5, min_requests=40), between) == "done"
    assert "answered 0 of the 40 requests" in said[0]
    assert len(said) == 3


def test_a_long_hold_is_looked_at_less_often(shifted: World) -> None:
    """An execution's history is limited: a day of holding must fit."""
    looks = 0

    def between(at: At) -> None:
        nonlocal looks
        looks += at["next"] == "hold"

    assert shifted.drive(shifted.begin(2, 0.5, bake_s=60, hold_s=86_400.0), between) == "taken-back"
    assert 170 <= looks <= 181


def test_a_step_that_never_sees_enough_requests_goes_back_at_its_deadline(shifted: World) -> None:
    shift = shifted.begin(2, 0.5, bake_s=60, hold_s=600.0)
    began = shifted.clock.now()
    assert shifted.drive(shift) == "taken-back"
    assert shifted.clock.now() - began == pytest.approx(660, abs=15)
    assert (shifted.ask(), weights(shifted)) == ((200, "digits:1"), {})
    line = shifted.controller().history("digits")[-1]
    assert line.plan.kind == "stop"
    assert "answered 0 of the 30 requests" in line.plan.reason


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"errors": 5}, "5 of 100 invocations failed"),
        ({"faults": 5}, "5 of 100 answers were server faults"),
        ({"latency_ms": 9000.0}, "p90 latency is 9000 ms"),
    ],
    ids=["timeouts and crashes", "server faults", "latency"],
)
def test_a_faulty_version_goes_back_at_its_first_step(
    shifted: World, bad: dict[str, Any], words: str
) -> None:
    assert shifted.drive(shifted.begin(2, 0.05, 0.5), busy(shifted, **bad)) == "taken-back"
    assert (shifted.ask(), weights(shifted)) == ((200, "digits:1"), {})
    line = shifted.controller().history("digits")[-1]
    assert (line.plan.kind, line.plan.version) == ("alarm", 1)
    assert words in line.plan.reason
    assert kinds(shifted) == ["release", "shift", "alarm"]


def test_one_failure_in_a_thousand_is_no_reason(shifted: World) -> None:
    def between(at: At) -> None:
        if at["next"] == "bake":
            shifted.traffic(1000, errors=1, faults=1)

    assert shifted.drive(shifted.begin(2, 0.5), between) == "done"


def failing(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    if config.environment.get("SWITCHYARD_VERSION") == "2":
        return respond(config, 500, {"error": "out of memory"})
    return honest(config, event)


def test_a_version_that_fails_its_checks_takes_no_share(new_world: Callable[..., World]) -> None:
    """Law 5."""
    world = new_world(failing)
    world.deploy()
    world.publish(1), world.publish(2)
    world.controller().release(ByVersion("digits", 1))
    shift = world.begin(2, 0.5)
    assert world.drive(shift) == "taken-back"
    assert kinds(world) == ["release"]
    why = world.stage().shifts("digits", "live").why_ended(shift.number)
    assert why is not None
    assert "out of memory" in why
    world.begin(2, 0.5)  # it does not block the next one


def test_asking_twice_for_the_same_shift_is_asking_once(shifted: World) -> None:
    first = shifted.begin(2)
    again = shifted.shifting(by="bob").begin(ByVersion("digits", 2), shares=(0.05, 0.5), bake_s=120)
    assert again is not None
    assert (again.joined, again.shift) == (True, first)
    assert list(shifted.executions.started) == [first.id]


def test_a_shift_that_was_written_down_and_not_started_is_started_by_the_same_command(
    shifted: World,
) -> None:
    """Law 3: running the same command again completes it."""
    first = shifted.begin(2)
    shifted.executions.started.clear()  # the process died before StartExecution
    shifted.begin(2)
    assert list(shifted.executions.started) == [first.id]


def test_another_shift_while_one_runs_is_refused_with_its_name(shifted: World) -> None:
    shifted.begin(2)
    with pytest.raises(ShiftRunningError, match="from `digits:1` to `digits:2`"):
        shifted.begin(3)


def test_of_two_that_find_the_alias_free_one_gets_it(shifted: World) -> None:
    """Law 3: exactly one wins."""
    other: list[str] = []

    def before(name: str) -> None:
        if name == "try_put_once" and not other:
            other.append("in between")
            other.append(shifted.begin(3).id)

    slow = Shifting(shifted.stage(store=Around(shifted.store, before=before)))
    with pytest.raises(ShiftRunningError, match="`digits:3`"):
        slow.begin(ByVersion("digits", 2), shares=(0.5,), bake_s=1)
    assert list(shifted.executions.started) == [other[1]]


def test_shifting_to_what_serves_already_does_nothing(shifted: World) -> None:
    assert shifted.shifting().begin(ByVersion("digits", 1), shares=(0.5,), bake_s=1) is None


def test_a_shift_from_nothing_is_refused(world: World) -> None:
    with pytest.raises(ReleaseError, match="nothing to shift from"):
        world.begin(1)


def test_a_shift_of_an_alias_that_was_moved_by_hand_is_refused(shifted: World) -> None:
    shifted.functions.meddle(FUNCTION, "live", weights={"1": 0.5})
    with pytest.raises(DisagreementError, match="not where its ledger says"):
        shifted.begin(2)


def test_a_stage_without_the_state_machine_says_what_to_deploy(shifted: World) -> None:
    bare = Stage(STAGE, shifted.store, shifted.functions, shifted.clock, by="ann")
    with pytest.raises(NotDeployedError, match="no state machine"):
        Shifting(bare).begin(ByVersion("digits", 2), shares=(0.5,), bake_s=1)


def test_stopping_takes_the_share_back_and_ends_the_execution(shifted: World) -> None:
    shift = shifted.begin(2, 0.05, 0.5)

    def between(at: At) -> None:
        if at["next"] == "bake":
            shifted.traffic(100)
            if at["step"] == 1:
                stopped = shifted.shifting(by="bob").stop("digits", reason="odd answers")
                assert stopped.ref == ByVersion("digits", 1)
                assert stopped.line is not None
                assert (stopped.line.plan.kind, stopped.line.plan.by) == ("stop", "bob")

    shifted.drive(shift, between)
    assert (shifted.ask(), weights(shifted)) == ((200, "digits:1"), {})
    assert "stopped by bob" in shifted.executions.ended[shift.id]
    assert kinds(shifted) == ["release", "shift", "shift", "stop"]


def test_a_shift_that_is_stopped_while_it_prepares_never_begins(shifted: World) -> None:
    shift = shifted.begin(2)
    shifted.shifting().stop("digits")
    shifted.executions.ended.clear()  # StopExecution did not get through
    assert shifted.drive(shift) == "superseded"
    assert kinds(shifted) == ["release", "stop"]


def test_stopping_without_a_shift_changes_nothing(shifted: World) -> None:
    assert shifted.shifting().stop("digits").line is None
    assert kinds(shifted) == ["release"]


def test_a_stop_that_meets_the_next_step_undoes_that_step(shifted: World) -> None:
    shift = shifted.begin(2, 0.05, 0.5)
    step, at = Shifting(shifted.stage()).step, {"shift": shift.where, "step": 0}
    at = step("weigh", step("prepare", at))
    crossed: list[str] = []

    def before(name: str) -> None:
        if name == "move_alias" and not crossed:
            crossed.append(name)
            step("weigh", {**at, "step": 1})

    stopping = Shifting(shifted.stage(functions=Around(shifted.functions, before=before)))
    assert stopping.stop("digits").ref == ByVersion("digits", 1)
    assert weights(shifted) == {}
    assert kinds(shifted) == ["release", "shift", "shift", "stop"]


def test_a_release_while_a_shift_runs_is_refused(shifted: World) -> None:
    shifted.begin(2)
    with pytest.raises(ShiftRunningError) as refused:
        shifted.controller().release(ByVersion("digits", 3))
    assert refused.value.hint is not None
    assert "yard flip digits:3 --now" in refused.value.hint


def test_a_retirement_while_a_shift_runs_is_refused(shifted: World) -> None:
    shifted.begin(2)
    with pytest.raises(ShiftRunningError):
        shifted.controller().retire("digits")


def weighed(world: World) -> Any:
    shift = world.begin(2, 0.05, 0.5)
    step = Shifting(world.stage()).step
    return shift, step("weigh", step("prepare", {"shift": shift.where, "step": 0}))


def test_a_rollback_while_a_shift_runs_gets_away_from_what_is_tried(shifted: World) -> None:
    """Law 6: the first rollback leaves the shift, the second goes back a step."""
    shifted.controller().release(ByVersion("digits", 3))
    shift, at = weighed(shifted)
    moved = shifted.controller(by="bob").rollback("digits", reason="pages")
    assert moved.ref == ByVersion("digits", 3)
    assert weights(shifted) == {}
    assert any("the shift to digits:2 was running" in warning for warning in moved.warnings)
    assert "overridden by bob" in shifted.executions.ended[shift.id]
    assert Shifting(shifted.stage()).step("look", at)["next"] == "superseded"
    assert shifted.controller().rollback("digits").ref == ByVersion("digits", 1)


def test_a_rollback_that_meets_the_last_flip_still_gets_away(shifted: World) -> None:
    _, at = weighed(shifted)
    crossed: list[str] = []

    def before(name: str) -> None:
        if name == "move_alias" and not crossed:
            crossed.append(name)
            Shifting(shifted.stage()).step("flip", at)

    moved = Controller(shifted.stage(functions=Around(shifted.functions, before=before))).rollback("digits")
    assert moved.ref == ByVersion("digits", 1)
    assert shifted.ask() == (200, "digits:1")
    assert kinds(shifted) == ["release", "shift", "release", "rollback"]


def test_a_rollback_that_an_alarm_was_quicker_than_goes_no_step_further(shifted: World) -> None:
    shifted.controller().release(ByVersion("digits", 3))
    shift, _ = weighed(shifted)
    crossed: list[str] = []

    def before(name: str) -> None:
        if name == "move_alias" and not crossed:
            crossed.append(name)
            Shifting(shifted.stage()).take_back(shift, why="5 of 9 failed", because="alarm")

    moved = Controller(shifted.stage(functions=Around(shifted.functions, before=before))).rollback("digits")
    assert (moved.ref, moved.line) == (ByVersion("digits", 3), None)
    assert "took it back first: 5 of 9 failed" in moved.warnings[0]
    assert shifted.ask() == (200, "digits:3")


def test_the_glass_can_be_broken_while_a_shift_runs(shifted: World) -> None:
    shifted.controller().release(ByVersion("digits", 3))
    shifted.controller().rollback("digits")
    shift, at = weighed(shifted)
    moved = shifted.controller(by="bob").flip(ByVersion("digits", 3), reason="pages")
    assert moved.line is not None
    assert (moved.line.plan.forced, moved.line.plan.reason) == (True, "pages")
    assert (shifted.ask(), weights(shifted)) == ((200, "digits:3"), {})
    assert shift.id in shifted.executions.ended
    for state in ("weigh", "look", "flip", "back"):
        assert Shifting(shifted.stage()).step(state, {**at, "step": 1})["next"] == "superseded"
    assert shifted.ask() == (200, "digits:3")


def test_breaking_the_glass_for_what_never_passed_its_checks_is_refused(shifted: World) -> None:
    """Law 5."""
    with pytest.raises(UnfitVersionError, match="no Lambda version of `digits:3`"):
        shifted.controller().flip(ByVersion("digits", 3), reason="pages")


def test_a_forced_rollback_does_not_wait_for_a_sleeping_version(shifted: World) -> None:
    shifted.controller().release(ByVersion("digits", 2))
    first = shifted.controller().history("digits")[0].plan.lambda_version
    shifted.functions.fail_version(FUNCTION, first, state="Inactive")
    moved = shifted.controller().rollback("digits", reason="pages", now=True)
    assert moved.line is not None
    assert moved.line.plan.forced
    config = shifted.functions.config(FUNCTION, first)
    assert config is not None
    assert config.state == "Inactive"


@pytest.mark.parametrize("state", ["prepare", "weigh", "look", "flip", "back"])
def test_a_state_that_runs_twice_does_its_work_once(shifted: World, state: str) -> None:
    """A Lambda answer can be lost; Step Functions then asks again."""
    shift = shifted.begin(2, 0.5)
    step, at = Shifting(shifted.stage()).step, {"shift": shift.where, "step": 0}
    for before in ("prepare", "weigh", "look", "flip"):
        if before == state or (state == "back" and before == "look"):
            break
        at = step(before, at)
        shifted.traffic(100)
        shifted.clock.sleep(200)
    once, lines = step(state, {**at, "why": "test"}), kinds(shifted)
    again = step(state, {**at, "why": "test"})
    assert kinds(shifted) == lines
    assert again["next"] == (once["next"] if state != "back" else "superseded")


def test_somebody_else_s_move_while_a_shift_prepares_ends_it(shifted: World) -> None:
    shift = shifted.begin(2)
    shifted.controller().flip(ByVersion("digits", 1), reason="pages")
    assert shifted.drive(shift) == "superseded"
    assert weights(shifted) == {}


def test_a_shift_whose_version_was_deleted_under_it_goes_back(shifted: World) -> None:
    shift = shifted.begin(2, 0.5)

    def between(at: At) -> None:
        if at["next"] == "weigh":
            shifted.functions.delete(FUNCTION, at["lambda_version"])

    assert shifted.drive(shift, between) == "taken-back"
    assert (shifted.ask(), kinds(shifted)) == ((200, "digits:1"), ["release"])


def test_the_alarms_of_a_shift_watch_the_new_version_only_and_change_over_at_the_flip(
    shifted: World,
) -> None:
    """Law 11."""
    shift, at = weighed(shifted)
    tried = shifted.monitoring.alarms(f"switchyard/{STAGE}/digits/live/")
    every = {*UNDOING_ALARMS, *TELLING_ALARMS}
    assert {name.rsplit("/", 1)[1] for name in tried} == every - {"errors"}
    for name in tried:
        dimensions = dict(shifted.monitoring.alarm(name).metric.dimensions)
        expected = {"version": "2"} if "version" in dimensions else {"ExecutedVersion": at["lambda_version"]}
        assert expected.items() <= dimensions.items()
    Shifting(shifted.stage()).step("flip", at)
    after = shifted.monitoring.alarms(f"switchyard/{STAGE}/digits/live/")
    only_while_shifting = {"errors-while-shifting", "throttles-while-shifting"}
    assert {name.rsplit("/", 1)[1] for name in after} == every - only_while_shifting
    assert all(f"/{shift.id}/" in name for name in after)
    errors = shifted.monitoring.alarm(next(name for name in after if name.endswith("/errors")))
    assert dict(errors.metric.dimensions) == {"FunctionName": FUNCTION, "Resource": f"{FUNCTION}:live"}


def test_alarms_that_cannot_be_made_keep_a_shift_from_beginning(shifted: World) -> None:
    def before(name: str) -> None:
        if name == "put_alarm":
            raise LostRaceError("no alarms today")

    shift = shifted.begin(2, 0.5)
    stage = shifted.stage(monitoring=Around(shifted.monitoring, before=before))
    ended = shifted.executions.drive(shift.id, Shifting(stage).step, shifted.clock)
    assert ended["next"] == "taken-back"
    assert kinds(shifted) == ["release"]


@pytest.mark.parametrize("wrong", [(), (0,), (100,), (5, 5), (50, 25), (-1, 5), tuple(range(1, 12))])
def test_steps_that_do_not_rise_between_0_and_100_are_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ReleaseError):
        check_shares(wrong)


def test_shares_are_parts_of_one() -> None:
    assert check_shares((5, 25, 50)) == (0.05, 0.25, 0.5)


def test_everything_a_state_may_ask_for_is_listed_for_the_state_machine() -> None:
    assert set(NEXT) == {"weigh", "bake", "hold", "flip", "back", "done", "taken-back", "superseded"}


def test_what_is_released_an_hour_later_is_taken_back_by_nothing(shifted: World) -> None:
    line = shifted.controller().history("digits")[-1]
    assert alarms.guarded([line], shifted.clock.now()) == line
    shifted.clock.sleep(alarms.ARMED_S + 1)
    assert alarms.guarded([line], shifted.clock.now()) is None
