"""``model_store.place``: a file appears whole and right, or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, LocalFileError, StoreUnavailableError
from model_store.place import local_files, place

DIGEST = Digest.of(b"onetwo")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_chunks_become_one_file(tmp_path: Path) -> None:
    place([b"one", b"", b"two"], tmp_path / "a" / "b", DIGEST)
    assert (tmp_path / "a" / "b").read_bytes() == b"onetwo"
    assert names_in(tmp_path / "a") == ["b"]


def test_nobody_sees_the_file_before_it_is_whole(tmp_path: Path) -> None:
    """Law 2: no reader ever sees half a file."""
    seen: list[bool] = []

    def chunks() -> Iterator[bytes]:
        yield b"one"
        seen.append((tmp_path / "target").exists())
        yield b"two"

    place(chunks(), tmp_path / "target", DIGEST)
    assert seen == [False]


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise StoreUnavailableError("the line is dead")

    with pytest.raises(StoreUnavailableError, match="the line is dead"):
        place(chunks(), tmp_path / "target", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_leave_what_was_there(tmp_path: Path) -> None:
    """Law 2: a mismatch is refused."""
    (tmp_path / "target").write_bytes(b"before")
    with pytest.raises(IntegrityError):
        place([b"one"], tmp_path / "target", DIGEST)
    assert (tmp_path / "target").read_bytes() == b"before"
    assert names_in(tmp_path) == ["target"]


def test_a_placed_file_can_be_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    """A Lambda layer is unpacked by one user and read by another."""
    before = os.umask(0o022)
    try:
        place([b"onetwo"], tmp_path / "target", DIGEST)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o644


def test_a_place_that_is_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "target" / "inside").mkdir(parents=True)
    with pytest.raises(LocalFileError, match="target"):
        place([b"onetwo"], tmp_path / "target", DIGEST)
    assert names_in(tmp_path) == ["target"]


def test_a_local_error_names_the_path_and_the_reason(tmp_path: Path) -> None:
    said = "gone` cannot be read or written: No such file"
    with pytest.raises(LocalFileError, match=said) as refusal, local_files(tmp_path / "gone"):
        (tmp_path / "gone").read_bytes()
    assert refusal.value.hint is not None


def test_a_folder_that_is_a_file_is_said_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalFileError, match="file/target"):
        place([b"data"], tmp_path / "file" / "target", Digest.of(b"data"))
