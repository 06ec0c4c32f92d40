"""``model_store.send``: the two passes of a publish over many files."""

import threading
from pathlib import Path
from typing import Any

import pytest

from model_store import transfer
from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, LocalFileError, StoreUnavailableError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile
from model_store.send import hash_files, send_files


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Twelve small files and two that are cut."""
    monkeypatch.setattr(transfer, "part_size_for", lambda _size: 100)
    monkeypatch.setattr(transfer, "_PIECE_BYTES", 50)
    contents = {f"{number}.txt": f"file {number}".encode() for number in range(12)}
    contents |= {"a.bin": b"a" * 250, "b.bin": b"b" * 101}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in contents}


def quiet(*_: object) -> None:
    """Say nothing."""


def test_every_file_is_stored_under_its_digest(paths: dict[str, Path]) -> None:
    """Law 2: the digest names the bytes."""
    store = MemoryStore()
    files = hash_files(paths, quiet)
    assert [file.path for file in files if file.parts] == ["a.bin", "b.bin"]
    send_files(store, paths, files, quiet)
    for file in files:
        assert store.get(blob_key(file.digest)) == paths[file.path].read_bytes()


def test_progress_counts_every_byte_once_and_never_goes_back(paths: dict[str, Path]) -> None:
    told: list[tuple[str, int, int]] = []
    total = sum(path.stat().st_size for path in paths.values())
    files = hash_files(paths, lambda *step: told.append(step))
    assert told[0] == ("hashing 0.txt", 0, total)
    assert told[-1] == ("hashing b.bin", total, total)
    hashed, told = told, []
    send_files(MemoryStore(), paths, files, lambda *step: told.append(step))
    assert told[-1] == ("stored", total, total)
    for passed in (hashed, told):
        done = [at for _, at, _ in passed]
        assert done == sorted(done)


class Gathering(MemoryStore):
    """Waits until four files are on their way at once."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(4)

    def put_file_once(self, *args: Any) -> None:
        self._together.wait(5)
        super().put_file_once(*args)


def test_small_files_do_not_wait_for_each_other(paths: dict[str, Path]) -> None:
    files = [file for file in hash_files(paths, quiet) if not file.parts]
    send_files(Gathering(), paths, files, quiet)


@pytest.mark.parametrize("name", ["3.txt", "a.bin"])
@pytest.mark.parametrize("meddle", ["changed", "gone"])
def test_a_file_that_changed_between_the_passes_is_refused_by_name(
    paths: dict[str, Path], name: str, meddle: str
) -> None:
    """Law 2: what is stored is what was hashed."""
    store = MemoryStore()
    files = hash_files(paths, quiet)
    if meddle == "gone":
        paths[name].unlink()
    else:
        paths[name].write_bytes(paths[name].read_bytes()[:-1] + b"X")
    with pytest.raises(IntegrityError, match=f"`{name}` changed while it was being published"):
        send_files(store, paths, files, quiet)
    (digest,) = (file.digest for file in files if file.path == name)
    assert not store.exists(blob_key(digest))


class Broken(MemoryStore):
    """A store that does not answer."""

    def put_file_once(self, *_: Any) -> None:
        raise StoreUnavailableError("no answer")


def test_a_store_that_fails_is_not_taken_for_a_file_that_changed(paths: dict[str, Path]) -> None:
    with pytest.raises(StoreUnavailableError, match="no answer"):
        send_files(Broken(), paths, hash_files(paths, quiet), quiet)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="gone"):
        hash_files({"gone": tmp_path / "gone"}, quiet)


def test_no_files_are_no_work() -> None:
    told: list[tuple[str, int, int]] = []
    send_files(MemoryStore(), {}, (), lambda *step: told.append(step))
    assert hash_files({}, quiet) == ()
    assert told == [("stored", 0, 0)]


def test_identical_files_are_stored_once(tmp_path: Path) -> None:
    store = MemoryStore()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"the same")
    paths = {name: tmp_path / name for name in ("a", "b")}
    send_files(store, paths, hash_files(paths, quiet), quiet)
    assert list(store.keys("")) == [blob_key(Digest.of(b"the same"))]
    assert ArtifactFile("a", Digest.of(b"the same"), 8) in hash_files(paths, quiet)
