"""``model_store.adapters.directory``: what only a file system can get wrong."""

import errno
import os
from pathlib import Path

import pytest

from model_store.adapters.directory import DirectoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    InvalidNameError,
    LocalFileError,
    NotFoundError,
    StoreUnavailableError,
)


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
