"""``releases.shadowing``: a version is asked besides and answers nobody; whatever happens, callers get the live one."""

from __future__ import annotations

import json

import pytest

from model_store.contract import environment as env
from model_store.contract.deployment import function_name, shadow_alias
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByVersion
from releases.adapters.bad_day import BadDayFunctions, Fault
from releases.adapters.memory import MemoryFunctions
from releases.deploy import Deploy
from releases.errors import (
    DisagreementError,
    LostRaceError,
    NoHeadroomError,
    ReleaseError,
    ShiftRunningError,
    UnfitVersionError,
)
from releases.health import LAMBDA
from releases.lease import LEASE_SECONDS
from releases.needs import needed
from releases.ports import Concurrency, FunctionConfig, Metric
from releases.records import Line
from releases.shadowing import Begun, Shadowing, check_share
from tests.unit.releases.world import STAGE, Around, World, honest

FUNCTION = function_name(STAGE, "digits")
FOUR = ByVersion("digits", 4)


class ProcessDied(BaseException):
    """Nothing in the program may catch it."""


@pytest.fixture
def world() -> World:
    """Versions 1 to 5, of which 2 and then 3 were released."""
    made = World(MemoryFunctions(honest))
    made.deploy()
    for version in range(1, 6):
        made.publish(version)
    for version in (2, 3):
        made.controller().release(ByVersion("digits", version))
    return made


def begin(world: World, ref: ByVersion = FOUR, share: float = 0.1) -> Begun:
    return Shadowing(world.stage()).begin(ref, share=share, reason="is it better?")


def weights(world: World) -> dict[str, float]:
    state = world.functions.alias(FUNCTION, "live")
    assert state is not None
    return state.weights


def last(world: World) -> Line:
    return world.controller().history("digits")[-1]


def mirror_of(world: World) -> FunctionConfig:
    (number,) = weights(world)
    config = world.functions.config(FUNCTION, number)
    assert config is not None
    return config


def test_a_share_goes_through_the_same_model_version_which_hands_it_on(world: World) -> None:
    """Law 3: the alias stays on what serves; who answers a mirrored call is the same model version."""
    before = world.functions.alias(FUNCTION, "live")
    assert before is not None
    begun = begin(world)
    mirror = mirror_of(world)
    after = world.functions.alias(FUNCTION, "live")
    assert after is not None
    assert (after.version, after.weights) == (before.version, {mirror.version: 0.1})
    assert mirror.environment[env.VERSION] == "3"
    assert json.loads(mirror.environment[env.SHADOW]) == {"alias": "shadow_live", "version": 4}
    assert (begun.against, begun.joined) == (3, False)
    assert world.ask(qualifier=mirror.version) == (200, "digits:3")


def test_the_shadow_is_prepared_checked_and_can_be_asked_through_an_alias_of_its_own(world: World) -> None:
    """Law 5, though it answers nobody: a shadow that cannot answer would compare nothing."""
    begin(world)
    assert world.ask(qualifier=shadow_alias("live")) == (200, "digits:4")
    assert world.stage().preparer.find_any("digits", 4, FUNCTION) is not None


def test_a_version_that_fails_its_checks_shadows_nothing(world: World) -> None:
    def failing(config: FunctionConfig, event: dict[str, object]) -> object:
        if config.environment.get(env.VERSION) == "4":
            raise MemoryError("too large")
        return honest(config, event)

    broken = World(MemoryFunctions(failing))
    broken.deploy()
    for version in (3, 4):
        broken.publish(version)
    broken.controller().release(ByVersion("digits", 3))
    lines = broken.controller().history("digits")
    with pytest.raises(UnfitVersionError, match="failed on readiness"):
        begin(broken)
    assert weights(broken) == {}
    assert broken.controller().history("digits") == lines


def test_asking_twice_is_asking_once(world: World) -> None:
    first = begin(world)
    again = begin(world)
    assert (again.joined, again.line) == (True, first.line)
    assert last(world).line == first.line.line


def test_another_shadow_or_share_takes_the_place_of_the_first(world: World) -> None:
    begin(world)
    begin(world, ByVersion("digits", 5), 0.5)
    assert list(weights(world).values()) == [0.5]
    assert json.loads(mirror_of(world).environment[env.SHADOW])["version"] == 5
    assert world.ask(qualifier=shadow_alias("live")) == (200, "digits:5")


def test_status_names_a_running_shadow_and_finds_nothing_wrong_with_it(world: World) -> None:
    begin(world)
    found = world.status()
    assert found.shadow is not None
    assert (found.shadow.version, found.shadow.share, found.shadow.by) == (4, 0.1, "ann")
    assert (found.version, found.disagreements, found.rollback_to) == (3, (), 2)


def test_stopping_is_a_line_of_the_ledger_and_stopping_twice_is_stopping_once(world: World) -> None:
    begin(world)
    moved = Shadowing(world.stage()).stop("digits", reason="seen enough")
    assert moved.line is not None
    assert (moved.line.plan.kind, moved.line.plan.reason, weights(world)) == ("stop", "seen enough", {})
    assert world.status().shadow is None
    assert Shadowing(world.stage()).stop("digits").line is None


def test_a_rollback_goes_back_a_step_and_ends_the_shadow(world: World) -> None:
    """Law 6: a shadow answers nobody, so it is no step and nothing to get away from."""
    begin(world)
    moved = world.controller().rollback("digits")
    assert (moved.ref.version, weights(world)) == (2, {})
    assert moved.warnings == ("the shadow of digits:4 was running; it is ended",)
    assert world.ask() == (200, "digits:2")
    assert world.status().disagreements == ()


def test_a_release_a_flip_and_a_retirement_end_it_and_say_so(world: World) -> None:
    ended = "the shadow of digits:4 was running; it is ended"
    begin(world)
    assert ended in world.controller().release(ByVersion("digits", 2)).warnings
    begin(world)
    assert ended in world.controller().flip(ByVersion("digits", 3), reason="now").warnings
    begin(world)
    assert ended in world.controller().retire("digits").warnings
    assert weights(world) == {}


def test_a_shift_takes_its_place(world: World) -> None:
    begin(world)
    shift = world.begin(5, 0.5, min_requests=1)
    ended = world.drive(shift, between=lambda _: world.traffic(5))
    assert ended == "done"
    assert world.ask() == (200, "digits:5")


def test_nothing_is_mirrored_while_a_shift_runs(world: World) -> None:
    world.begin(5, 0.5)
    with pytest.raises(ShiftRunningError):
        begin(world)


def test_a_deploy_that_changes_nothing_leaves_the_shadow_and_one_that_changes_the_base_ends_it(
    world: World,
) -> None:
    """Law 4: a template owns neither what is live nor what shadows it, and moves nothing to another version."""
    begin(world)
    before = weights(world)
    world.deploy()
    assert (weights(world), world.status().disagreements) == (before, ())
    world.memory_mb = 1024
    world.deploy()
    assert (weights(world), world.ask(), world.live_memory_mb()) == ({}, (200, "digits:3"), 1024)
    assert "the shadow of digits:4 ends: it stood on the base before" in world.said
    assert world.status().disagreements == ()


def test_a_shadow_keeps_no_model_from_leaving_the_catalog(world: World) -> None:
    begin(world)
    world.controller().retire("digits")
    Deploy(world.stage(by="cdk")).guard({}, ["digits"])


def test_a_version_that_shadows_is_collected_by_nobody(world: World) -> None:
    """Law 10."""
    begin(world)
    assert "mirrored" in needed(world.stage())[FOUR]


@pytest.mark.parametrize("version", [3, 9])
def test_what_means_nothing_is_refused(world: World, version: int) -> None:
    lines = world.controller().history("digits")
    with pytest.raises(SwitchyardError):
        begin(world, ByVersion("digits", version))
    assert world.controller().history("digits") == lines


def test_an_alias_that_serves_nothing_has_nothing_to_mirror(world: World) -> None:
    world.controller().retire("digits")
    with pytest.raises(ReleaseError, match="serves nothing yet"):
        begin(world)


def test_an_alias_that_was_moved_by_hand_is_put_right_first(world: World) -> None:
    world.functions.meddle(FUNCTION, "live", weights={"2": 0.5})
    with pytest.raises(DisagreementError, match="not where its ledger says"):
        begin(world)


def test_a_live_version_on_an_older_base_is_not_mirrored_by_one_on_today_s(world: World) -> None:
    """Callers of the share would be answered by other code than the others."""
    world.memory_mb = 2048
    world.deploy(rebase=False)
    with pytest.raises(DisagreementError, match="older base"):
        begin(world)


def test_mirrored_requests_that_would_take_callers_environments_are_refused(world: World) -> None:
    """Law 8."""
    world.functions.limit(Concurrency(account=100, unreserved=100))
    world.monitoring.record(Metric(LAMBDA, "ConcurrentExecutions", (("FunctionName", FUNCTION),)), 80.0)
    world.monitoring.record(Metric(LAMBDA, "ConcurrentExecutions", ()), 80.0)
    with pytest.raises(NoHeadroomError, match="80 requests at once, mirrored ones may need 40 more, and 100"):
        begin(world, share=0.5)
    assert begin(world, share=0.1).line


@pytest.mark.parametrize("percent", [0, 100, -5, 250])
def test_a_share_is_more_than_nothing_and_less_than_everything(percent: float) -> None:
    with pytest.raises(ReleaseError, match="no share that can be mirrored"):
        check_share(percent)


def test_the_report_counts_what_was_compared_since_it_began(world: World) -> None:
    """Law 11: by model and version."""
    shadowing = Shadowing(world.stage())
    assert shadowing.report("digits") is None
    begin(world)
    found = shadowing.report("digits")
    assert found is not None
    assert (found.running, found.compared, found.agreement) == (True, 0, None)
    world.clock.sleep(30)
    for name, values in {
        env.AGREES_METRIC: [1.0, 1.0, 1.0, 0.0],
        env.SHADOW_FAULTS_METRIC: [0.0, 0.0, 0.0, 1.0],
        env.SHADOW_LOST_METRIC: [0.0, 2.0, 0.0, 0.0],
        env.SHADOW_LATENCY_METRIC: [8.0] * 4,
        env.SHADOWED_LATENCY_METRIC: [4.0] * 4,
    }.items():
        world.monitoring.record(
            Metric("Switchyard/test", name, (("model", "digits"), ("version", "4"))), *values
        )
    world.clock.sleep(30)
    Shadowing(world.stage()).stop("digits")
    world.clock.sleep(300)
    found = shadowing.report("digits")
    assert found is not None
    assert not found.running
    assert (found.compared, found.agreed, found.failed, found.lost, found.agreement) == (4, 3, 1, 2, 0.75)
    assert (found.latency_ms, found.answered_latency_ms) == (8.0, 4.0)


def test_requests_that_were_not_answered_alike_are_told_from_the_log(world: World) -> None:
    begin(world)
    report = Shadowing(world.stage()).report("digits")
    assert report is not None
    world.clock.sleep(5)
    line = {
        "route": "shadow",
        "version": "4",
        "request_id": "r-1",
        "status": 200,
        "ms": 2.0,
        "answered_ms": 1.0,
    }
    for changes in (
        {"agrees": True, "differs": {}},
        {"agrees": False, "differs": {"y": "1 of 1 values"}},
        {"agrees": False, "differs": {}, "status": 400, "request_id": "r-2"},
        {"agrees": False, "differs": {"y": "1 of 1 values"}, "version": "5"},
    ):
        world.journal.write(FUNCTION, json.dumps({**line, **changes}))
    world.journal.write(FUNCTION, "START RequestId: …")
    found = Shadowing(world.stage()).differences(report)
    assert [(item.request_id, item.status, item.differs) for item in found] == [
        ("r-1", 200, {"y": "1 of 1 values"}),
        ("r-2", 400, {}),
    ]
    assert Shadowing(world.stage()).differences(report, most=1) == found[1:]


def test_of_a_shadow_and_a_release_at_once_exactly_one_wins(world: World) -> None:
    """Law 3: the loser says who won, and has changed nothing."""
    done = False

    def first(call: str) -> None:
        nonlocal done
        if call == "weigh_alias" and not done:
            done = True
            world.controller(by="ben").release(ByVersion("digits", 5))

    stage = world.stage(functions=Around(world.functions, before=first))
    with pytest.raises(LostRaceError, match="digits:5 by ben"):
        Shadowing(stage).begin(FOUR, share=0.1)
    assert (weights(world), world.ask()) == ({}, (200, "digits:5"))


def calls_of(world: World, command: str) -> int:
    """How many calls of Lambda and the store a command makes."""
    calls = 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1

    around = world.stage(
        store=Around(world.store, before=count), functions=Around(world.functions, before=count)
    )
    run(Shadowing(around), command)
    return calls


def run(shadowing: Shadowing, command: str) -> None:
    if command == "begin":
        shadowing.begin(FOUR, share=0.1)
    else:
        shadowing.stop("digits")


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("command", ["begin", "stop"])
def test_killed_at_any_call_callers_get_the_live_version_and_the_same_command_completes(
    command: str, *, after: bool
) -> None:
    """Law 3."""

    def made() -> World:
        world = World(MemoryFunctions(honest))
        world.deploy()
        for version in (3, 4):
            world.publish(version)
        world.controller().release(ByVersion("digits", 3))
        if command == "stop":
            begin(world)
        return world

    for at in range(1, calls_of(made(), command) + 1):
        world = made()
        calls, dead = 0, False

        def die(when: bool, at: int = at) -> None:
            nonlocal calls, dead
            calls += when is False
            if dead or (calls == at and when is after):
                dead = True
                raise ProcessDied

        around = world.stage(
            store=Around(world.store, before=lambda _: die(False), after=lambda _: die(True)),
            functions=Around(world.functions, before=lambda _: die(False), after=lambda _: die(True)),
        )
        with pytest.raises(ProcessDied):
            run(Shadowing(around), command)
        assert world.ask() == (200, "digits:3"), at
        assert all(world.ask(qualifier=number) == (200, "digits:3") for number in weights(world)), at
        world.clock.sleep(LEASE_SECONDS)
        run(Shadowing(world.stage()), command)
        assert world.status().disagreements == (), at
        assert (world.status().shadow is not None) == (command == "begin"), at


@pytest.mark.parametrize("fault", list(Fault))
def test_a_call_that_fails_changes_nothing_that_repeating_does_not_mend(world: World, fault: Fault) -> None:
    """Law 3."""
    for at in range(1, 40):
        calls = 0

        def faults(_: str, at: int = at) -> Fault | None:
            nonlocal calls
            calls += 1
            return fault if calls == at else None

        stage = world.stage(functions=BadDayFunctions(world.functions, faults=faults))
        for command in ("begin", "stop"):
            try:
                run(Shadowing(stage), command)
            except ReleaseError:
                assert world.ask() == (200, "digits:3")
                run(Shadowing(world.stage()), command)
            assert world.status().disagreements == ()
    assert world.ask() == (200, "digits:3")
