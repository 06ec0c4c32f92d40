"""``functions.inference.stored``: read at start, verified, resumed, or the start has failed."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.inference import stored
from functions.inference.adapters.memory import MemoryBlobs
from functions.inference.served import Served, load_served
from functions.inference.stored import AT_ONCE, PAUSES_S, StoredArtifact, find_stored, persistently
from model_store.contract import environment as env
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    LocalFileError,
    ModelStoreError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Manifest
from model_store.contract.parts import Parts

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer

ROOT = Path(__file__).parents[4]
PART = 10
LARGE = bytes(range(95))
Breaking = Callable[[str, int, memoryview], object]


def file_of(path: str, data: bytes, *, parts: bool = True) -> ArtifactFile:
    digests = tuple(Digest.of(data[at : at + PART]) for at in range(0, len(data), PART))
    cut = Parts(PART, len(data), digests) if parts and len(data) > PART else None
    return ArtifactFile(path, Digest.of(data), len(data), cut)


@dataclass
class Shop:
    """A version in a store in memory, a folder for it, and everything that was written to the log."""

    folder: Path
    files: Mapping[str, bytes]
    parts: bool = True
    lines: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    breaking: Breaking = lambda *_: None

    def __post_init__(self) -> None:
        self.manifest = Manifest(
            model="m",
            version=3,
            files=tuple(file_of(path, data, parts=self.parts) for path, data in self.files.items()),
            entry=next(iter(self.files)),
            inputs=(),
            outputs=(),
            golden=NO_GOLDEN,
            created_at="",
            created_by="",
        )
        held = {blob_key(Digest.of(data)): data for data in self.files.values()}
        self.blobs = MemoryBlobs(held, self._answering)

    def _answering(self, key: str, start: int, buffer: memoryview) -> None:
        self.asked.append((key, start))
        self.breaking(key, start, buffer)

    def read(self, manifest: Manifest | None = None) -> Path:
        """Start once: everything is read and verified, or an error says why not."""
        self.asked.clear()
        artifact = StoredArtifact(
            manifest or self.manifest,
            self.blobs,
            self.folder,
            write=self.lines.append,
            sleep=lambda _: None,
        )
        return Path(artifact.verified())

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    files = {"model.onnx": b"graph", "deep/w.bin": LARGE, "same.bin": LARGE, "empty.bin": b""}
    return Shop(tmp_path / "digest", files)


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_read_to_its_place(shop: Shop) -> None:
    assert held(shop.read()) == shop.files
    (line,) = shop.log
    assert line.pop("ms") > 0
    assert line == {
        "model": "m",
        "version": "3",
        "event": "model read from S3",
        "bytes": 195,
        "kept_bytes": 0,
    }


def test_large_files_are_read_in_their_parts(shop: Shop) -> None:
    shop.read()
    of_large = [start for key, start in shop.asked if key == blob_key(Digest.of(LARGE))]
    assert sorted(of_large) == sorted([*range(0, 95, PART)] * 2)


def test_files_from_before_parts_had_digests_are_read_by_their_own(tmp_path: Path) -> None:
    old = Shop(tmp_path / "digest", {"model.onnx": LARGE}, parts=False)
    assert held(old.read()) == old.files


def test_several_parts_are_asked_for_at_once_and_no_more_are_held_in_memory(shop: Shop) -> None:
    together = threading.Barrier(AT_ONCE, timeout=60)
    most, now, lock = 0, 0, threading.Lock()
    first = set(range(0, PART * AT_ONCE, PART))

    def meet(_: str, start: int, __: memoryview) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        if start in first:
            first.discard(start)
            together.wait()
        with lock:
            now -= 1

    one = Shop(shop.folder, {"model.onnx": LARGE}, breaking=meet)
    one.read()
    assert most == AT_ONCE


def test_a_finished_download_is_used_again_by_the_next_start(shop: Shop) -> None:
    folder = shop.read()
    assert shop.read() == folder
    assert shop.asked == []
    assert (shop.log[-1]["bytes"], shop.log[-1]["kept_bytes"]) == (0, 195)


@pytest.mark.parametrize("damage", [LARGE[:-1] + b"?", LARGE[:30], b"", LARGE + b"more"])
def test_a_finished_file_that_is_not_what_was_published_is_read_anew(shop: Shop, damage: bytes) -> None:
    """Law 2: what an earlier start has left is believed as little as the network."""
    (shop.read() / "deep/w.bin").write_bytes(damage)
    assert held(shop.read()) == shop.files
    assert {start for _, start in shop.asked} == set(range(0, 95, PART))


def test_a_start_that_was_cut_short_goes_on_where_it_ended(shop: Shop) -> None:
    """Lambda begins a start anew after 10 s, with /tmp as it was."""

    def end(_: str, start: int, __: memoryview) -> None:
        if start == 60:
            raise AccessDeniedError("cut short")

    shop.breaking = end
    with pytest.raises(AccessDeniedError):
        shop.read()
    assert "deep/w.bin" not in held(shop.folder / env.FILES_FOLDER)
    shop.breaking = lambda *_: None
    assert held(shop.read()) == shop.files
    of_first = [start for key, start in shop.asked if key == blob_key(Digest.of(LARGE))]
    assert min(of_first[:4]) == 60 or sorted(of_first) == sorted([60, 70, 80, 90, *range(0, 95, PART)])
    assert shop.log[-1]["kept_bytes"] >= 60


@pytest.mark.parametrize("left", [LARGE[:35], LARGE[:20] + b"?" * 40, LARGE + b"?", b"?", LARGE])
def test_of_what_a_cut_short_start_has_left_only_true_parts_are_kept(tmp_path: Path, left: bytes) -> None:
    """Law 2: a part is kept if its digest is the manifest's."""
    one = Shop(tmp_path / "digest", {"model.onnx": LARGE})
    begun = tmp_path / "digest" / "begun"
    begun.mkdir(parents=True)
    (begun / f"0-{Digest.of(LARGE).hex}").write_bytes(left)
    assert held(one.read()) == one.files
    parts = {at: LARGE[at : at + PART] for at in range(0, 95, PART)}
    true = next((at for at, part in parts.items() if left[at : at + len(part)] != part), 95)
    assert sorted(start for _, start in one.asked) == list(range(true, 95, PART))


def test_a_start_that_is_killed_leaves_a_true_beginning(tmp_path: Path) -> None:
    """A process that dies at any moment: the next one in the same environment completes it."""
    script = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.unit.functions.inference.test_stored import LARGE, Shop
def die(_, start, __):
    if start == 70:
        os._exit(9)
Shop(Path({str(tmp_path / "digest")!r}), {{"model.onnx": LARGE}}, breaking=die).read()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    one = Shop(tmp_path / "digest", {"model.onnx": LARGE})
    assert held(one.read()) == one.files


# What goes wrong on the way


@pytest.mark.parametrize("error", [StoreUnavailableError("503 SlowDown"), IntegrityError("other bytes")])
def test_what_a_network_breaks_is_asked_for_again(shop: Shop, error: Exception) -> None:
    left = {start: len(PAUSES_S) for start in (0, 30)}

    def break_a_few(_: str, start: int, __: memoryview) -> None:
        if left.get(start, 0):
            left[start] -= 1
            raise error

    one = Shop(shop.folder, {"model.onnx": LARGE}, breaking=break_a_few)
    assert held(one.read()) == one.files
    assert not any(left.values())


def test_bytes_that_arrive_wrong_once_are_asked_for_again(shop: Shop) -> None:
    """Law 2: a part is verified before it is written."""
    wrong = {20, 90}

    def flip(_: str, start: int, buffer: memoryview) -> None:
        if start in wrong:
            wrong.discard(start)
            buffer[0] ^= 1

    one = Shop(shop.folder, {"model.onnx": LARGE}, breaking=flip)
    assert held(one.read()) == one.files
    assert len(one.asked) == 12


def test_a_changed_blob_never_serves(shop: Shop) -> None:
    """Law 2: the start fails, and one line of the log says why."""
    key = blob_key(Digest.of(LARGE))
    shop.blobs.objects[key] = LARGE[:50] + b"?" + LARGE[51:]
    with pytest.raises(IntegrityError, match=r"the part of `deep/w\.bin` at byte 50 should have sha256"):
        shop.read()
    (line,) = shop.log
    assert (line["event"], line["failure"]) == ("model not read from S3", "IntegrityError")
    assert line["error"].startswith("the part of `deep/w.bin`")


def test_a_changed_blob_without_parts_never_serves(tmp_path: Path) -> None:
    """Law 2."""
    old = Shop(tmp_path / "digest", {"model.onnx": LARGE}, parts=False)
    old.blobs.objects[blob_key(Digest.of(LARGE))] = b"?" * 95
    with pytest.raises(IntegrityError, match=r"`model\.onnx` should have sha256"):
        old.read()
    assert held(tmp_path / "digest" / env.FILES_FOLDER) == {}


def test_a_manifest_whose_parts_are_another_file_s_never_serves(shop: Shop) -> None:
    """Law 2: the parts never replace the digest of the whole, which is what names a file."""
    other = bytes(reversed(LARGE))
    parts = file_of("other", other).parts
    lying = ArtifactFile("model.onnx", Digest.of(LARGE), 95, parts)
    shop.blobs.objects[blob_key(Digest.of(LARGE))] = other
    with pytest.raises(IntegrityError, match=r"`model\.onnx` should have sha256"):
        shop.read(replace(shop.manifest, files=(lying,), entry="model.onnx"))
    assert [path.name for path in shop.folder.rglob("*") if path.is_file()] == ["lock"]


@pytest.mark.parametrize(
    ("gone", "error"), [(b"graph", NotFoundError), (LARGE, NotFoundError)], ids=["small", "large"]
)
def test_a_missing_blob_fails_the_start_at_once(shop: Shop, gone: bytes, error: type[Exception]) -> None:
    del shop.blobs.objects[blob_key(Digest.of(gone))]
    with pytest.raises(error, match="nothing is stored at `blobs/"):
        shop.read()
    assert shop.log[-1]["failure"] == "NotFoundError"


def test_a_blob_that_is_shorter_than_it_was_fails_the_start(shop: Shop) -> None:
    shop.blobs.objects[blob_key(Digest.of(LARGE))] = LARGE[:90]
    with pytest.raises(IntegrityError, match="is shorter than its manifest says"):
        shop.read()


def test_a_store_that_stays_away_fails_the_start(shop: Shop) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailableError("S3 answered 503 SlowDown")

    shop.breaking = away
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        shop.read()
    most = max(shop.asked.count(asked) for asked in shop.asked)
    assert most <= 2 * (1 + len(PAUSES_S)), "the same blob is read for two files"


def test_a_file_that_nobody_published_beside_the_model_fails_the_start(shop: Shop) -> None:
    """Law 2: nothing unverified lies where a graph could read it."""
    (shop.read() / "extra.bin").write_bytes(b"?")
    with pytest.raises(IntegrityError, match=r"has `extra\.bin`, which its manifest does not name"):
        shop.read()


def test_a_model_that_does_not_fit_into_tmp_is_refused_before_it_is_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 8, once more at start: the numbers, and not half a model."""
    real = os.statvfs(shop.folder.parent)
    full = os.statvfs_result([real.f_bsize, 1, 100, 1, 100, *tuple(real)[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(LocalFileError, match=r"`m:3` has 195 bytes to read, and 100 are free in"):
        shop.read()
    assert shop.asked == []


def test_a_disk_that_cannot_be_written_fails_the_start(shop: Shop) -> None:
    shop.folder.mkdir()
    (shop.folder / "begun").write_bytes(b"not a folder")
    with pytest.raises(LocalFileError, match="cannot be read or written"):
        shop.read()


def test_two_processes_in_one_folder_do_not_mix_their_writes(shop: Shop) -> None:
    begun = shop.folder / "begun"
    begun.mkdir(parents=True)
    with (begun / "lock").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=shop.read)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert shop.asked == []
    waiting.join(60)
    assert held(shop.folder / env.FILES_FOLDER) == shop.files


def test_pauses_are_drawn_so_that_many_starts_do_not_come_back_at_once() -> None:
    slept: list[float] = []

    def fail() -> None:
        raise StoreUnavailableError("away")

    with pytest.raises(StoreUnavailableError):
        persistently(fail, slept.append)
    assert len(slept) == len(PAUSES_S)
    assert all(pause / 2 <= drawn <= pause * 1.5 for drawn, pause in zip(slept, PAUSES_S, strict=True))


def test_what_is_no_use_to_repeat_is_not_repeated() -> None:
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        raise AccessDeniedError("no")

    with pytest.raises(AccessDeniedError):
        persistently(refuse, lambda _: None)
    assert tries == [1]


# What the environment names


def environ_of(layer: Layer, tmp: Path) -> dict[str, str]:
    """The environment of a release without a layer."""
    return {
        **layer.environ,
        env.BUCKET: "store",
        env.MANIFEST: manifest_key(layer.manifest.model, layer.manifest.version),
        env.MANIFEST_DIGEST: Digest.of(layer.manifest.to_json()).hex,
        "TMPDIR": str(tmp),
    }


def store_of(layer: Layer) -> MemoryBlobs:
    files = layer.package / env.FILES_FOLDER
    objects = {blob_key(file.digest): (files / file.path).read_bytes() for file in layer.manifest.files}
    key = manifest_key(layer.manifest.model, layer.manifest.version)
    return MemoryBlobs({**objects, key: layer.manifest.to_json()})


def test_a_model_with_external_data_is_served_from_the_store(external_layer: Layer, tmp_path: Path) -> None:
    environ = environ_of(external_layer, tmp_path)
    lines: list[str] = []
    artifact = find_stored(environ, blobs=store_of(external_layer), write=lines.append)
    served = load_served(environ, artifact=artifact)
    assert isinstance(served, Served)
    assert str(served.manifest.ref) == "digits:2"
    assert served.golden() == external_layer.manifest.golden
    place = tmp_path / "switchyard" / external_layer.manifest.digest.hex / "files" / "model.onnx"
    assert place.is_file()
    assert json.loads(lines[0])["event"] == "model read from S3"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (env.MODEL, "fraud", "`SWITCHYARD_MODEL` is `fraud`, and the store's manifest holds `digits`"),
        (env.VERSION, "3", "`SWITCHYARD_VERSION` is `3`, and the store's manifest holds `2`"),
        (env.DIGEST, Digest.of(b"other").hex, "the artifact of digits:2 should have sha256"),
        (env.MANIFEST_DIGEST, Digest.of(b"other").hex, "`models/digits/versions/000000002.json` should have"),
        (env.BUCKET, "", "the environment variable `SWITCHYARD_BUCKET` is not set"),
        (env.MANIFEST_DIGEST, "", "`SWITCHYARD_MANIFEST_DIGEST` is not set"),
        (env.MANIFEST, "models/digits/versions/000000009.json", "nothing is stored at"),
    ],
)
def test_an_environment_that_names_something_else_reads_nothing(
    external_layer: Layer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: str,
) -> None:
    """Law 2: environment, manifest and files tell the same model, version and digest."""
    monkeypatch.setattr(stored, "PAUSES_S", (0.0,))
    environ = environ_of(external_layer, tmp_path) | {variable: value}
    with pytest.raises(ModelStoreError, match=words):
        find_stored(environ, blobs=store_of(external_layer), write=lambda _: None)
    assert list(tmp_path.glob("switchyard")) == []


def test_a_manifest_that_was_edited_reads_nothing(
    external_layer: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 2: the digest of the manifest was written down by the release."""
    monkeypatch.setattr(stored, "PAUSES_S", (0.0,))
    blobs = store_of(external_layer)
    key = manifest_key("digits", 2)
    blobs.objects[key] = blobs.objects[key].replace(b'"tests"', b'"other"')
    lines: list[str] = []
    with pytest.raises(IntegrityError, match="should have sha256"):
        find_stored(environ_of(external_layer, tmp_path), blobs=blobs, write=lines.append)
    assert json.loads(lines[0])["failure"] == "IntegrityError"


def test_a_manifest_that_is_no_document_reads_nothing(external_layer: Layer, tmp_path: Path) -> None:
    environ = environ_of(external_layer, tmp_path) | {env.MANIFEST_DIGEST: Digest.of(b"{").hex}
    blobs = MemoryBlobs({environ[env.MANIFEST]: b"{"})
    with pytest.raises(IntegrityError, match="cannot be read"):
        find_stored(environ, blobs=blobs, write=lambda _: None)
