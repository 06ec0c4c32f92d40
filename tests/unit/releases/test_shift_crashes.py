"""Every call of every state of a shift, of stop, flip, a rollback meanwhile and an alarm, made to go wrong.

Law 3, the same way as in ``test_crashes`` and ``test_faults``: the process dies before or after the call's
effect, or the call fails (throttled, refused, broken), or its answer is lost. Then what would happen next
happens: Step Functions runs the state again, SNS delivers again, a person repeats the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from model_store.contract.deployment import alarms_prefix
from model_store.contract.errors import StoreUnavailableError, SwitchyardError
from model_store.contract.names import ByVersion
from releases.alarms import guarded
from releases.controller import Controller
from releases.errors import ServiceError
from releases.lease import LEASE_SECONDS
from releases.shifting import Shifting
from releases.stage import Stage
from releases.undo import undo
from tests.unit.releases.world import STAGE, Around, World

At = dict[str, Any]


class ProcessDied(BaseException):
    """Not an ``Exception``: nothing in the program may catch it, as nothing catches a kill -9."""


@dataclass
class Trouble:
    """Lets call number ``at`` go wrong, on whichever of the four ports it is made."""

    at: int
    dies: bool = False
    after_effect: bool = False
    calls: int = 0
    over: bool = False

    def stage(self, world: World) -> Stage:
        return world.stage(
            store=self._around(world.store, StoreUnavailableError("a bad day")),
            functions=self._around(world.functions, ServiceError("a bad day")),
            monitoring=self._around(world.monitoring, ServiceError("a bad day")),
            executions=self._around(world.executions, ServiceError("a bad day")),
        )

    def _around(self, port: Any, error: Exception) -> Any:
        def before(_: str) -> None:
            self.calls += 1
            if self.over or (self.calls == self.at and not self.after_effect):
                self._strike(error)

        def after(_: str) -> None:
            if self.calls == self.at and self.after_effect:
                self._strike(error)

        return Around(port, before=before, after=after)

    def _strike(self, error: Exception) -> None:
        if self.dies:
            self.over = True  # a dead process makes no further call, not even in a finally clause
            raise ProcessDied
        raise error


@dataclass(frozen=True)
class Act:
    """What is run, where it begins, what may serve in between, and what serves when it is done."""

    begin: Callable[[World], At]
    run: Callable[[Stage, At], object]
    sound: frozenset[str]
    done: str
    weights: int
    kinds: tuple[str, ...]


def asked(world: World) -> At:
    return {"shift": world.begin(2, 0.25, 0.5).where, "step": 0}


def after(*states: str) -> Callable[[World], At]:
    def begin(world: World) -> At:
        at = asked(world)
        for state in states:
            at = Shifting(world.stage()).step(state, at)
            world.clock.sleep(1)
            world.traffic(100)
            world.clock.sleep(130)
        return at

    return begin


def flipped(world: World) -> At:
    at = after("prepare", "weigh", "look", "weigh", "look", "flip")(world)
    for _ in range(8):
        world.traffic(10, faults=10, weighted=False)
        world.clock.sleep(15)
    return {**at, "alarm": faults_alarm(world)}


def faulty(world: World) -> At:
    at = after("prepare", "weigh")(world)
    world.traffic(100, faults=100)
    world.clock.sleep(5)
    return {**at, "alarm": faults_alarm(world)}


def faults_alarm(world: World) -> str:
    found = world.monitoring.alarms(alarms_prefix(STAGE, "digits", "live"))
    return next(name for name in found if name.endswith("/faults"))


def state(do: str) -> Callable[[Stage, At], object]:
    return lambda stage, at: Shifting(stage).step(do, at)


def beginning(stage: Stage, _: At) -> object:
    return Shifting(stage).begin(ByVersion("digits", 2), shares=(0.25, 0.5), bake_s=120)


ONE, BOTH = frozenset({"digits:1"}), frozenset({"digits:1", "digits:2"})

ACTS = {
    "begin": Act(lambda _: {}, beginning, ONE, "digits:1", 0, ()),
    "prepare": Act(asked, state("prepare"), ONE, "digits:1", 0, ()),
    "first step": Act(after("prepare"), state("weigh"), ONE, "digits:1", 1, ("shift",)),
    "second step": Act(
        after("prepare", "weigh", "look"), state("weigh"), ONE, "digits:1", 1, ("shift", "shift")
    ),
    "look": Act(after("prepare", "weigh"), state("look"), ONE, "digits:1", 1, ("shift",)),
    "flip": Act(
        after("prepare", "weigh", "look", "weigh", "look"),
        state("flip"),
        BOTH,
        "digits:2",
        0,
        ("shift", "shift", "release"),
    ),
    "way back": Act(after("prepare", "weigh"), state("back"), ONE, "digits:1", 0, ("shift", "stop")),
    "stop": Act(
        after("prepare", "weigh"),
        lambda stage, _: Shifting(stage).stop("digits", reason="odd"),
        ONE,
        "digits:1",
        0,
        ("shift", "stop"),
    ),
    "stop while it prepares": Act(
        after("prepare"),
        lambda stage, _: Shifting(stage).stop("digits", reason="odd"),
        ONE,
        "digits:1",
        0,
        ("stop",),
    ),
    "broken glass": Act(
        after("prepare", "weigh"),
        lambda stage, _: Controller(stage).flip(ByVersion("digits", 2), reason="pages"),
        BOTH,
        "digits:2",
        0,
        ("shift", "release"),
    ),
    "rollback meanwhile": Act(
        after("prepare", "weigh"),
        lambda stage, _: Controller(stage).rollback("digits"),
        ONE,
        "digits:1",
        0,
        ("shift", "rollback"),
    ),
    "alarm in a shift": Act(
        faulty,
        lambda stage, at: undo(stage, at["alarm"], "crossed"),
        ONE,
        "digits:1",
        0,
        ("shift", "alarm"),
    ),
    "alarm after the flip": Act(
        flipped,
        lambda stage, at: undo(stage, at["alarm"], "crossed"),
        BOTH,
        "digits:1",
        0,
        ("shift", "shift", "release", "alarm"),
    ),
}

MODES = {
    "dies before its effect": {"dies": True},
    "dies after its effect": {"dies": True, "after_effect": True},
    "fails": {},
    "answers, and the answer is lost": {"after_effect": True},
}


def at_its_beginning(new_world: Callable[..., World], act: Act) -> tuple[World, At]:
    world = new_world(settle_reads=1)
    world.deploy()
    for version in (1, 2):
        world.publish(version)
    world.controller().release(ByVersion("digits", 1))
    world.clock.sleep(7200)  # long ago: nothing of it is armed any more
    return world, act.begin(world)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ACTS)
def test_whatever_goes_wrong_at_any_call_what_comes_next_completes(
    new_world: Callable[..., World], name: str, mode: str
) -> None:
    act = ACTS[name]
    counting = Trouble(at=-1)
    world, at = at_its_beginning(new_world, act)
    act.run(counting.stage(world), at)
    assert counting.calls >= 4

    for number in range(1, counting.calls + 1):
        where = f"call {number}"
        world, at = at_its_beginning(new_world, act)
        lines_before = world.controller().history("digits")
        try:
            act.run(Trouble(number, **MODES[mode]).stage(world), at)
        except (ProcessDied, SwitchyardError):
            assert world.ask()[1] in act.sound, where
            world.clock.sleep(LEASE_SECONDS)
            if _is_left_to_do(world, act):
                act.run(world.stage(), at)
        assert world.ask()[1] == act.done, where

        lines = world.controller().history("digits")
        assert lines[: len(lines_before)] == lines_before, where
        assert [line.line for line in lines] == list(range(1, len(lines) + 1)), where
        assert tuple(line.plan.kind for line in lines[1:]) == act.kinds, where
        found = world.functions.alias(world.stage().function("digits"), "live")
        assert found is not None
        assert len(found.weights) == act.weights, where
        assert world.status().disagreements == (), where
        if guarded(lines, world.clock.now()) is not None:
            world.controller().release(ByVersion("digits", 2))  # completes what it did not come to
            assert world.monitoring.alarms(alarms_prefix(STAGE, "digits", "live")), where


def _is_left_to_do(world: World, act: Act) -> bool:
    """Whether whoever comes next would do it again: a person who sees it done does not."""
    lines = world.controller().history("digits")
    if act.run in (ACTS["rollback meanwhile"].run, ACTS["broken glass"].run):
        return tuple(line.plan.kind for line in lines[1:]) != act.kinds
    return True
