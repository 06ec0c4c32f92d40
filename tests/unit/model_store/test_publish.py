"""``model_store.publish``: bytes first, manifest last, and what may happen in between."""

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
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError, InvalidNameError
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.contract.parts import Part
from model_store.fetch import fetch
from model_store.ports import ObjectStore
from model_store.publish import Published, publish
from model_store.versions import load_manifest, load_manifests, models, versions

SaveModel = Callable[..., Path]
Publish = Callable[..., Published]


@pytest.fixture
def go(clock: Callable[[], datetime]) -> Publish:
    """Publish as ``digits``, by a known person at a known time."""
    return partial(publish, model="digits", created_by="ana", clock=clock)


def test_the_first_version_is_one_and_carries_what_was_said(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    done = go(store, path=save(), metrics={"accuracy": 0.97}, note="first", lineage={"git": "abc"})
    assert done.created
    assert done.remarks == ()
    kept = load_manifest(store, ByVersion("digits", 1))
    assert kept == done.manifest
    assert (kept.entry, kept.note, kept.created_by) == ("model.onnx", "first", "ana")
    assert kept.created_at == "2026-05-17T10:30:05Z"
    assert kept.metrics == {"accuracy": 0.97}
    assert kept.lineage["git"] == "abc"
    assert kept.lineage["opset"] == "ai.onnx 17"
    assert [spec.name for spec in kept.inputs + kept.outputs] == ["x", "y"]
    assert kept.golden.outputs[0].data == tuple(2 * number for number in kept.golden.inputs[0].data)


def test_the_files_are_stored_under_their_digest(store: MemoryStore, save: SaveModel, go: Publish) -> None:
    """Law 2: the digest names the bytes."""
    path = save()
    manifest = go(store, path=path).manifest
    digest = Digest.of(path.read_bytes())
    assert [file.digest for file in manifest.files] == [digest]
    assert store.get(blob_key(digest)) == path.read_bytes()


def test_other_bytes_are_the_next_version(store: MemoryStore, save: SaveModel, go: Publish) -> None:
    numbers = [go(store, path=save(scale=scale)).manifest.version for scale in (1.0, 2.0, 3.0)]
    assert numbers == [1, 2, 3] == versions(store, "digits")


def test_the_same_bytes_again_are_the_same_version(store: MemoryStore, save: SaveModel, go: Publish) -> None:
    """Law 1: publishing the same bytes again is the same version."""
    first = go(store, path=save(scale=1.0))
    go(store, path=save(scale=2.0))
    again = go(store, path=save(scale=1.0, name="renamed.onnx"))
    assert not again.created
    assert again.manifest == first.manifest
    assert versions(store, "digits") == [1, 2]


def test_the_same_bytes_are_another_version_when_asked(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    """Law 1: unless asked otherwise."""
    first, second = (go(store, path=save(), force_new=True) for _ in range(2))
    assert (first.manifest.version, second.manifest.version) == (1, 2)
    assert second.created
    assert first.manifest.digest == second.manifest.digest


def test_the_same_bytes_as_another_model_are_a_version_of_it(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    go(store, path=save())
    done = go(store, path=save(), model="digits-eu")
    assert done.created
    assert done.manifest.version == 1
    assert len(list(store.keys("blobs/"))) == 1


def test_what_an_existing_version_does_not_carry_is_said(
    store: MemoryStore, save: SaveModel, go: Publish, tmp_path: Path
) -> None:
    (tmp_path / "sample.json").write_text(
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'
    )
    go(store, path=save(), metrics={"accuracy": 0.97}, note="first")
    same = go(store, path=save(), metrics={"accuracy": 0.97}, note="first")
    assert same.remarks == ()
    again = go(
        store,
        path=save(),
        metrics={"accuracy": 0.98, "loss": 0.1},
        note="second",
        lineage={"git": "abc"},
        sample=tmp_path / "sample.json",
    )
    assert not again.created
    assert list(again.remarks) == [
        "metric `accuracy` was given as 0.98, `digits:1` carries 0.97",
        "metric `loss` was given as 0.1, `digits:1` carries none",
        "the note differs from that of `digits:1`",
        "lineage `git` differs from that of `digits:1`",
        "the sample differs from the golden sample of `digits:1`",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_must_be_a_number(store: MemoryStore, save: SaveModel, go: Publish, value: float) -> None:
    with pytest.raises(InvalidArtifactError, match="metric `accuracy`"):
        go(store, path=save(), metrics={"accuracy": value})
    assert list(store.keys("")) == []


def test_what_is_refused_leaves_nothing_in_the_store(
    store: MemoryStore, save: SaveModel, go: Publish, tmp_path: Path
) -> None:
    """Law 8: everything is checked before anything is written."""
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InvalidArtifactError):
        go(store, path=tmp_path / "text.onnx")
    with pytest.raises(InvalidNameError):
        go(store, path=save(), model="Digits")
    assert list(store.keys("")) == []


def test_progress_is_told_in_bytes(store: MemoryStore, save: SaveModel, go: Publish) -> None:
    told: list[tuple[str, int, int]] = []
    path = save()
    go(store, path=path, on_progress=lambda *step: told.append(step))
    size = path.stat().st_size
    assert told[0] == ("hashing model.onnx", 0, size)
    assert told[-1] == ("claiming a version number", size, size)
    assert ("storing model.onnx", 0, size) in told


def test_a_folder_travels_whole(
    store: MemoryStore, save_external: Callable[..., Path], go: Publish, tmp_path: Path
) -> None:
    folder = save_external(data=b"\0\0\0\x40" * 4)
    (folder / "labels.txt").write_text("zero\none\n")
    manifest = go(store, path=folder).manifest
    assert [file.path for file in manifest.files] == ["labels.txt", "model.onnx", "weights.bin"]
    fetch(store, manifest.ref, tmp_path / "back")
    assert (tmp_path / "back" / "weights.bin").read_bytes() == b"\0\0\0\x40" * 4


def test_a_file_that_changes_while_it_is_published_is_refused(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    """Law 2: the digest of the manifest is that of the bytes that were stored."""
    path = save(scale=1.0)

    def meddle(step: str, _done: int, _total: int) -> None:
        if step.startswith("storing"):
            save(scale=7.0)

    with pytest.raises(IntegrityError, match=r"`model.onnx` changed while it was being published"):
        go(store, path=path, on_progress=meddle)
    assert versions(store, "digits") == []


def test_a_file_that_goes_away_while_it_is_published_is_refused(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    path = save()

    def meddle(step: str, _done: int, _total: int) -> None:
        if step.startswith("storing"):
            path.unlink()

    with pytest.raises(IntegrityError, match="changed while"):
        go(store, path=path, on_progress=meddle)


def test_a_manifest_that_cannot_be_read_does_not_stop_the_next_version(
    store: MemoryStore, save: SaveModel, go: Publish
) -> None:
    go(store, path=save(scale=1.0))
    store.put_once(manifest_key("digits", 2), b"{}")
    again = go(store, path=save(scale=1.0))
    assert not again.created
    done = go(store, path=save(scale=2.0))
    assert (done.created, done.manifest.version) == (True, 3)
    assert done.remarks == ("the manifest of `digits:2` cannot be read",)


# Crashes


class DeadError(BaseException):
    """The process is gone: nothing catches it."""


class Mortal:
    """A store that dies at one call, before or after the call has taken effect."""

    def __init__(self, store: ObjectStore, dies_at: int | None, *, after: bool) -> None:
        self._store, self._dies_at, self._after = store, dies_at, after
        self.calls: list[str] = []

    def _call(self, verb: str, *args: Any) -> Any:
        self.calls.append(verb)
        dies = len(self.calls) - 1 == self._dies_at
        if dies and not self._after:
            raise DeadError
        done = getattr(self._store, verb)(*args)
        if verb == "keys":
            done = list(done)
        if dies:
            raise DeadError
        return done

    def put_once(self, key: str, data: bytes) -> None:
        self._call("put_once", key, data)

    def try_put_once(self, key: str, data: bytes) -> bool:
        return bool(self._call("try_put_once", key, data))

    def put_file_once(self, *args: Any) -> None:
        self._call("put_file_once", *args)

    def get(self, key: str) -> bytes:
        return bytes(self._call("get", key))

    def fetch_file(self, *args: Any) -> None:
        self._call("fetch_file", *args)

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        yield from self._call("chunks", key, part)

    def exists(self, key: str) -> bool:
        return bool(self._call("exists", key))

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        yield from self._call("keys", prefix, after)


@pytest.mark.parametrize("after", [False, True])
def test_dying_at_any_call_leaves_no_half_version(
    save_external: Callable[..., Path], save: SaveModel, go: Publish, tmp_path: Path, after: bool
) -> None:
    """Law 1: the manifest is the commit point; a crash before it leaves no version, after it a whole one."""
    folder = save_external(data=b"\0\0\0\x40" * 4)
    dies_at = 0
    while True:
        store = MemoryStore()
        go(store, path=save(name="before.onnx"))
        mortal = Mortal(store, dies_at, after=after)
        try:
            go(mortal, path=folder)
        except DeadError:
            pass
        else:
            break
        done = mortal.calls if after else mortal.calls[:-1]
        committed = "try_put_once" in done
        assert versions(store, "digits") == ([1, 2] if committed else [1])
        for ref in [ByVersion("digits", number) for number in versions(store, "digits")]:
            fetch(store, ref, tmp_path / f"{after}-{dies_at}-{ref.version}")

        again = go(store, path=folder)
        assert (again.manifest.version, again.created) == (2, not committed)
        fetch(store, again.manifest.ref, tmp_path / f"{after}-{dies_at}-again")
        dies_at += 1
    commit = mortal.calls.index("try_put_once")
    assert mortal.calls[:commit] == ["keys", "keys", "keys", "put_file_once", "put_file_once"]
    kept, written_down = ["exists", "keys", "exists", "exists"], ["try_put_once", "try_put_once"]
    assert mortal.calls[commit + 1 :] == kept + written_down
    assert dies_at == len(mortal.calls)


# Many at once


@pytest.fixture(params=["memory", "directory"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "store")


def at_once(count: int, publish_one: Callable[[int], Published]) -> list[Published]:
    ready = threading.Barrier(count)

    def work(number: int) -> Published:
        ready.wait()
        return publish_one(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_many_publishers_get_distinct_numbers_without_gaps(
    shared: ObjectStore, save: SaveModel, go: Publish
) -> None:
    """Law 1: N concurrent publishers get N distinct numbers."""
    paths = [save(scale=float(number), name=f"{number}.onnx") for number in range(8)]
    done = at_once(8, lambda number: go(shared, path=paths[number]))
    assert sorted(one.manifest.version for one in done) == list(range(1, 9)) == versions(shared, "digits")
    kept = load_manifests(shared, [ByVersion("digits", number) for number in range(1, 9)])
    assert len({manifest.digest for manifest in kept}) == 8


def test_many_publishers_of_equal_manifests_get_distinct_numbers_when_they_ask_for_new_ones(
    shared: ObjectStore, save: SaveModel, go: Publish
) -> None:
    """Law 1: the same bytes, second, person and note from another publisher are not one's own write."""
    path = save()
    done = at_once(6, lambda _: go(shared, path=path, force_new=True))
    assert sorted(one.manifest.version for one in done) == list(range(1, 7))
    assert all(one.created for one in done)


def test_many_publishers_of_the_same_bytes_agree_on_one_version(
    shared: ObjectStore, save: SaveModel, go: Publish
) -> None:
    """Law 1: publishing the same bytes again is the same version, also at the same moment."""
    path = save()
    done = at_once(6, lambda _: go(shared, path=path))
    assert [one.manifest.version for one in done] == [1] * 6
    assert [one.created for one in done].count(True) == 1
    assert versions(shared, "digits") == [1]


def test_many_models_do_not_disturb_each_other(shared: ObjectStore, save: SaveModel, go: Publish) -> None:
    path = save()
    done = at_once(6, lambda number: go(shared, path=path, model=f"model-{number}"))
    assert [one.manifest.version for one in done] == [1] * 6
    assert models(shared) == [f"model-{number}" for number in range(6)]


def test_a_manifest_is_canonical(store: MemoryStore, save: SaveModel, go: Publish) -> None:
    manifest = go(store, path=save()).manifest
    data = store.get(manifest_key("digits", 1))
    assert Manifest.from_json(data).to_json() == data == manifest.to_json()
