"""``model_store.fetch``: verified, whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from model_store import transfer
from model_store.adapters.directory import DirectoryStore
from model_store.cache import Cache
from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, IntegrityError, LocalFileError, NotFoundError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.publish import publish

REF = ByVersion("digits", 1)
WEIGHTS = b"\0\0\0\x40" * 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def disk(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


@pytest.fixture
def manifest(disk: DirectoryStore, save_external: Callable[..., Path]) -> Manifest:
    return publish(disk, "digits", save_external(data=WEIGHTS), created_by="ana").manifest


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_file_comes_back_as_it_was(disk: DirectoryStore, manifest: Manifest, tmp_path: Path) -> None:
    """Law 2: digest from disk to disk."""
    target = tmp_path / "deep" / "target"
    assert fetch(disk, REF, target) == manifest
    assert left_in(target) == ["model.onnx", "weights.bin"]
    for file in manifest.files:
        assert Digest.of_file(target / file.path) == file.digest
    assert left_in(target.parent) == ["target"]


def test_an_empty_folder_may_be_there_already(
    disk: DirectoryStore, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    assert fetch(disk, REF, tmp_path / "target") == manifest
    assert left_in(tmp_path / "target") == ["model.onnx", "weights.bin"]


def test_fetching_again_is_harmless(disk: DirectoryStore, manifest: Manifest, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(disk, REF, tmp_path / "target") == manifest


@pytest.mark.parametrize("meddle", ["changed", "more", "less", "a file"])
def test_a_folder_that_holds_something_else_is_left_alone(
    disk: DirectoryStore, manifest: Manifest, tmp_path: Path, meddle: str
) -> None:
    target = tmp_path / "target"
    if meddle == "a file":
        target.write_bytes(b"mine")
    else:
        fetch(disk, REF, target)
        if meddle == "less":
            (target / "weights.bin").unlink()
        else:
            (target / ("more.txt" if meddle == "more" else "weights.bin")).write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError, match="something other than `digits:1`"):
        fetch(disk, REF, target)
    kept = {"changed": "weights.bin", "more": "more.txt"}.get(meddle)
    if kept:
        assert (target / kept).read_bytes() == b"mine"


def test_one_flipped_bit_in_the_store_is_refused(
    disk: DirectoryStore, manifest: Manifest, root: Path, tmp_path: Path
) -> None:
    """Law 2: every stored byte is covered; a mismatch refuses, and nothing appears."""
    before = left_in(tmp_path)
    for file in manifest.files:
        blob = root / blob_key(file.digest)
        whole = blob.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            blob.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(IntegrityError, match=f"`{file.path}` should have sha256"):
                fetch(disk, REF, tmp_path / "target")
        blob.write_bytes(whole)
    assert left_in(tmp_path) == before


def test_a_cut_off_blob_is_refused(
    disk: DirectoryStore, manifest: Manifest, root: Path, tmp_path: Path
) -> None:
    """Law 2: half a file is not the file."""
    blob = root / blob_key(manifest.files[0].digest)
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        fetch(disk, REF, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_lost_blob_is_said_to_be_lost(
    disk: DirectoryStore, manifest: Manifest, root: Path, tmp_path: Path
) -> None:
    (root / blob_key(manifest.files[1].digest)).unlink()
    with pytest.raises(IntegrityError, match=r"the store has lost its file `weights.bin`"):
        fetch(disk, REF, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_version_that_does_not_exist_is_not_found(
    disk: DirectoryStore, manifest: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="`digits:2` does not exist"):
        fetch(disk, ByVersion("digits", 2), tmp_path / "target")


def test_a_place_that_cannot_be_written_is_said(
    disk: DirectoryStore, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalFileError):
        fetch(disk, REF, tmp_path / "file" / "target")


class Overtaken(DirectoryStore):
    """While this store fetches its first file, somebody else finishes a folder."""

    def __init__(self, root: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(root)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]
        self._one_at_a_time = Lock()

    def fetch_file(self, *args: Any) -> None:
        with self._one_at_a_time:
            if self._meanwhile:
                self._meanwhile.pop()()
        super().fetch_file(*args)


def test_two_who_fetch_the_same_at_once_both_have_it(
    disk: DirectoryStore, manifest: Manifest, root: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    overtaken = Overtaken(root, lambda: fetch(disk, REF, target))
    before = left_in(tmp_path)
    assert fetch(overtaken, REF, target) == manifest
    assert left_in(target) == ["model.onnx", "weights.bin"]
    assert left_in(tmp_path) == sorted([*before, "target"])


def test_a_folder_that_somebody_fills_meanwhile_is_left_alone(
    disk: DirectoryStore, manifest: Manifest, root: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    def fill() -> None:
        target.mkdir()
        (target / "mine.txt").write_bytes(b"mine")

    with pytest.raises(AlreadyExistsError):
        fetch(Overtaken(root, fill), REF, target)
    assert left_in(target) == ["mine.txt"]


# Large files, and what was fetched before


@pytest.fixture
def in_parts(disk: DirectoryStore, save_external: Callable[..., Path]) -> Manifest:
    """``large:1``: its weights are cut into parts of eight bytes."""
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(transfer, "part_size_for", lambda size: 8 if size == len(WEIGHTS) else size + 1)
        made = publish(disk, "large", save_external(data=WEIGHTS), created_by="ana").manifest
    assert [file.path for file in made.files if file.parts] == ["weights.bin"]
    return made


def test_a_file_in_parts_comes_back_whole_and_every_byte_is_told_of(
    disk: DirectoryStore, in_parts: Manifest, tmp_path: Path
) -> None:
    """Law 2: ranges are verified one by one, and the file as a whole."""
    told: list[tuple[str, int, int]] = []
    fetch(disk, in_parts.ref, tmp_path / "target", on_progress=lambda *step: told.append(step))
    assert (tmp_path / "target" / "weights.bin").read_bytes() == WEIGHTS
    assert told[0] == ("fetching model.onnx", 0, in_parts.size)
    assert ("fetching weights.bin", in_parts.size - len(WEIGHTS), in_parts.size) in told
    assert told[-1] == ("fetched", in_parts.size, in_parts.size)


def test_a_part_that_is_wrong_is_refused_by_its_number(
    disk: DirectoryStore, in_parts: Manifest, root: Path, tmp_path: Path
) -> None:
    """Law 2: a mismatch refuses, and nothing appears."""
    (digest,) = (file.digest for file in in_parts.files if file.parts)
    (root / blob_key(digest)).write_bytes(WEIGHTS[:8] + b"X" * 8)
    with pytest.raises(IntegrityError, match=r"part 2 of `weights\.bin`"):
        fetch(disk, in_parts.ref, tmp_path / "target")
    assert not (tmp_path / "target").exists()


class Counting(DirectoryStore):
    """Counts the files that are fetched."""

    fetched = 0

    def fetch_file(self, *args: Any) -> None:
        self.fetched += 1
        super().fetch_file(*args)


def test_what_was_fetched_before_comes_from_the_cache(in_parts: Manifest, root: Path, tmp_path: Path) -> None:
    store, cache = Counting(root), Cache(tmp_path / "cache")
    told: list[tuple[str, int, int]] = []
    for number in range(3):
        fetch(
            store,
            in_parts.ref,
            tmp_path / f"target-{number}",
            cache=cache,
            on_progress=lambda *step: told.append(step),
        )
        assert (tmp_path / f"target-{number}" / "weights.bin").read_bytes() == WEIGHTS
        assert told[-1] == ("fetched", in_parts.size, in_parts.size)
    assert store.fetched == len(in_parts.files)


def test_a_cache_that_rotted_is_no_reason_for_other_bytes(
    in_parts: Manifest, root: Path, tmp_path: Path
) -> None:
    """Law 2: what comes from the cache is verified like what comes from the store."""
    store, cache = Counting(root), Cache(tmp_path / "cache")
    fetch(store, in_parts.ref, tmp_path / "first", cache=cache)
    for held in (tmp_path / "cache").glob("*/*"):
        held.write_bytes(b"rotten")
    fetch(store, in_parts.ref, tmp_path / "second", cache=cache)
    assert (tmp_path / "second" / "weights.bin").read_bytes() == WEIGHTS
    assert store.fetched == 2 * len(in_parts.files)


def test_a_cache_that_cannot_be_written_is_no_reason_to_be_without_the_model(
    disk: DirectoryStore, in_parts: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    fetch(disk, in_parts.ref, tmp_path / "target", cache=Cache(tmp_path / "file"))
    assert (tmp_path / "target" / "weights.bin").read_bytes() == WEIGHTS
