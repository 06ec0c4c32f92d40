"""Garbage of Lambda: published versions and layers that nothing needs any more (law 10).

Every release leaves a Lambda version, and the first of each model version a layer. They count against the
account's code storage, and SnapStart keeps a snapshot of each. What stays:

* what an alias of the catalog leads to or gives a share, and what is kept started;
* everything of a model version that ``releases.needs`` or a person's pin names, **on any base**: so a
  rollback, a deploy that rolls back and ``--to`` find it prepared;
* what the newest lines of a ledger moved from or to, and the newest version of a function;
* what is younger than the grace period.

That a version can be asked for by number (the alias ``v7``) is *no* reason to keep it. These pins follow
what is kept: those of what goes are parked (``releases.pins``). Who wants one kept says so: ``yard pin``.

It goes as in ``model_store.collect``: a plan first; to carry it out, a sweep that names the model versions
concerned, then the same plan once more, and only what is in both. Whoever begins to need a version writes
its plan first and then looks for a sweep, so one of the two sees the other; and Lambda itself deletes
nothing that an alias leads to. A tombstone is written before each deletion (``releases.collected``): a
release that meets one prepares another Lambda version.

**After a crash** nothing is lost that was needed; what was not reached is found by the next collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from model_store.collect import DAY_SECONDS, GRACE_SECONDS, Collected, Item
from model_store.contract.deployment import model_layer_name, pinned_version
from model_store.contract.names import ByVersion
from model_store.pins import pins
from model_store.ports import ObjectStore
from model_store.sweeps import Sweep, claim, end
from model_store.versions import models
from releases.collected import bury
from releases.collector import FunctionCollector, PublishedVersion
from releases.errors import LostRaceError
from releases.ledger import Ledger, aliases_with_history
from releases.needs import KEPT_RELEASES, needed
from releases.prepare import served_by
from releases.records import UNRELEASED, Prepared, timestamp
from releases.stage import Stage

VERSION = "Lambda version"
LAYER = "layer"


@dataclass(frozen=True, slots=True)
class LambdaPlan:
    """What would go, and of what is old enough the rest, each with what keeps it."""

    items: tuple[Item, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    concerned: frozenset[ByVersion] = frozenset()

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)


def plan(
    stage: Stage,
    collector: FunctionCollector,
    *,
    grace_s: float = GRACE_SECONDS,
    keep: int = KEPT_RELEASES,
) -> LambdaPlan:
    """Say what would go of Lambda, and why. Reads only; safe at any time.

    Where Lambda does not answer nothing is known, and the error goes through. The cost is what
    ``releases.needs`` costs, and a listing of each function's versions and layers.
    """
    needs = {**_pinned(stage.store), **needed(stage, keep=keep)}
    items: list[Item] = []
    kept: dict[str, str] = {}
    concerned: set[ByVersion] = set()
    for model in models(stage.store):
        found = _Model(stage, collector, model, needs, grace_s, keep)
        items.extend(found.items())
        kept.update(found.kept)
        concerned.update(found.concerned)
    return LambdaPlan(tuple(items), kept, frozenset(concerned))


def collect(
    stage: Stage,
    collector: FunctionCollector,
    *,
    announce: ObjectStore,
    by: str,
    agreed: LambdaPlan,
    grace_s: float = GRACE_SECONDS,
    keep: int = KEPT_RELEASES,
) -> Collected:
    """Take what is garbage now and was in ``agreed``, and say what went and what stayed after all.

    ``announce`` is the stage's store in the name of who may claim a sweep. Raises
    ``CollectionRunningError`` while another collection runs. Run it again after a crash.
    """
    if not agreed.items:
        return Collected((), ())
    sweep = claim(announce, stage.clock.now, by=by, versions=agreed.concerned, blobs=())
    try:
        stage.say("looking once more at Lambda")
        second = {item.name: item for item in plan(stage, collector, grace_s=grace_s, keep=keep).items}
        todo = [second[item.name] for item in agreed.items if item.name in second]
        stage.say(f"taking {len(todo)} things of Lambda")
        _bury(stage, announce, todo, by)
        taken = [item for item in todo if item.what == VERSION and _take(stage, collector, sweep, item)]
        # A version that stayed after all keeps its layer.
        carried = _carried(stage, collector)
        taken += [
            item
            for item in todo
            if item.what == LAYER and item.name not in carried and _take(stage, collector, sweep, item)
        ]
    finally:
        end(announce, sweep)
    went = {item.name for item in taken}
    return Collected(tuple(taken), tuple(item for item in agreed.items if item.name not in went))


def _bury(stage: Stage, announce: ObjectStore, todo: list[Item], by: str) -> None:
    """Write the tombstones, and take the pins off what is about to go."""
    at = timestamp(stage.clock.now())
    going = {item.name: item.why for item in todo if item.what == VERSION}
    for model in models(stage.store):
        function = stage.function(model)
        numbers = [name.rpartition(":")[2] for name in going if name.rpartition(":")[0] == function]
        for number in numbers:
            config = stage.functions.config(function, number)
            if config is not None:
                made = Prepared.of(config, model=model)
                bury(announce, [made], by=by, why=going[f"{function}:{number}"], at=at)
        if numbers:
            stage.pins(model).leave(numbers)


def _take(stage: Stage, collector: FunctionCollector, sweep: Sweep, item: Item) -> bool:
    # Asked before every single one: a collector that was paused for hours wakes up in here.
    if stage.clock.now() > sweep.deletes_until:
        return False
    try:
        if item.what == LAYER:
            collector.delete_layer(item.name)
        else:
            function, _, version = item.name.rpartition(":")
            collector.delete_version(function, version)
    except LostRaceError:
        return False
    return True


def _carried(stage: Stage, collector: FunctionCollector) -> set[str]:
    functions = [stage.function(model) for model in models(stage.store)]
    return {
        layer
        for function in functions
        for version in collector.versions(function)
        for layer in version.config.layers
    }


def _pinned(store: ObjectStore) -> dict[ByVersion, str]:
    return {
        found.ref: f"`{found.ref}` is pinned by {found.by}: {found.reason}"
        for model in models(store)
        for found in pins(store, model)
    }


class _Model:
    """What Lambda holds of one model, sorted into what goes and what stays."""

    def __init__(
        self,
        stage: Stage,
        collector: FunctionCollector,
        model: str,
        needs: Mapping[ByVersion, str],
        grace_s: float,
        keep: int,
    ) -> None:
        self._stage, self._collector, self._model = stage, collector, model
        self._needs, self._keep = needs, keep
        self._before = stage.clock.now() - grace_s
        self._function = stage.function(model)
        self.kept: dict[str, str] = {}
        self.concerned: set[ByVersion] = set()

    def items(self) -> Iterator[Item]:
        published = self._collector.versions(self._function)
        if not published:
            return
        reasons = self._reasons(published)
        staying: list[PublishedVersion] = []
        for version in published:
            name = f"{self._function}:{version.config.version}"
            ref = ByVersion(self._model, served_by(version.config))
            why = reasons.get(version.config.version) or self._needs.get(ref)
            if why is None and self._old(version.at):
                what = "no model" if ref.version == UNRELEASED else f"`{ref}`"
                yield Item(VERSION, name, version.size, f"nothing needs it; {what}, {self._days(version.at)}")
                if ref.version != UNRELEASED:
                    self.concerned.add(ref)
                continue
            staying.append(version)
            if why is not None and self._old(version.at):
                self.kept[name] = why
        yield from self._layers(staying)

    def _reasons(self, published: list[PublishedVersion]) -> dict[str, str]:
        """By Lambda version, what keeps it whatever model version it is."""
        found = {published[-1].config.version: "it is the newest of its function"}
        for alias in aliases_with_history(self._stage.store, self._model):
            name = f"{self._model}@{alias}"
            for line in Ledger(self._stage.store, self._model, alias).lines()[-self._keep :]:
                moved = (line.plan.lambda_version, line.plan.from_lambda_version, *line.plan.weights)
                found.update(dict.fromkeys(moved, f"one of the last moves of `{name}` was from or to it"))
        for version in self._stage.functions.provisioned(self._function):
            found[version] = "environments of it are kept started"
        for state in self._stage.functions.aliases(self._function):
            if pinned_version(state.alias) is not None:
                continue
            for version in (state.version, *state.weights):
                found[version] = f"the alias `{state.alias}` leads to it"
        return found

    def _layers(self, staying: list[PublishedVersion]) -> Iterator[Item]:
        latest = self._stage.functions.config(self._function)
        used = {layer for version in staying for layer in version.config.layers}
        used.update(latest.layers if latest else ())
        for ref in self._needs:
            if ref.model == self._model:
                used.update(self._stage.preparer.layers_of(ref))
        for layer in self._collector.layers(model_layer_name(self._stage.name, self._model)):
            if layer.arn not in used and self._old(layer.at):
                size = self._collector.layer_size(layer.arn)
                why = f"no Lambda version that stays carries it; {self._days(layer.at)}"
                yield Item(LAYER, layer.arn, size, why)

    def _old(self, since: datetime) -> bool:
        return since.timestamp() <= self._before

    def _days(self, since: datetime) -> str:
        return f"{(self._stage.clock.now() - since.timestamp()) / DAY_SECONDS:.0f} days old"
