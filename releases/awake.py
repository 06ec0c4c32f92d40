"""Awake: what serves, and what a rollback would go to, is asked once a day (law 6).

A published version that nobody calls can stop being able to answer: with SnapStart Lambda lets it go
``Inactive`` after 14 days, somebody deletes it, its role loses a right. Whoever rolls back at 3 a.m. should
not be the one to find out. So every alias's live version and the versions before it that stand ready are
looked at, woken if they sleep, and asked whether they are ready; what came of it is written down, one
numbered record a model and day, which ``yard status`` reads.

Nothing moves and nothing is published. Done twice it is done twice; a crash leaves the record of the day
before.

Source: Lambda developer guide, "Lambda SnapStart", on functions that are not invoked for 14 days.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from model_store import numbered
from model_store.contract.environment import MODEL_HEADER
from model_store.contract.errors import SwitchyardError
from model_store.contract.events import http_event, read_answer
from model_store.contract.keys import awake_key, awake_prefix
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.versions import models
from releases.bases import standing_base
from releases.errors import NotDeployedError
from releases.ledger import Ledger, Step, aliases_with_history, standing
from releases.needs import DEEPEST_ROLLBACK
from releases.records import UNRELEASED, Base, canonical, timestamp
from releases.settle import wait_until_active
from releases.stage import Stage

AT_ONCE = 16
"""Versions asked side by side: one that has to be woken takes minutes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One version, and whether it could answer. ``seen`` is when it last could, empty if nobody knows."""

    version: int
    lambda_version: str
    state: str
    awake: bool
    seen: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of asking a model's versions. ``why`` is set if not even that could be done."""

    model: str
    at: str
    asked: tuple[Asked, ...] = ()
    why: str = ""

    @property
    def asleep(self) -> int:
        """How many could not answer, as the metric counts them."""
        return sum(not asked.awake for asked in self.asked) + bool(self.why)

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Round:
        body = json.loads(data)
        return cls(**{**body, "asked": tuple(Asked(**asked) for asked in body["asked"])})


def keep_awake(stage: Stage) -> list[Round]:
    """Ask everything that should be able to answer. A model that fails keeps no other from being asked."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda model: keep_model_awake(stage, model), list(models(stage.store))))


def keep_model_awake(stage: Stage, model: str) -> Round:
    """Ask one model's live versions and predecessors, and write down what came of it."""
    at = timestamp(stage.clock.now())
    try:
        before = {asked.lambda_version: asked.seen for asked in _asked_last(stage.store, model)}
        targets = targets_of(stage, model)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = tuple(
                pool.map(
                    lambda target: _ask(stage, model, target[0], target[1], before.get(target[1], "")),
                    sorted(targets.items()),
                )
            )
        done = Round(model, at, asked)
        if asked:
            _write(stage.store, done)
    except NotDeployedError:
        return Round(model, at)
    except SwitchyardError as error:
        return Round(model, at, why=str(error))
    return done


def targets_of(stage: Stage, model: str) -> dict[int, str]:
    """The versions that should be able to answer, each with the Lambda version that would.

    What any alias serves, and the steps before it that stand ready on today's base; the one right before
    also if it stands on an older base, since a rollback would go there.
    """
    base = standing_base(stage.store, model)
    found: dict[int, str] = {}
    for alias in aliases_with_history(stage.store, model):
        steps = standing(Ledger(stage.store, model, alias).lines())[-1 - DEEPEST_ROLLBACK :]
        for back, step in enumerate(reversed(steps)):
            number = step.lambda_version if back == 0 else _way_back(stage, base, step, model, back)
            if step.version != UNRELEASED and number is not None:
                found.setdefault(step.version, number)
    return found


def _way_back(stage: Stage, base: Base, step: Step, model: str, back: int) -> str | None:
    """The Lambda version that a rollback to ``step`` would take, ``back`` steps away."""
    if prepared := stage.preparer.find(model, step.version, base):
        return prepared.lambda_version
    if back > 1:
        return None
    prepared = stage.preparer.find_any(model, step.version, base.function)
    # Where nothing is left of it, what served is asked all the same, and found to be gone.
    return prepared.lambda_version if prepared else step.lambda_version


def newest(store: ObjectStore, model: str) -> Round | None:
    """What came of it when ``model`` was asked last; ``None`` if it never was."""
    last = numbered.newest(store, awake_prefix(model))
    return Round.from_json(store.get(last.keys[-1])) if last.keys else None


def _asked_last(store: ObjectStore, model: str) -> Iterable[Asked]:
    last = newest(store, model)
    return last.asked if last else ()


def _write(store: ObjectStore, done: Round) -> None:
    """Under the next number. Of two rounds at once both are kept."""
    while True:
        number = numbered.newest(store, awake_prefix(done.model)).number + 1
        if store.try_put_once(awake_key(done.model, number), done.to_json()):
            return


def _ask(stage: Stage, model: str, version: int, number: str, seen: str) -> Asked:
    function = stage.function(model)
    state = "unknown"
    try:
        config = stage.functions.config(function, number)
        state = config.state if config else "gone"
        if state == "Inactive":
            stage.say(f"waking {model}:{version}, which is Inactive")
        wait_until_active(stage.functions, stage.clock, function, number)
        why = _complaint(stage, ByVersion(model, version), number)
    except SwitchyardError as error:
        why = str(error)
    now = timestamp(stage.clock.now())
    return Asked(version, number, state, awake=not why, seen=seen if why else now, why=why)


def _complaint(stage: Stage, ref: ByVersion, number: str) -> str:
    """Why a Lambda version is not able to answer as ``ref``; empty if it is."""
    event = http_event("GET", f"/v2/models/{ref.model}/ready")
    ran = stage.functions.invoke(stage.function(ref.model), number, event)
    if ran.error is not None:
        return ran.error
    status, headers, _ = read_answer(ran.payload)
    if status != 200:
        return f"it answers that it is not ready, with {status}"
    answered = headers.get(MODEL_HEADER)
    return "" if answered == str(ref) else f"`{answered}` answered in its place"
