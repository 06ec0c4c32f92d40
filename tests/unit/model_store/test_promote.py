"""``model_store.promote``: a version in another store, by digest, under the next number there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from model_store.adapters.directory import DirectoryStore
from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.edge import keep_litert, load_litert
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from model_store.promote import promote
from model_store.publish import Published, publish
from model_store.reports import keep_report, load_report
from model_store.versions import load_manifest, versions

SaveModel = Callable[..., Path]
Publish = Callable[..., Published]
Carry = Callable[..., Published]

FIRST = ByVersion("digits", 1)


class Died(BaseException):
    """Not an ``Exception``: nothing catches a kill -9."""


@pytest.fixture
def go(clock: Callable[[], datetime]) -> Publish:
    return partial(publish, model="digits", created_by="ana", clock=clock)


@pytest.fixture
def carry(clock: Callable[[], datetime]) -> Carry:
    return partial(promote, from_stage="dev", promoted_by="ops", clock=clock)


@pytest.fixture
def dev(store: MemoryStore, save: SaveModel, go: Publish) -> MemoryStore:
    """A store with one version."""
    go(store, path=save(), metrics={"accuracy": 0.97}, note="first", lineage={"git": "abc"})
    return store


@pytest.fixture(params=["memory", "directory"])
def prod(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "prod")


def test_a_promoted_version_is_the_same_bytes_with_the_same_golden_sample(
    dev: MemoryStore, prod: ObjectStore, carry: Carry, tmp_path: Path
) -> None:
    """Law 2: the digest of the one is the digest of the other."""
    done = carry(dev, prod, FIRST)
    there, here = load_manifest(prod, FIRST), load_manifest(dev, FIRST)
    assert (done.created, done.manifest) == (True, there)
    assert (there.digest, there.golden, there.metrics, there.note) == (
        here.digest,
        here.golden,
        here.metrics,
        here.note,
    )
    assert fetch(prod, FIRST, tmp_path / "fetched").digest == here.digest


def test_the_lineage_says_where_it_was_and_who_did_what(
    dev: MemoryStore, prod: ObjectStore, carry: Carry
) -> None:
    there = carry(dev, prod, FIRST).manifest
    assert there.created_by == "ops"
    assert {
        "origin": "dev/digits:1",
        "promoted_from": "dev/digits:1",
        "published_by": "ana",
        "published_at": "2026-05-17T10:30:05Z",
        "git": "abc",
    }.items() <= there.lineage.items()


def test_the_page_about_a_version_goes_with_it(
    store: MemoryStore, prod: ObjectStore, carry: Carry, save: SaveModel, go: Publish
) -> None:
    go(store, path=save(), lineage=keep_report(store, "digits", b"<!doctype html>"))
    assert load_report(prod, carry(store, prod, FIRST).manifest) == b"<!doctype html>"


def test_its_file_for_the_edge_goes_with_it(
    store: MemoryStore, prod: ObjectStore, carry: Carry, save: SaveModel, go: Publish
) -> None:
    go(store, path=save(), lineage=keep_litert(store, "digits", b"TFL3"))
    assert load_litert(prod, carry(store, prod, FIRST).manifest) == b"TFL3"


def test_an_endpoint_that_runs_there_runs_nothing_here(
    store: MemoryStore, save: SaveModel, go: Publish, prod: ObjectStore, carry: Carry
) -> None:
    """Else a release would look for the other stage's endpoint; where a function was adopted is only said."""
    go(store, path=save(), lineage={"adopted": "sagemaker:bert-dev", "adopted_code": "c"})
    carried = carry(store, prod, FIRST).manifest.lineage
    assert "adopted" not in carried
    assert carried["adopted_code"] == "c"


def test_a_second_promotion_keeps_the_origin(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    last = MemoryStore()
    carry(dev, prod, FIRST)
    there = carry(prod, last, FIRST, from_stage="staging").manifest
    assert there.lineage["origin"] == "dev/digits:1"
    assert there.lineage["promoted_from"] == "staging/digits:1"
    assert there.lineage["published_by"] == "ana"


def test_it_takes_the_next_number_of_the_other_store(
    dev: MemoryStore, prod: ObjectStore, save: SaveModel, go: Publish, carry: Carry
) -> None:
    """Law 1: numbers belong to a store and never collide."""
    for scale in (5.0, 6.0):
        go(prod, path=save(name=f"{scale}.onnx", scale=scale))
    assert carry(dev, prod, FIRST).manifest.ref == ByVersion("digits", 3)
    assert versions(prod, "digits") == [1, 2, 3]


def test_the_same_bytes_again_are_the_same_version(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    """Law 1."""
    carry(dev, prod, FIRST)
    again = carry(dev, prod, FIRST)
    assert (again.created, again.manifest.ref, again.remarks) == (False, FIRST, ())
    assert versions(prod, "digits") == [1]


def test_bytes_that_were_published_there_are_that_version_and_differences_are_said(
    dev: MemoryStore, prod: ObjectStore, save: SaveModel, go: Publish, carry: Carry
) -> None:
    go(prod, path=save(), metrics={"accuracy": 0.5})
    done = carry(dev, prod, FIRST)
    assert not done.created
    assert done.remarks == ("metric `accuracy` is 0.97 here and not in `digits:1` there",)


def test_nothing_is_written_to_where_it_comes_from(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    before = list(dev.keys(""))
    carry(dev, prod, FIRST)
    assert list(dev.keys("")) == before


def test_a_version_that_is_not_there_is_refused(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    with pytest.raises(NotFoundError):
        carry(dev, prod, ByVersion("digits", 9))
    assert list(prod.keys("")) == []


class Odd:
    """A store that does something else at calls that are named."""

    def __init__(self, inner: ObjectStore, **instead: Callable[..., Any]) -> None:
        self._inner = inner
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        return self._instead.get(name) or getattr(self._inner, name)


def test_a_blob_that_is_not_its_digest_makes_no_version(
    dev: MemoryStore, prod: ObjectStore, carry: Carry
) -> None:
    """Law 2: verified on the way; nothing half stays that anybody could see."""

    def rotten(key: str, path: Path, digest: Any, *_: Any) -> None:
        digest.verify(dev.get(key)[:-1] + b"?")

    with pytest.raises(IntegrityError):
        carry(Odd(dev, fetch_file=rotten), prod, FIRST)
    assert versions(prod, "digits") == []


def test_a_blob_that_its_store_has_lost_is_named(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    def lost(key: str, *_: Any) -> None:
        raise NotFoundError(f"`{key}` does not exist")

    with pytest.raises(IntegrityError, match=r"has lost the file `model\.onnx`"):
        carry(Odd(dev, fetch_file=lost), prod, FIRST)


def test_a_manifest_there_that_cannot_be_read_stops_nothing_and_is_named(
    dev: MemoryStore, prod: ObjectStore, carry: Carry
) -> None:
    prod.put_once(manifest_key("digits", 1), b"{}")
    done = carry(dev, prod, FIRST)
    assert done.manifest.ref == ByVersion("digits", 2)
    assert done.remarks == ("the manifest of `digits:1` cannot be read",)


def test_promoters_at_once_make_one_version(dev: MemoryStore, prod: ObjectStore, carry: Carry) -> None:
    """Law 1: whoever loses the number sees that the winner's bytes are the same."""
    start = threading.Barrier(6)

    def run(_: int) -> Published:
        start.wait()
        return carry(dev, prod, FIRST)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(run, range(6)))
    assert [one.created for one in done].count(True) == 1
    assert {one.manifest.version for one in done} == {1}
    assert versions(prod, "digits") == [1]


def test_a_publisher_who_takes_the_number_first_keeps_it(
    dev: MemoryStore, save: SaveModel, go: Publish, carry: Carry
) -> None:
    """Law 1."""
    prod = MemoryStore()
    other = save(name="other.onnx", scale=9.0)

    def race(key: str, data: bytes) -> bool:
        if key == manifest_key("digits", 1):
            go(prod, path=other)
        return prod.try_put_once(key, data)

    done = carry(dev, Odd(prod, try_put_once=race), FIRST)
    assert done.manifest.ref == ByVersion("digits", 2)
    assert load_manifest(prod, FIRST).digest != done.manifest.digest


def crashes() -> Iterator[tuple[int, bool]]:
    yield from ((at, after) for at in range(1, 12) for after in (False, True))


def test_a_crash_at_any_call_leaves_a_whole_version_or_none_and_repeating_completes(
    dev: MemoryStore, carry: Carry
) -> None:
    """Law 1: the manifest is the commit point."""
    died = 0
    for at, after in crashes():
        prod, calls = MemoryStore(), 0

        def fused(
            name: str, prod: MemoryStore = prod, at: int = at, *, after: bool = after
        ) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == at and not after:
                    raise Died
                answer = getattr(prod, name)(*args)
                if calls == at:
                    raise Died
                return answer

            return call

        names = ("keys", "get", "exists", "put_file_once", "try_put_once")
        try:
            carry(dev, Odd(prod, **{name: fused(name) for name in names}), FIRST)
        except Died:
            died += 1
        for number in versions(prod, "digits"):
            found: Manifest = load_manifest(prod, ByVersion("digits", number))
            assert all(prod.exists(blob_key(file.digest)) for file in found.files)
        assert carry(dev, prod, FIRST).manifest.ref == FIRST
        assert versions(prod, "digits") == [1]
    assert died >= 8
