"""Every call of every command, made to fail: refused by AWS, broken, or with its answer lost.

Law 3 and law 9: the process lives on, so what it does next matters too: it puts things back, says what went
wrong, or finds that the call had its effect. Whatever it does, the alias serves what passed its checks, nothing
of the ledger is lost, and the same command again completes. Crashes are in ``test_crashes``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from model_store.contract.deployment import function_name
from model_store.contract.errors import StoreUnavailableError, SwitchyardError
from model_store.contract.names import ByVersion
from releases.controller import Controller
from releases.deploy import Deploy
from releases.errors import ServiceError, UnfitVersionError
from releases.lease import LEASE_SECONDS
from releases.ports import FunctionConfig
from releases.stage import Stage
from tests.unit.releases.world import STAGE, Around, World, honest

MODELS = 30


@dataclass
class Weather:
    """Lets call number ``at`` fail, on whichever port it is made."""

    at: int
    answer_lost: bool
    calls: int = 0
    met: str = ""
    ports: dict[str, type[SwitchyardError]] = field(
        default_factory=lambda: {"functions": ServiceError, "store": StoreUnavailableError}
    )

    def around(self, port: str, inner: Any) -> Any:
        def before(name: str) -> None:
            self.calls += 1
            if self.calls == self.at:
                self.met = f"{port}.{name}"
                if not self.answer_lost:
                    self.fail(port)

        def after(_: str) -> None:
            if self.met and self.answer_lost:
                self.met, met = "", self.met
                self.fail(met.partition(".")[0])

        return Around(inner, before=before, after=after)

    def fail(self, port: str) -> None:
        raise self.ports[port]("a bad day", hint="Run the same command again.")


@dataclass(frozen=True)
class Command:
    """What is run, where it begins, and what a caller sees before and after it."""

    run: Callable[[Stage, World], object]
    setup: Callable[[World], None]
    before: str
    done: str


def released(*versions: int) -> Callable[[World], None]:
    def setup(world: World) -> None:
        for version in versions:
            world.controller().release(ByVersion("digits", version))

    return setup


def changed_base(world: World) -> None:
    released(1, 2)(world)
    world.controller().rollback("digits")
    world.memory_mb = 1024
    world.deploy(rebase=False)


COMMANDS = {
    "release": Command(
        lambda stage, _: Controller(stage).release(ByVersion("digits", 2)),
        released(1),
        "digits:1",
        "digits:2",
    ),
    "rollback": Command(
        lambda stage, _: Controller(stage).rollback("digits"), released(1, 2), "digits:2", "digits:1"
    ),
    "rebase": Command(
        lambda stage, world: Deploy(stage).rebase([world.declared()]), changed_base, "digits:1", "digits:1"
    ),
    "retire": Command(lambda stage, _: Controller(stage).retire("digits"), released(1), "digits:1", ""),
}


def begun(new_world: Callable[..., World], command: Command) -> World:
    world = new_world(settle_reads=1)
    world.deploy()
    for version in (1, 2):
        world.publish(version)
    command.setup(world)
    return world


def run(world: World, command: Command, weather: Weather) -> None:
    functions = weather.around("functions", world.functions)
    command.run(world.stage(functions=functions, store=weather.around("store", world.store)), world)


@pytest.mark.parametrize("answer_lost", [False, True], ids=["throttled or failed", "answer lost"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_failure_of_any_call_is_survived(
    new_world: Callable[..., World], name: str, *, answer_lost: bool
) -> None:
    command = COMMANDS[name]
    counting = Weather(at=-1, answer_lost=False)
    run(begun(new_world, command), command, counting)

    for at in range(1, counting.calls + 1):
        world = begun(new_world, command)
        lines_before = world.controller().history("digits")
        weather = Weather(at, answer_lost)
        where = f"call {at}"
        try:
            run(world, command, weather)
            claimed = True
        except SwitchyardError:
            claimed = False

        assert world.ask()[1] in (command.before, command.done), where
        if claimed:
            assert world.ask()[1] == command.done, f"{where}: it said that it was done"
        world.clock.sleep(LEASE_SECONDS)
        moved = len(world.controller().history("digits")) > len(lines_before)
        if not claimed and not moved:
            command.run(world.stage(), world)
        assert world.ask()[1] == command.done, where
        assert world.status().disagreements == (), where
        lines = world.controller().history("digits")
        assert lines[: len(lines_before)] == lines_before, where
        assert len(lines) == len(lines_before) + 1, where
        if name == "rebase":
            assert world.live_memory_mb() == 1024, where


def fleet(new_world: Callable[..., World], play: Any = honest) -> tuple[World, list[str]]:
    """Thirty models that each serve version 2 and could go back to version 1."""
    world, models = new_world(play), [f"model-{number}" for number in range(MODELS)]
    world.deploy(*models)
    for model in models:
        for version in (1, 2):
            world.publish(version, model)
            world.controller().release(ByVersion(model, version))
    return world, models


def test_thirty_models_are_all_prepared_before_the_first_moves(new_world: Callable[..., World]) -> None:
    """Law 4 and law 5: also every rollback target; then each moves once."""
    world, models = fleet(new_world)
    calls: list[str] = []
    world.memory_mb = 1024
    world.deploy(*models, rebase=False)
    functions = Around(world.functions, before=calls.append)
    Deploy(world.stage(functions=functions)).rebase([world.declared(model) for model in models])
    first_move = calls.index("move_alias")
    assert calls[:first_move].count("publish") == 2 * MODELS
    assert "publish" not in calls[first_move:]
    for model in models:
        kinds = [line.plan.kind for line in world.controller().history(model)]
        assert kinds == ["release", "release", "rebase"]
    assert {world.live_memory_mb(model) for model in models} == {1024}
    assert [world.ask(model)[1] for model in models] == [f"{model}:2" for model in models]
    for model in models:
        assert world.controller().rollback(model).warnings == ()
        assert world.live_memory_mb(model) == 1024


@pytest.mark.parametrize("unlucky", [0, 14, 29])
def test_if_one_of_thirty_models_cannot_be_prepared_none_moves(
    new_world: Callable[..., World], unlucky: int
) -> None:
    """Law 4 and law 5 across models."""
    function = function_name(STAGE, f"model-{unlucky}")

    def play(config: FunctionConfig, event: dict[str, Any]) -> Any:
        if config.function == function and config.memory_mb == 1024:
            raise MemoryError("it no longer fits")
        return honest(config, event)

    world, models = fleet(new_world, play)
    world.memory_mb = 1024
    with pytest.raises(UnfitVersionError, match=f"model-{unlucky}:"):
        world.deploy(*models)
    assert {world.live_memory_mb(model) for model in models} == {512}
    assert [world.ask(model)[1] for model in models] == [f"{model}:2" for model in models]
    assert all(len(world.controller().history(model)) == 2 for model in models)
