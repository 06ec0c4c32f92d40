"""Every call of every command, made to be the last one: what is live stays sound, repeating completes.

Law 3: after a crash at any point the alias is on a version that passed its checks, ``status`` names any
disagreement, and running the same command again completes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.deploy import Deploy
from releases.lease import LEASE_SECONDS
from releases.stage import Stage
from tests.unit.releases.world import Around, World


class ProcessDied(BaseException):
    """Not an ``Exception``: nothing in the program may catch it, as nothing catches a kill -9."""


@dataclass
class Fuse:
    """Counts the calls of a command and ends the process at one of them."""

    at: int
    after_effect: bool
    calls: int = 0
    blown: bool = False

    def before(self, _: str) -> None:
        self.calls += 1
        if self.blown or (self.calls == self.at and not self.after_effect):
            self._blow()

    def after(self, _: str) -> None:
        # Calls of several threads may be counted before the first of them comes here.
        if self.after_effect and self.calls >= self.at:
            self._blow()

    def _blow(self) -> None:
        self.blown = True  # a dead process makes no further call, not even in a finally clause
        raise ProcessDied


@dataclass(frozen=True)
class Command:
    """What is run, where it begins, and what a caller sees when it is done."""

    run: Callable[[Stage, World], object]
    setup: Callable[[World], None]
    sound: frozenset[str]
    done: str


def _released(*versions: int) -> Callable[[World], None]:
    def setup(world: World) -> None:
        for version in versions:
            world.controller().release(ByVersion("digits", version))

    return setup


def _changed_base(world: World) -> None:
    _released(1, 2)(world)
    world.memory_mb = 1024
    world.deploy(rebase=False)


COMMANDS = {
    "first release": Command(
        lambda stage, _: Controller(stage).release(ByVersion("digits", 1)),
        lambda _: None,
        frozenset({"", "digits:1"}),
        "digits:1",
    ),
    "release": Command(
        lambda stage, _: Controller(stage).release(ByVersion("digits", 2)),
        _released(1),
        frozenset({"digits:1", "digits:2"}),
        "digits:2",
    ),
    "rollback": Command(
        lambda stage, _: Controller(stage).rollback("digits"),
        _released(1, 2),
        frozenset({"digits:1", "digits:2"}),
        "digits:1",
    ),
    "rollback to a version": Command(
        lambda stage, _: Controller(stage).rollback("digits", to=1),
        _released(1, 2, 3),
        frozenset({"digits:1", "digits:3"}),
        "digits:1",
    ),
    "deploy": Command(
        lambda stage, world: Deploy(stage).rebase([world.declared()]),
        _changed_base,
        frozenset({"digits:2"}),
        "digits:2",
    ),
    "retire": Command(
        lambda stage, _: Controller(stage).retire("digits"),
        _released(1),
        frozenset({"digits:1", ""}),
        "",
    ),
}


def _run_with(fuse: Fuse, command: Command, world: World) -> None:
    stage = world.stage(
        store=Around(world.store, before=fuse.before, after=fuse.after),
        functions=Around(world.functions, before=fuse.before, after=fuse.after),
    )
    command.run(stage, world)


def _prepare(new_world: Callable[..., World], command: Command) -> World:
    world = new_world(settle_reads=1)
    world.deploy()
    for version in (1, 2, 3):
        world.publish(version)
    command.setup(world)
    return world


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_crash_at_any_call_is_survived(
    new_world: Callable[..., World], name: str, *, after_effect: bool
) -> None:
    command = COMMANDS[name]
    counting = Fuse(at=-1, after_effect=False)
    _run_with(counting, command, _prepare(new_world, command))
    assert counting.calls > 5

    for at in range(1, counting.calls + 1):
        world = _prepare(new_world, command)
        lines_before = world.controller().history("digits")
        with pytest.raises(ProcessDied):
            _run_with(Fuse(at=at, after_effect=after_effect), command, world)

        assert world.ask()[1] in command.sound, f"crash at call {at}"
        world.clock.sleep(LEASE_SECONDS)  # the dead holder's lease runs out
        if len(world.controller().history("digits")) == len(
            lines_before
        ):  # else it was done but for its return
            command.run(world.stage(), world)
        assert world.ask()[1] == command.done, f"crash at call {at}"
        status = world.status()
        assert status.disagreements == (), f"crash at call {at}"
        lines = world.controller().history("digits")
        assert lines[: len(lines_before)] == lines_before
        assert [line.line for line in lines] == list(range(1, len(lines) + 1))
