"""``model_store.adapters.directory``: what only a file system can get wrong."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from model_store.adapters import directory
from model_store.adapters.directory import INCOMING, DirectoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    InvalidNameError,
    LocalFileError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.contract.parts import Part, Parts
from model_store.transfer import LocalParts

DATA = b"aaaabbbbccccd"
PARTS = Parts(4, 13, tuple(Digest.of(DATA[at : at + 4]) for at in range(0, 13, 4)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


def test_a_key_is_a_file_that_anybody_can_look_at(store: DirectoryStore, root: Path) -> None:
    store.put_once("models/digits/1.json", b"{}")
    assert (root / "models" / "digits" / "1.json").read_bytes() == b"{}"


def test_two_stores_on_one_folder_are_one_store(store: DirectoryStore, root: Path) -> None:
    store.put_once("a/1", b"data")
    other = DirectoryStore(root)
    assert other.get("a/1") == b"data"
    assert other.try_put_once("a/1", b"data") is False


def test_what_a_killed_writer_leaves_is_no_key(store: DirectoryStore, root: Path) -> None:
    """Law 1: a crash leaves nothing visible."""
    (root / ".incoming").mkdir(parents=True)
    (root / ".incoming" / "half").write_bytes(b"hal")
    assert list(store.keys("")) == []
    store.put_once("a/1", b"data")
    assert list(store.keys("")) == ["a/1"]


def test_nothing_is_left_aside_after_a_write_or_a_refusal(
    store: DirectoryStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    store.put_once("a/1", b"data")
    store.put_once("a/1", b"data")
    with pytest.raises(IntegrityError):
        store.put_file_once("a/2", tmp_path / "file", Digest.of(b"other"))
    with pytest.raises(LocalFileError):
        store.put_file_once("a/2", tmp_path / "gone", Digest.of(b"other"))
    assert list((root / ".incoming").iterdir()) == []


def test_a_key_below_a_key_is_refused(store: DirectoryStore) -> None:
    store.put_once("a/1", b"data")
    with pytest.raises(InvalidNameError, match="a/1/2"):
        store.put_once("a/1/2", b"data")
    with pytest.raises(InvalidNameError, match="`a`"):
        store.put_once("a", b"data")
    assert list(store.keys("")) == ["a/1"]


def test_a_folder_that_is_not_there_yet_is_an_empty_store(store: DirectoryStore) -> None:
    assert list(store.keys("")) == []
    assert not store.exists("a/1")
    with pytest.raises(NotFoundError):
        store.get("a/1")


def fails_with(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, AccessDeniedError),
        (errno.EPERM, AccessDeniedError),
        (errno.ENOSPC, StoreUnavailableError),
        (errno.EIO, StoreUnavailableError),
    ],
)
def test_every_error_of_the_file_system_is_ours(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    monkeypatch.setattr(os, "link", lambda *_: fails_with(number))
    with pytest.raises(kind) as refusal:
        store.put_once("a/1", b"data")
    assert os.strerror(number) in str(refusal.value)
    assert list(store.keys("")) == []


def test_a_folder_that_cannot_be_listed_is_not_passed_over(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing is complete or an error: a version number must never look free."""
    store.put_once("a/1", b"data")
    monkeypatch.setattr(os, "scandir", lambda *_: fails_with(errno.EACCES))
    with pytest.raises(AccessDeniedError):
        list(store.keys("a/"))


# Going on with what broke off


class Disk:
    """Copies parts one after the other, remembers which, and is full after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copied: list[int] = []
        self.room = len(PARTS)
        read = LocalParts.pieces

        def pieces(local: LocalParts, part: Part) -> object:
            if len(self.copied) >= self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.copied.append(part.number)
            return read(local, part)

        monkeypatch.setattr(LocalParts, "pieces", pieces)
        monkeypatch.setattr(directory, "in_order", map)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


def aside(root: Path) -> list[Path]:
    return list((root / INCOMING).iterdir())


def break_off(store: DirectoryStore, file: Path, disk: Disk, after: int) -> None:
    disk.room = after
    with pytest.raises(StoreUnavailableError, match="No space left"):
        store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS)
    disk.room = len(PARTS)
    disk.copied.clear()


def test_a_put_that_broke_off_goes_on_where_it_ended(
    store: DirectoryStore, root: Path, file: Path, disk: Disk
) -> None:
    """Law 1: an interrupted write leaves no key, and is not begun anew."""
    break_off(store, file, disk, after=2)
    assert not store.exists("blobs/1")
    told: list[int] = []
    store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS, told.append)
    assert disk.copied == [3, 4]
    assert sum(told) == len(DATA)
    assert store.get("blobs/1") == DATA
    assert aside(root) == []


def test_a_part_that_the_disk_forgot_is_copied_again(
    store: DirectoryStore, root: Path, file: Path, disk: Disk
) -> None:
    """Law 2: what is left from before is believed only where its digest says so."""
    break_off(store, file, disk, after=3)
    (left,) = aside(root)
    left.write_bytes(b"aaaaXbbbcccc")
    store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS)
    assert disk.copied == [2, 4]
    assert store.get("blobs/1") == DATA


def test_what_a_living_writer_is_writing_is_left_to_it(
    store: DirectoryStore, root: Path, file: Path, disk: Disk
) -> None:
    break_off(store, file, disk, after=2)
    (left,) = aside(root)
    with left.open("r+b") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS)
        assert disk.copied == [1, 2, 3, 4]
        assert aside(root) == [left]
        assert left.stat().st_nlink == 1


def test_what_is_stored_already_is_never_written_to(
    store: DirectoryStore, root: Path, file: Path, disk: Disk
) -> None:
    """Law 1: a writer that died between naming its file and leaving it did not leave it to others."""
    store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS)
    os.link(root / "blobs" / "1", root / INCOMING / f"{Digest.of(DATA).hex}.dead")
    file.write_bytes(b"XXXX" + DATA[4:])
    disk.copied.clear()
    with pytest.raises(IntegrityError, match="part 1"):
        store.put_file_once("blobs/2", file, Digest.of(DATA), PARTS)
    assert store.get("blobs/1") == DATA


def test_nothing_is_left_of_a_file_that_changed(
    store: DirectoryStore, root: Path, file: Path, disk: Disk
) -> None:
    """Law 12: what can never be completed is not kept."""
    file.write_bytes(DATA[:8] + b"XXXX" + DATA[12:])
    with pytest.raises(IntegrityError, match="part 3 of `file`"):
        store.put_file_once("blobs/1", file, Digest.of(DATA), PARTS)
    assert aside(root) == []
