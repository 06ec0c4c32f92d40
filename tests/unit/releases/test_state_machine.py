"""Any order of commands, shifts, shadows, alarms, crashes, lost answers, hand moves and deploys: the laws hold.

Hypothesis chooses what happens next. What should be in force then is worked out beside it from the commands
alone, and which versions reproduced their golden sample is noted where they are asked for it, not where the
controller says so. ``SWITCHYARD_EXAMPLES=500`` explores further, at random.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.names import ByVersion
from releases.adapters.bad_day import BadDayFunctions, Fault
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_executions import FINAL, WAITING
from releases.controller import Controller
from releases.deploy import Deploy
from releases.errors import (
    DisagreementError,
    NothingToRollBackError,
    ReleaseError,
    ShiftRunningError,
    StillLiveError,
)
from releases.lease import LEASE_SECONDS
from releases.ledger import standing
from releases.move import shadow_in
from releases.ports import AliasState, FunctionConfig
from releases.records import UNRELEASED, Line, Note
from releases.shadowing import Shadowing
from releases.shifting import Shifting
from releases.shifts import Shift
from releases.stage import Stage
from releases.undo import undo
from tests.unit.releases.world import STAGE, Around, World, honest

FUNCTION = function_name(STAGE, "digits")
TOO_MUCH_MB = 3008
"""On this much memory the model fails: a deploy that declares it fails, and its stack rolls back."""

MANY = int(os.environ.get("SWITCHYARD_EXAMPLES", "0"))

choices = st.integers(0, 5)
kinds = st.sampled_from(["release", "roll back", "retire", "deploy"])
dying = st.sampled_from([None, None, None, False, True])
"""Whether a process dies at that call: not, before its effect, after its effect."""

moments = st.integers(1, 45)
"""Which call of a command something happens at; a command that makes fewer is not met."""

Steps = list[int]
"""Model versions in force, oldest first."""


class ProcessDied(BaseException):
    """Not an ``Exception``: nothing in the program may catch it, as nothing catches a kill -9."""


@dataclass(frozen=True)
class Command:
    """What somebody does, and what it makes of the versions in force if it succeeds."""

    run: Callable[[Stage], object]
    effect: Callable[[Steps], Steps]
    rollback: bool = False
    deploy: bool = False
    forced: bool = False
    """Nothing that runs is a reason to refuse it."""


class Commands(RuleBasedStateMachine):
    """What people, deploys and accidents do to one alias, and what must be true in between."""

    def __init__(self) -> None:
        super().__init__()
        self.golden: set[str] = set()
        self.asking = False
        self.world = World(MemoryFunctions(self.play, settle_reads=1))
        self.published = 0
        self.lines: list[Line] = []
        self.steps: Steps = []
        self.unwritten: Steps | None = None
        """What will be in force once the line is written that an accident kept from the ledger."""
        self.unwritten_rollback = False
        self.by_hand = False
        self.shift: Shift | None = None
        """A release in steps that was asked for and has not come to its end."""
        self.at: dict[str, Any] = {}
        self.do = ""
        self.undeployed = False
        """A deploy has died or failed: until it is repeated, releases may be refused."""

    def play(self, config: FunctionConfig, event: dict[str, Any]) -> Any:
        if config.memory_mb == TOO_MUCH_MB and env.VERSION in config.environment:
            raise MemoryError("the model no longer fits")
        if event["rawPath"].endswith("/infer") and not self.asking:
            self.golden.add(config.version)
        return honest(config, event)

    @initialize()
    def deployed_with_two_versions(self) -> None:
        self.world.deploy()
        self.publish()
        self.publish()

    # What people do.

    @rule()
    @precondition(lambda self: self.published < 6)
    def publish(self) -> None:
        self.published += 1
        self.world.publish(self.published)

    @rule(choice=choices)
    def release(self, choice: int) -> None:
        self.command(self.releasing(choice))

    @rule()
    def roll_back(self) -> None:
        self.command(self.rolling_back())

    @rule()
    @precondition(lambda self: self.settled() and len(self.steps) > 2)
    def roll_back_twice(self) -> None:
        """Law 6: two rollbacks go back two steps."""
        target = self.steps[-3]
        self.command(self.rolling_back())
        self.command(self.rolling_back())
        assert self.served() == target

    @rule(choice=choices)
    @precondition(lambda self: self.settled() and len(self.steps) > 1)
    def roll_back_to_an_earlier_version(self, choice: int) -> None:
        to = self.steps[:-1][choice % (len(self.steps) - 1)]

        def effect(steps: Steps) -> Steps:
            if to == steps[-1]:
                return steps
            return steps[: len(steps) - 1 - steps[-2::-1].index(to)]

        self.command(Command(lambda stage: Controller(stage).rollback("digits", to=to), effect))

    @rule()
    def retire(self) -> None:
        self.command(self.retiring())

    @rule(choice=choices)
    @precondition(lambda self: self.settled() and self.steps and not self.undeployed)
    def break_the_glass(self, choice: int) -> None:
        """Whatever alarms say and whoever shifts: what is in force is what was asked for, and marked so."""
        version = self.steps[choice % len(self.steps)]

        def effect(steps: Steps) -> Steps:
            return steps if steps[-1] == version else [*steps, version]

        ref = ByVersion("digits", version)
        self.command(Command(lambda stage: Controller(stage).flip(ref, reason="fire"), effect, forced=True))
        assert self.served() == version
        assert self.alias().weights == {}

    # Releases in steps.

    @rule(choice=choices, steps=st.integers(1, 3))
    @precondition(lambda self: self.settled() and self.steps and not self.undeployed and self.shift is None)
    def begin_a_shift(self, choice: int, steps: int) -> None:
        version = 1 + choice % self.published
        begun = self.world.shifting().begin(
            ByVersion("digits", version), shares=(0.05, 0.25, 0.5)[:steps], bake_s=60
        )
        assert (begun is None) == (version == self.steps[-1])
        if begun is not None:
            self.shift, self.do = begun.shift, "prepare"
            self.at = self.world.executions.started[begun.shift.id]

    @rule(requests=st.sampled_from([0, 100]), faults=st.sampled_from([0, 0, 0, 20]), at=moments, die=dying)
    @precondition(lambda self: self.shift is not None and not self.by_hand)
    def let_the_shift_go_on(self, requests: int, faults: int, at: int, *, die: bool | None) -> None:
        """One state of the state machine; if its function dies, the machine calls it again."""
        if self.do == "look":
            self.world.clock.sleep(60)
            if requests and self.alias().weights:
                self.world.traffic(requests, faults=faults)
        before, do = self.served(), self.do
        if die is None:
            self.command(self.going_on())
        else:
            self.accident(self.going_on(), self.dying_stage(at, after_effect=die), ProcessDied)
            self.world.clock.sleep(LEASE_SECONDS)
        assert self.served() == before or do == "flip"

    @rule(faults=st.sampled_from([0, 0, 20]))
    @precondition(lambda self: self.shift is not None and self.settled() and not self.undeployed)
    def let_the_shift_run_to_its_end(self, faults: int) -> None:
        """A version that answers well gets everything; one that does not is taken back."""
        before, shift = self.steps[-1:], self.shift
        assert shift is not None
        undisturbed = bool(self.alias().weights) or self.lines[-1].line == shift.after_line
        looked = False
        for _ in range(15):
            if self.shift is None:
                break
            if self.do == "look" and self.alias().weights:
                looked = True
                self.world.traffic(100, faults=faults)
                self.world.clock.sleep(60)
            self.command(self.going_on())
        assert self.shift is None
        if self.at["next"] == "done":
            assert self.served() == shift.version
            assert not (faults and looked)
        else:
            assert self.steps[-1:] == before
            assert (faults and looked) or not undisturbed, self.at

    @rule()
    @precondition(lambda self: self.shift is not None and not self.by_hand)
    def stop_the_shift(self) -> None:
        before = self.served()
        running = Command(lambda stage: Shifting(stage).stop("digits"), lambda steps: steps, forced=True)
        self.command(running)
        assert (self.served(), self.alias().weights) == (before, {})

    # Shadows.

    @rule(at=moments, die=dying)
    @precondition(lambda self: self.settled() and self.steps and not self.undeployed and self.shift is None)
    def begin_a_shadow(self, at: int, *, die: bool | None) -> None:
        """Law 3: callers are answered by what is in force, whether it mirrors, dies on the way or is refused."""
        before = self.served()
        shadow = ByVersion("digits", before % self.published + 1)
        running = Command(lambda stage: Shadowing(stage).begin(shadow, share=0.1), lambda steps: steps)
        if not self.on_today_s_base():
            with pytest.raises(DisagreementError, match="older base"):
                running.run(self.world.stage())
        elif die is None:
            self.command(running)
            assert self.shadowed()
        else:
            self.accident(running, self.dying_stage(at, after_effect=die), ProcessDied)
            self.world.clock.sleep(LEASE_SECONDS)
        assert self.served() == before

    @rule()
    @precondition(lambda self: self.settled() and self.shadowed())
    def stop_the_shadow(self) -> None:
        before = self.served()
        self.command(Command(lambda stage: Shadowing(stage).stop("digits"), lambda steps: steps))
        assert (self.served(), self.alias().weights) == (before, {})

    @rule(faults=st.integers(5, 50))
    @precondition(lambda self: self.settled() and len(self.steps) > 1 and not self.undeployed)
    def alarms_fire(self, faults: int) -> None:
        """An alarm takes back what it was made for, at most, and only to what was in force before."""
        before = self.steps
        for _ in range(3):
            self.world.traffic(100, faults=faults, weighted=bool(self.alias().weights))
            self.world.clock.sleep(60)
        for name in self.world.monitoring.evaluate():
            undo(self.world.stage(by="alarm"), name, "Threshold Crossed")
        self.steps = self.versions_standing()
        assert self.steps in (before, before[:-1])
        assert self.alias().weights == {} or self.shift is not None or self.shadowed()

    @rule(choice=choices, how=st.sampled_from(["note", "version", "weights"]))
    @precondition(lambda self: self.settled() and self.lines and self.shift is None)
    def move_by_hand(self, choice: int, how: str) -> None:
        """What somebody does in the console."""
        others = sorted(self.golden - {self.alias().version}, key=int)
        if how == "note" or not others:
            self.world.functions.meddle(FUNCTION, "live", note="fixed it, Ann")
        elif how == "version":
            self.world.functions.meddle(FUNCTION, "live", version=others[choice % len(others)])
        else:
            self.world.functions.meddle(FUNCTION, "live", weights={others[choice % len(others)]: 0.5})
        self.by_hand = True

    # What deploys do.

    @rule(memory_mb=st.sampled_from([512, 1024, 2048]), code=st.sampled_from(["code-1", "code-2"]))
    def deploy(self, memory_mb: int, code: str) -> None:
        """Law 4: whatever a deploy changes, the alias stays on its model version."""
        before = self.served()
        self.world.memory_mb, self.world.code = memory_mb, code
        self.command(self.deploying())
        assert self.served() == before

    @rule()
    @precondition(lambda self: self.settled() and self.shift is None)
    def deliver_the_events_of_the_last_deploy_twice(self) -> None:
        """CloudFormation may deliver an event twice."""
        self.command(self.deploying())
        lines = self.world.controller().history("digits")
        self.command(self.deploying())
        assert self.world.controller().history("digits") == lines

    @rule()
    @precondition(lambda self: self.settled() and self.steps and not self.undeployed and self.shift is None)
    def deploy_what_fails_and_roll_the_stack_back(self) -> None:
        """Law 4: a failed deploy leaves the alias on its version, its memory and its code."""
        before, memory_mb = self.served(), self.world.memory_mb
        on_memory = self.world.live_memory_mb()
        self.world.memory_mb = TOO_MUCH_MB
        try:
            self.world.deploy()
        except ReleaseError:
            assert self.served() == before
        else:
            raise AssertionError("a deploy of a model that does not fit has succeeded")
        self.world.memory_mb = memory_mb
        self.world.deploy(rebase=False)
        Deploy(self.world.stage(by="cdk")).rebase([self.world.declared()], publish=False)
        assert (self.served(), self.world.live_memory_mb()) == (before, on_memory)

    @rule()
    def guard_against_a_catalog_without_the_model(self) -> None:
        """Law 10: a deploy that would take away what serves is refused."""
        try:
            Deploy(self.world.stage(by="cdk")).guard({}, ["digits"])
        except StillLiveError:
            assert self.served() != UNRELEASED
        else:
            assert self.served() == UNRELEASED

    # Accidents.

    @rule(kind=kinds, choice=choices, at=moments, after_effect=st.booleans())
    def crash(self, kind: str, choice: int, at: int, *, after_effect: bool) -> None:
        """Law 3: a process that dies at any call leaves an alias that serves, and a ledger to complete."""
        stage = self.dying_stage(at, after_effect=after_effect)
        self.accident(self.a_command(kind, choice), stage, ProcessDied)
        self.world.clock.sleep(LEASE_SECONDS)

    @rule(kind=kinds, choice=choices, at=moments, fault=st.sampled_from(Fault))
    def lose_a_call(self, kind: str, choice: int, at: int, fault: Fault) -> None:
        """Law 3: a call that fails, with its effect or without, leaves nothing that repeating does not mend."""
        calls = 0

        def faults(_: str) -> Fault | None:
            nonlocal calls
            calls += 1
            return fault if calls == at else None

        functions = BadDayFunctions(self.world.functions, faults=faults)
        self.accident(self.a_command(kind, choice), self.world.stage(functions=functions), ReleaseError)

    @rule(kind=kinds, choice=choices, at=moments, other_kind=kinds, other_choice=choices)
    @precondition(lambda self: self.settled() and not self.undeployed and self.shift is None)
    def two_at_once(self, kind: str, choice: int, at: int, other_kind: str, other_choice: int) -> None:
        """Law 3: exactly one wins each move; who loses has moved nothing and says so."""
        calls, failed_deploys = 0, 0

        def run(command: Command, stage: Stage) -> bool:
            nonlocal failed_deploys
            try:
                command.run(stage)
            except ReleaseError:
                failed_deploys += command.deploy
                return False
            return True

        def before(_: str) -> None:
            nonlocal calls
            calls += 1
            if calls == at:
                run(self.a_command(other_kind, other_choice), self.world.stage(by="ben"))

        functions = Around(self.world.functions, before=before)
        won = run(self.a_command(kind, choice), self.world.stage(by="ann", functions=functions))
        self.undeployed = failed_deploys > 0
        new = self.world.controller().history("digits")[len(self.lines) :]
        assert len({line.plan.by for line in new}) == len(new), "each has moved once at most"
        assert won or all(line.plan.by != "ann" for line in new), "who lost has moved nothing"
        self.steps = self.versions_standing()

    # What must be true.

    @invariant()
    def the_alias_is_on_a_version_that_passed_its_checks(self) -> None:
        """Law 5."""
        assert self.alias().version in self.golden or self.served() == UNRELEASED

    @invariant()
    def so_is_whoever_answers_a_share(self) -> None:
        """Law 5. A mirror answers callers too, and is the same model version."""
        weights = self.alias().weights
        assert self.by_hand or weights.keys() <= self.golden
        if self.shadowed():
            (mirror,) = weights
            assert self.version_of(mirror) == self.served()

    @invariant()
    def callers_get_what_the_commands_mean(self) -> None:
        """Law 3."""
        if self.settled():
            assert self.served() == (self.steps[-1] if self.steps else UNRELEASED)

    @invariant()
    def the_ledger_is_dense_only_grows_and_means_what_the_commands_mean(self) -> None:
        """Law 3."""
        lines = self.world.controller().history("digits")
        assert [line.line for line in lines] == list(range(1, len(lines) + 1))
        assert lines[: len(self.lines)] == self.lines
        assert self.versions_standing() == self.steps
        self.lines = lines

    @invariant()
    def disagreements_are_named_exactly_when_there_are_any(self) -> None:
        named = self.world.status().disagreements
        assert bool(named) == (not self.settled()), named

    def teardown(self) -> None:
        """Whatever happened: stop, deploy, release, and nothing is left to say."""
        self.world.clock.sleep(LEASE_SECONDS)
        self.world.shifting().stop("digits")
        self.world.memory_mb = 512
        self.world.deploy()
        for version in (1, 2):
            self.world.controller().release(ByVersion("digits", version))
        assert self.world.status().disagreements == ()
        assert self.served() == 2

    # The commands, each with what it means.

    def a_command(self, kind: str, choice: int) -> Command:
        if kind == "release":
            return self.releasing(choice)
        if kind == "roll back":
            return self.rolling_back()
        if kind == "retire":
            return self.retiring()
        self.world.memory_mb = (512, 1024, 2048)[choice % 3]
        return self.deploying()

    def releasing(self, choice: int) -> Command:
        version = 1 + choice % self.published

        def effect(steps: Steps) -> Steps:
            return steps if steps[-1:] == [version] else [*steps, version]

        return Command(lambda stage: Controller(stage).release(ByVersion("digits", version)), effect)

    def rolling_back(self) -> Command:
        served, split = self.served(), bool(self.alias().weights) and not self.shadowed()
        only_to_complete = self.unwritten is not None and self.unwritten_rollback

        def effect(steps: Steps) -> Steps:
            return steps if only_to_complete or split or steps[-1:] != [served] else steps[:-1]

        return Command(lambda stage: Controller(stage).rollback("digits"), effect, rollback=True)

    def retiring(self) -> Command:
        return Command(lambda stage: Controller(stage).retire("digits"), lambda _: [])

    def deploying(self) -> Command:
        served = self.served()

        def effect(steps: Steps) -> Steps:
            return steps if not steps or served in (UNRELEASED, steps[-1]) else [*steps, served]

        def run(stage: Stage) -> None:
            deploy = Deploy(stage)
            deploy.refuse_while_shifting({"digits": ("live",)})  # the guard, before anything changes
            layers, environment = self.change_functions()
            deploy.declare(self.world.declared(), layers=layers, environment=environment)
            deploy.rebase([self.world.declared()])

        return Command(run, effect, deploy=True)

    def going_on(self) -> Command:
        """The next state of the shift's execution."""
        shift, do, at = self.shift, self.do, self.at
        assert shift is not None

        def run(stage: Stage) -> None:
            try:
                self.at = json.loads(json.dumps(Shifting(stage).step(do, at)))
            except ReleaseError as error:  # the state machine catches what its task raises
                cause = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
                self.at = {**at, "error": {"Error": type(error).__name__, "Cause": cause}, "next": "back"}
            self.do = WAITING.get(self.at["next"], self.at["next"])
            if self.do in FINAL:
                self.world.executions.ended.setdefault(shift.id, "SUCCEEDED")
                self.shift = None

        def effect(steps: Steps) -> Steps:
            flipped = do == "flip" and self.at["next"] not in ("superseded", "back")
            return [*steps, shift.version] if flipped and steps[-1] != shift.version else steps

        return Command(run, effect, forced=True)

    def dying_stage(self, at: int, *, after_effect: bool) -> Stage:
        """A stage on which a process dies at one call."""
        calls, dead = 0, False

        def die() -> None:
            nonlocal dead
            dead = True  # a dead process makes no further call, not even in a finally clause
            raise ProcessDied

        def before(_: str) -> None:
            nonlocal calls
            calls += 1
            if dead or (calls == at and not after_effect):
                die()

        def after(_: str) -> None:
            if calls == at and after_effect:
                die()

        return self.world.stage(
            by="ann",
            store=Around(self.world.store, before=before, after=after),
            functions=Around(self.world.functions, before=before, after=after),
        )

    # What has become of a command.

    def command(self, command: Command) -> None:
        """Run it; it may be refused, and has then changed nothing but what an accident left unwritten."""
        split = self.settled() and bool(self.alias().weights) and not self.shadowed()
        before = self.served()
        try:
            command.run(self.world.stage(by="cdk" if command.deploy else "ann"))
            assert not split or command.forced or command.rollback, "a shift was running"
        except ReleaseError as error:
            shifting = self.shift is not None and isinstance(error, ShiftRunningError)
            expected = self.undeployed or shifting or isinstance(error, NothingToRollBackError)
            if self.served() != before or not expected:
                raise
            self.complete()
            self.lines = self.world.controller().history("digits")
        else:
            self.succeeded(command)

    def accident(self, command: Command, stage: Stage, kind: type[BaseException]) -> None:
        """Run it where something goes wrong, and see how far it came."""
        try:
            command.run(stage)
        except (kind, ReleaseError):
            self.undeployed = self.undeployed or command.deploy
        else:
            self.succeeded(command)
            return
        known = len(self.lines) + int(self.complete())
        written = len(self.world.controller().history("digits"))
        note = Note.from_text(self.alias().note)
        moved_only = note is not None and note.line > written and self.unwritten is None
        if written > known:
            self.steps, self.by_hand = command.effect(self.steps), False
        elif moved_only:
            self.unwritten, self.unwritten_rollback = command.effect(self.steps), command.rollback
            self.by_hand = False

    def succeeded(self, command: Command) -> None:
        known = len(self.lines) + int(self.complete())
        self.steps = command.effect(self.steps)
        if len(self.world.controller().history("digits")) > known:
            self.by_hand = False
        if command.deploy:
            self.undeployed = False
        self.lines = self.world.controller().history("digits")

    def complete(self) -> bool:
        """Whether a command has written the line that an accident kept from the ledger: it begins with that."""
        if self.unwritten is None or len(self.world.controller().history("digits")) == len(self.lines):
            return False
        self.steps, self.unwritten = self.unwritten, None
        return True

    # What can be seen.

    def settled(self) -> bool:
        return not self.by_hand and self.unwritten is None

    def alias(self) -> AliasState:
        state = self.world.functions.alias(FUNCTION, "live")
        assert state is not None
        return state

    def served(self) -> int:
        self.asking = True
        status, model = self.world.ask()
        self.asking = False
        assert (status == 200) == bool(model)
        return int(model.partition(":")[2]) if model else UNRELEASED

    def version_of(self, number: str) -> int:
        return int(self.world.ask(qualifier=number)[1].partition(":")[2] or UNRELEASED)

    def shadowed(self) -> bool:
        """Whether a mirror has a share of the alias, and nobody has touched that."""
        return shadow_in(self.world.stage().mover("digits", "live").look(complete=False)) is not None

    def on_today_s_base(self) -> bool:
        return self.world.status().on_current_base

    def versions_standing(self) -> Steps:
        return [step.version for step in standing(self.world.controller().history("digits"))]

    def change_functions(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """What CloudFormation does before it sends its events."""
        layers, environment = ("arn:layer:runtime:1",), {env.MODEL: "digits", env.STAGE: STAGE}
        self.world.functions.deploy(
            FUNCTION,
            memory_mb=self.world.memory_mb,
            code_sha256=self.world.code,
            layers=layers,
            environment=environment,
        )
        return layers, environment


TestCommands = Commands.TestCase
TestCommands.settings = settings(
    max_examples=MANY or 40,
    stateful_step_count=30,
    derandomize=not MANY,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
