"""``model_store.collect``: what goes, what stays, and what may happen in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model_store.adapters.memory_collector import MemoryCollector
from model_store.collect import DAY_SECONDS, Rules
from model_store.collector import Upload
from model_store.contract.digest import Digest
from model_store.contract.errors import CollectionRunningError, InvalidNameError, ModelStoreError
from model_store.contract.keys import all_served_prefix, blob_key, manifest_key, served_prefix
from model_store.contract.names import ByVersion
from model_store.lay_out import lay_out
from model_store.pins import pin, unpin
from model_store.sweeps import DELETING_SECONDS, SWEEP_SECONDS, running
from model_store.tombstones import is_removed, removed
from model_store.versions import load_manifest, versions, written
from tests.unit.model_store.shelf import DAYS_30, Shelf


def ref(version: int, model: str = "bert") -> ByVersion:
    return ByVersion(model, version)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def old(shelf: Shelf) -> Shelf:
    """Four versions, all of them 40 days old."""
    for content in ("one", "two", "three", "four"):
        shelf.publish(content)
    shelf.wait(days=40)
    return shelf


def orphan(shelf: Shelf, data: bytes = b"orphan") -> str:
    key = blob_key(Digest.of(data))
    shelf.store.put_once(key, data)
    return key


def laid_out(shelf: Shelf, version: int) -> None:
    """A version as a folder, as an endpoint mounts it."""
    lay_out(shelf.store, ref(version), load_manifest(shelf.store, ref(version)).digest)


# What goes


def test_a_blob_that_no_version_names_goes_after_the_grace_period(old: Shelf) -> None:
    young = orphan(old, b"young")
    assert old.plan().items == ()
    old.wait(days=7)
    (item,) = old.plan().items
    assert (item.what, item.name, item.size) == ("blob", young, 5)
    assert item.why == "no version names it; 7 days old"
    assert old.collect().size == 5
    assert young not in old.blobs()
    old.must_be_whole()


def test_the_folder_of_a_version_goes_with_it_unless_an_endpoint_may_start_from_it(old: Shelf) -> None:
    """Law 10: a machine that comes after the version was collected finds what its endpoint mounts."""
    for version in (1, 2, 4):
        laid_out(old, version)
    old.wait(days=8)
    assert old.plan().items == ()
    old.needs[ref(2)] = "an endpoint serves it"
    taken = {item.name for item in old.collect(DAYS_30).items if item.what == "folder"}
    left = set(old.store.keys(all_served_prefix("bert")))
    assert taken
    assert all(key.startswith(served_prefix("bert", 1)) for key in taken)
    assert {key.split("/")[3] for key in left} == {"000000002", "000000004"}


def test_a_folder_that_was_left_behind_is_found_when_its_endpoint_is_gone(old: Shelf) -> None:
    laid_out(old, 1)
    old.wait(days=8)
    key = next(old.store.keys(served_prefix("bert", 1)))
    old.needs[ref(1)] = "an endpoint serves it"
    old.collect(DAYS_30)
    del old.needs[ref(1)]
    old.collect(DAYS_30)
    assert not list(old.store.keys(served_prefix("bert", 1)))
    assert key.startswith(all_served_prefix("bert"))


def test_a_plan_changes_nothing(old: Shelf) -> None:
    orphan(old)
    old.wait(days=8)
    before = list(old.store.keys(""))
    assert old.plan(DAYS_30).items
    assert list(old.store.keys("")) == before


def test_where_there_is_nothing_to_take_nothing_is_written(old: Shelf) -> None:
    before = list(old.store.keys(""))
    assert old.collect().items == ()
    assert list(old.store.keys("")) == before


def test_versions_go_only_if_asked_and_leave_a_tombstone(old: Shelf) -> None:
    """Law 10: a tombstone stays and a number is never used again."""
    assert old.plan().items == ()
    collected = old.collect(DAYS_30)
    assert [item.name for item in collected.items if item.what == "version"] == ["bert:1", "bert:2", "bert:3"]
    assert (versions(old.store, "bert"), removed(old.store, "bert")) == ([4], [1, 2, 3])
    assert written(old.store, "bert") == [4]
    assert len(old.blobs()) == 2  # the fourth's weights, and the config that all of them share
    old.must_be_whole()
    with pytest.raises(ModelStoreError, match="`bert:2` was taken away by collector at 2026-02-10"):
        load_manifest(old.store, ref(2))
    assert old.publish("one").manifest.version == 5


def test_bytes_that_another_version_names_stay(old: Shelf) -> None:
    """Law 10: identical bytes are stored once and needed by everybody who names them."""
    old.publish("one", model="other")
    old.collect(DAYS_30)
    assert removed(old.store, "bert") == [1, 2, 3]
    old.must_be_whole()
    assert len(old.blobs()) == 3


def test_what_an_upload_left_goes_after_the_grace_period(shelf: Shelf) -> None:
    young = Upload("blobs/b", "u2", shelf.time, 70)
    shelf.collector = MemoryCollector(shelf.store, Upload("blobs/a", "u1", shelf.time, 7))
    shelf.wait(days=8)
    shelf.collector._uploads.append(Upload("blobs/b", "u2", shelf.time, 70))
    (item,) = shelf.plan().items
    assert (item.what, item.name, item.size) == ("upload", "u1", 7)
    shelf.collect()
    assert [upload.id for upload in shelf.collector.uploads()] == [young.id]


def test_an_archive_for_a_lambda_layer_goes_after_the_grace_period(shelf: Shelf) -> None:
    shelf.store.put_once("layers/abc.zip", b"zip")
    assert shelf.plan().items == ()
    shelf.wait(days=8)
    shelf.collect()
    assert list(shelf.store.keys("layers/")) == []


# What stays


def test_what_is_needed_elsewhere_stays_with_its_reason(old: Shelf) -> None:
    """Law 10: never what an alias, its recent predecessors or a running release need."""
    old.needs = {ref(1): "`bert@live` serves it", ref(2): "`bert@live` can roll back to it"}
    assert old.plan(DAYS_30).kept == {
        **old.needs,
        ref(4): "it is the newest of `bert`",
    }
    old.collect(DAYS_30)
    assert versions(old.store, "bert") == [1, 2, 4]
    old.must_be_whole()


def test_what_is_pinned_stays_until_it_is_let_go(old: Shelf) -> None:
    """Law 10: never what a pin needs."""
    for by in ("ana", "bob"):
        pin(old.store, ref(1), reason="audit", by=by, at="now", now=old.now)
    old.collect(DAYS_30)
    assert versions(old.store, "bert") == [1, 4]
    assert "pinned by" in old.plan(DAYS_30).kept[ref(1)]
    unpin(old.store, ref(1), reason="done", by="ana", at="now")
    old.collect(DAYS_30)
    assert versions(old.store, "bert") == [4]


def test_what_a_retained_version_was_made_from_stays_to_the_first(shelf: Shelf) -> None:
    """Law 10: never what a retained lineage needs."""
    shelf.publish("one")
    shelf.publish("two", lineage={"parent": "bert:1"})
    shelf.publish("three")
    shelf.publish("small", model="tiny", lineage={"parent": "bert:2"})
    shelf.wait(days=40)
    shelf.publish("four")
    shelf.collect(DAYS_30)
    assert versions(shelf.store, "bert") == [1, 2, 4]
    kept = shelf.plan(DAYS_30).kept
    assert kept[ref(2)] == "`tiny:1` was made from it"
    assert kept[ref(1)] == "`bert:2` was made from it"


def test_a_lineage_that_names_nothing_keeps_nothing(old: Shelf) -> None:
    old.publish("five", lineage={"parent": "a notebook"})
    old.collect(DAYS_30)
    assert versions(old.store, "bert") == [5]


def test_while_a_manifest_cannot_be_read_no_blob_is_garbage(old: Shelf) -> None:
    """Law 10: what cannot be known is not collected."""
    key = orphan(old)
    old.store.put_once(manifest_key("bert", 9), b"{}")
    old.wait(days=8)
    made = old.plan(DAYS_30)
    assert made.items == ()
    assert made.remarks == ("no blob and no version is taken: what `bert:9` needs cannot be read",)
    old.collect()
    assert key in old.blobs()


def test_keys_that_are_none_of_ours_are_left_alone(shelf: Shelf) -> None:
    for key in ("blobs/sha256/ab/readme.txt", "blobs/other", f"blobs/sha256/zz/{'a' * 64}", "notes/a"):
        shelf.store.put_once(key, b"x")
    shelf.wait(days=100)
    assert shelf.plan(DAYS_30).items == ()


def test_what_came_to_be_needed_since_the_plan_is_spared(old: Shelf) -> None:
    agreed = old.plan(DAYS_30)
    old.needs = {ref(2): "`bert@live` serves it"}
    collected = old.collect(DAYS_30, agreed=agreed)
    assert [item.name for item in collected.spared if item.what == "version"] == ["bert:2"]
    assert versions(old.store, "bert") == [2, 4]
    old.must_be_whole()


def test_what_became_garbage_since_the_plan_waits_for_the_next(old: Shelf) -> None:
    """Nothing goes that was not shown."""
    old.needs = {ref(2): "`bert@live` serves it"}
    agreed = old.plan(DAYS_30)
    old.needs = {}
    old.collect(DAYS_30, agreed=agreed)
    assert versions(old.store, "bert") == [2, 4]


@pytest.mark.parametrize(
    "rules", [{"grace_s": 3600.0}, {"grace_s": 10 * DAY_SECONDS, "versions_older_s": 9 * DAY_SECONDS}]
)
def test_rules_that_would_race_with_a_slow_publish_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(InvalidNameError) as refused:
        Rules(**rules)
    assert refused.value.hint


# One at a time, and not for ever


def test_two_collections_do_not_run_at_once(old: Shelf) -> None:
    orphan(old)
    old.wait(days=8)
    agreed = old.plan()

    class Second(MemoryCollector):
        def delete(self, key: str) -> None:
            with pytest.raises(CollectionRunningError, match="a collection by collector is under way"):
                old.collect(agreed=agreed)
            super().delete(key)

    assert len(old.collect(collector=Second(old.store)).items) == 1
    assert running(old.store, old.now) is None


def test_a_collector_that_was_paused_takes_nothing_when_it_wakes_up(old: Shelf) -> None:
    """Law 10: by then others no longer reckon with it."""

    class Paused(MemoryCollector):
        def delete(self, key: str) -> None:
            super().delete(key)
            old.wait(seconds=DELETING_SECONDS + 1)

    collected = old.collect(DAYS_30, collector=Paused(old.store))
    assert [item.name for item in collected.items] == ["bert:1"]
    assert len(collected.spared) == 5
    assert versions(old.store, "bert") == [2, 3, 4]
    old.must_be_whole()


def test_a_dead_collection_keeps_the_next_one_waiting_for_an_hour(old: Shelf) -> None:
    orphan(old)
    old.wait(days=8)

    class Dying(MemoryCollector):
        def delete(self, key: str) -> None:
            raise DeadError

    class Silent(Dead):
        def put_once(self, key: str, data: bytes) -> None:
            raise DeadError

    with pytest.raises(DeadError):
        old.collect(store=Silent(old.store), collector=Dying(old.store))
    with pytest.raises(CollectionRunningError):
        old.collect()
    old.wait(seconds=SWEEP_SECONDS)
    assert len(old.collect().items) == 1


# Crashes


class DeadError(BaseException):
    """The process is gone: nothing catches it."""


class Dead:
    """A store or collector through which every call is counted; from one of them on the process is dead."""

    def __init__(self, inner: Any, at: int | None = None, calls: list[str] | None = None) -> None:
        self._inner, self._at = inner, at
        self.calls = calls if calls is not None else []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def counted(*args: Any, **named: Any) -> Any:
            if self._at is not None and len(self.calls) >= self._at:
                raise DeadError
            self.calls.append(name)
            done = call(*args, **named)
            return iter(list(done)) if isinstance(done, Iterator) else done

        return counted


def test_a_collection_that_dies_at_any_call_harms_nothing_and_the_next_one_finishes_it() -> None:
    """Law 10, at every single storage call."""
    at = 0
    while True:
        shelf = Shelf()
        for content in ("one", "two", "three"):
            shelf.publish(content)
        orphan(shelf)
        shelf.wait(days=40)
        calls: list[str] = []
        try:
            shelf.collect(
                DAYS_30, store=Dead(shelf.store, at, calls), collector=Dead(shelf.collector, at, calls)
            )
        except DeadError:
            pass
        else:
            break
        shelf.must_be_whole()
        assert 3 in versions(shelf.store, "bert")
        shelf.wait(seconds=SWEEP_SECONDS)
        shelf.collect(DAYS_30)
        assert versions(shelf.store, "bert") == written(shelf.store, "bert") == [3]
        assert removed(shelf.store, "bert") == [1, 2]
        assert len(shelf.blobs()) == 2
        shelf.must_be_whole()
        at += 1
    assert calls.count("delete") == 5
    assert at == len(calls)


def test_what_a_publish_leaves_when_it_dies_at_any_call_is_collected() -> None:
    """Crash leftovers: an unpublished blob is found and goes, a published version stays whole."""
    at = 0
    while True:
        shelf = Shelf()
        shelf.publish("before")
        mortal = Dead(shelf.store, at)
        try:
            shelf.publish("after", store=mortal)
        except DeadError:
            pass
        else:
            break
        shelf.wait(days=8)
        shelf.collect()
        named = {
            blob_key(file.digest)
            for number in versions(shelf.store, "bert")
            for file in load_manifest(shelf.store, ref(number)).files
        }
        assert shelf.blobs() == named
        shelf.must_be_whole()
        assert shelf.publish("after").manifest.version == 2
        at += 1
    assert at > 6


# Races


class Turns:
    """Two workers that take turns call by call, in an order that is given."""

    def __init__(self, order: list[int]) -> None:
        self._order = order
        self._at = 0
        self._working = {0, 1}
        self._changed = threading.Condition()

    def _whose(self) -> int:
        wanted = self._order[self._at] if self._at < len(self._order) else self._at % 2
        return wanted if wanted in self._working else min(self._working)

    def take(self, worker: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._whose() == worker, timeout=20)

    def give(self) -> None:
        with self._changed:
            self._at += 1
            self._changed.notify_all()

    def leave(self, worker: int) -> None:
        with self._changed:
            self._working.discard(worker)
            self._changed.notify_all()


class TakingTurns:
    """A store whose every call waits for its worker's turn."""

    def __init__(self, inner: Any, turns: Turns, worker: int) -> None:
        self._inner, self._turns, self._worker = inner, turns, worker

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def in_turn(*args: Any, **named: Any) -> Any:
            self._turns.take(self._worker)
            try:
                done = call(*args, **named)
                return iter(list(done)) if isinstance(done, Iterator) else done
            finally:
                self._turns.give()

        return in_turn


def race(order: list[int], *workers: Callable[[Callable[[Any], Any]], object]) -> None:
    turns = Turns(order)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            workers[number](lambda inner: TakingTurns(inner, turns, number))
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)
        finally:
            turns.leave(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


ORDERS = st.lists(st.integers(1, 30), max_size=8).map(
    lambda runs: [at % 2 for at, calls in enumerate(runs) for _ in range(calls)]
)
"""Who makes the next storage call: one worker for some calls, then the other, and so on."""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORDERS)
def test_a_publish_and_a_collection_of_the_same_blob_never_lose_it(order: list[int]) -> None:
    """Law 10: in whatever order their storage calls come, the published version is whole."""
    shelf = Shelf()
    lost = shelf.publish("lost")
    for key in list(shelf.store.keys("models/")):  # as a publish leaves it that died before its commit
        shelf.store._objects.pop(key)
        shelf.store._written.pop(key)
    shelf.wait(days=40)

    race(
        order,
        lambda wrapped: shelf.publish("lost", store=wrapped(shelf.store)),
        lambda wrapped: shelf.collect(
            DAYS_30, store=wrapped(shelf.store), collector=wrapped(shelf.collector)
        ),
    )
    assert versions(shelf.store, "bert") == [1]
    assert load_manifest(shelf.store, ref(1)).digest == lost.manifest.digest
    shelf.must_be_whole()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORDERS)
def test_a_pin_and_a_collection_never_both_succeed(order: list[int]) -> None:
    """Law 10: whoever is told that a version is pinned finds it there."""
    shelf = Shelf()
    for content in ("one", "two"):
        shelf.publish(content)
    shelf.wait(days=40)
    pinned: list[bool] = []

    def hold(wrapped: Callable[[Any], Any]) -> None:
        try:
            pin(wrapped(shelf.store), ref(1), reason="audit", by="ana", at="now", now=shelf.now)
            pinned.append(True)
        except ModelStoreError:
            pinned.append(False)

    race(
        order,
        hold,
        lambda wrapped: shelf.collect(
            DAYS_30, store=wrapped(shelf.store), collector=wrapped(shelf.collector)
        ),
    )
    if pinned == [True]:
        assert not is_removed(shelf.store, ref(1))
    shelf.must_be_whole()


# Everything at once, against a model of the store


class Store(RuleBasedStateMachine):
    """Publish, need, pin, wait, crash and collect in any order; the model knows what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.live: dict[int, tuple[str, float, int | None]] = {}
        self.gone: set[int] = set()
        self.pinned: set[int] = set()

    @rule(content=st.sampled_from("abcd"), parent=st.integers(0, 6), new=st.booleans())
    def publish(self, content: str, parent: int, new: bool) -> None:
        made_from = parent if parent in self.live else None
        lineage = {"parent": f"bert:{made_from}"} if made_from else {}
        done = self.shelf.publish(content, lineage=lineage, new=new)
        number = done.manifest.version
        same = [version for version, (held, _, _) in self.live.items() if held == content]
        if new or not same:
            assert number == max((0, *self.live, *self.gone)) + 1
            self.live[number] = (content, self.shelf.now(), made_from)
        else:
            assert number in same

    @rule(content=st.sampled_from("abcd"), at=st.integers(3, 8))
    def publish_and_die(self, content: str, at: int) -> None:
        before = versions(self.shelf.store, "bert")
        with suppress(DeadError):
            self.shelf.publish(content, store=Dead(self.shelf.store, at), new=True)
        for number in set(versions(self.shelf.store, "bert")) - set(before):
            self.live[number] = (content, self.shelf.now(), None)

    @rule(days=st.sampled_from([1, 6, 20, 31]))
    def wait(self, days: int) -> None:
        self.shelf.wait(days=days)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def need(self, data: st.DataObject) -> None:
        wanted = data.draw(st.sets(st.sampled_from(sorted(self.live)), max_size=2))
        self.shelf.needs = {ref(number): "it is live" for number in wanted}

    @precondition(lambda self: self.live)
    @rule(data=st.data(), hold=st.booleans())
    def hold(self, data: st.DataObject, hold: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.live)))
        if hold:
            pin(self.shelf.store, ref(number), reason="r", by="ana", at="now", now=self.shelf.now)
            self.pinned.add(number)
        elif number in self.pinned:
            unpin(self.shelf.store, ref(number), reason="r", by="ana", at="now")
            self.pinned.discard(number)

    @rule(take_versions=st.booleans(), dies_at=st.none() | st.integers(0, 40))
    def collect(self, take_versions: bool, dies_at: int | None) -> None:
        rules = DAYS_30 if take_versions else Rules()
        needed = self.needed()
        calls: list[str] = []
        died = False
        try:
            self.shelf.collect(
                rules,
                store=Dead(self.shelf.store, dies_at, calls),
                collector=Dead(self.shelf.collector, dies_at, calls),
            )
        except DeadError:
            died = True
        self.shelf.wait(seconds=SWEEP_SECONDS)
        left = set(versions(self.shelf.store, "bert"))
        taken = set(self.live) - left
        assert needed <= left
        assert take_versions or not taken
        assert all(self.shelf.now() - self.live[number][1] >= 30 * DAY_SECONDS for number in taken)
        self.gone |= taken
        for number in taken:
            del self.live[number]
            self.pinned.discard(number)
        if not died:
            self.nothing_old_is_left_over(take_versions)

    def needed(self) -> set[int]:
        """What has to stay whatever its age: newest, live, pinned, and what these were made from."""
        roots = {found.version for found in self.shelf.needs} | self.pinned
        keep = {number for number in self.live if number in roots or number == max(self.live)}
        young = {n for n, (_, at, _) in self.live.items() if self.shelf.now() - at < 30 * DAY_SECONDS}
        keep |= young
        while more := {
            parent
            for number in keep
            if (parent := self.live[number][2]) is not None and parent in self.live and parent not in keep
        }:
            keep |= more
        return keep

    def nothing_old_is_left_over(self, took_versions: bool) -> None:
        if took_versions:
            assert set(versions(self.shelf.store, "bert")) == self.needed()
        named = {
            blob_key(file.digest)
            for number in self.live
            for file in load_manifest(self.shelf.store, ref(number)).files
        }
        week = 7 * DAY_SECONDS
        for entry in self.shelf.store.entries("blobs/"):
            old = self.shelf.now() - SWEEP_SECONDS - entry.written_at.timestamp() >= week
            assert entry.key in named or not old

    @invariant()
    def every_version_is_whole_and_no_number_comes_twice(self) -> None:
        assert versions(self.shelf.store, "bert") == sorted(self.live)
        assert set(removed(self.shelf.store, "bert")) == self.gone
        self.shelf.must_be_whole()
        for number, (content, _, _) in self.live.items():
            weights = load_manifest(self.shelf.store, ref(number))
            assert self.shelf.store.get(blob_key(weights.files[1].digest)).endswith(content.encode())


Store.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrder = Store.TestCase
