"""``model_store.cache``: what was fetched before, verified when it is used, within a limit."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.cache import Cache
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, LocalFileError
from model_store.contract.manifest import ArtifactFile


class Clock:
    """Moves by a second with every look."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        self.at += 1
        return self.at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(root: Path) -> Cache:
    """Room for three files of ten bytes."""
    return Cache(root, limit=30, now=Clock())


Make = Callable[[str], tuple[ArtifactFile, Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A file of ten bytes that begins with the given letter."""

    def make(letter: str) -> tuple[ArtifactFile, Path]:
        data = (letter + "123456789").encode()
        path = tmp_path / f"{letter}.bin"
        path.write_bytes(data)
        return ArtifactFile(path.name, Digest.of(data), len(data)), path

    return make


def held(root: Path) -> list[str]:
    return sorted(path.read_bytes()[:1].decode() for path in root.glob("*/*"))


def test_what_was_kept_is_given_back(cache: Cache, make: Make, tmp_path: Path) -> None:
    file, path = make("a")
    assert not cache.take(file, tmp_path / "out" / "a")
    cache.keep(file, path)
    assert cache.take(file, tmp_path / "out" / "a")
    assert (tmp_path / "out" / "a").read_bytes() == path.read_bytes()


def test_what_is_given_is_a_copy(cache: Cache, make: Make, tmp_path: Path) -> None:
    """Whoever edits a pulled file does not edit what the next one pulls."""
    file, path = make("a")
    cache.keep(file, path)
    cache.take(file, tmp_path / "mine")
    (tmp_path / "mine").write_bytes(b"edited")
    path.write_bytes(b"edited as well")
    assert cache.take(file, tmp_path / "yours")
    assert Digest.of_file(tmp_path / "yours") == file.digest


def test_a_file_that_rotted_is_thrown_away(cache: Cache, make: Make, root: Path, tmp_path: Path) -> None:
    """Law 2: a cache is no excuse for other bytes."""
    file, path = make("a")
    cache.keep(file, path)
    (kept,) = root.glob("*/*")
    kept.write_bytes(b"a12345678X")
    assert not cache.take(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert held(root) == []
    cache.keep(file, path)
    assert cache.take(file, tmp_path / "out")


def test_what_was_not_used_for_longest_goes_first(
    cache: Cache, make: Make, root: Path, tmp_path: Path
) -> None:
    made = {letter: make(letter) for letter in "abcd"}
    for letter in "abc":
        cache.keep(*made[letter])
    cache.take(made["a"][0], tmp_path / "out")
    cache.keep(*made["d"])
    assert held(root) == ["a", "c", "d"]


def test_keeping_again_is_using(cache: Cache, make: Make, root: Path) -> None:
    made = {letter: make(letter) for letter in "abcd"}
    for letter in "abcad":
        cache.keep(*made[letter])
    assert held(root) == ["a", "c", "d"]


def test_a_file_that_is_larger_than_the_cache_is_not_kept(root: Path, make: Make) -> None:
    file, path = make("a")
    Cache(root, limit=9).keep(file, path)
    assert held(root) == []


def test_bytes_that_are_not_the_file_are_not_kept(cache: Cache, make: Make, root: Path) -> None:
    """Law 2: a file in the cache is what its name says."""
    file, _ = make("a")
    _, other = make("b")
    with pytest.raises(IntegrityError):
        cache.keep(file, other)
    assert held(root) == []


def test_what_a_dead_process_left_is_removed_after_a_day(cache: Cache, make: Make, root: Path) -> None:
    cache.keep(*make("a"))
    old, new = (root / "ab" / f".ab12.{word}.part" for word in ("old", "new"))
    old.parent.mkdir(exist_ok=True)
    for part in (old, new):
        part.write_bytes(b"half a file")
    os.utime(old, (900_000, 900_000))
    os.utime(new, (999_999, 999_999))
    cache.keep(*make("b"))
    assert not old.exists()
    assert new.exists()


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, make: Make) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalFileError):
        Cache(tmp_path / "file").keep(*make("a"))


def test_a_file_that_cannot_be_read_is_not_there(
    cache: Cache, make: Make, root: Path, tmp_path: Path
) -> None:
    file, _ = make("a")
    (root / file.digest.hex[:2] / file.digest.hex).mkdir(parents=True)
    assert not cache.take(file, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_no_fault_of_the_cache(
    cache: Cache, make: Make, tmp_path: Path, root: Path
) -> None:
    file, path = make("a")
    cache.keep(file, path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalFileError):
        cache.take(file, tmp_path / "file" / "out")
    assert held(root) == ["a"]


WORKER = """
import sys
from pathlib import Path
from model_store.cache import Cache
from model_store.contract.digest import Digest
from model_store.contract.manifest import ArtifactFile
root, own = Path(sys.argv[1]), Path(sys.argv[2])
cache = Cache(root, limit=40)
for round in range(30):
    for number in range(8):
        data = bytes([97 + number]) * 10
        file = ArtifactFile("f", Digest.of(data), 10)
        if cache.take(file, own / "out"):
            assert (own / "out").read_bytes() == data
        else:
            (own / "in").write_bytes(data)
            cache.keep(file, own / "in")
"""


def test_processes_share_a_cache_and_never_meet_half_a_file(root: Path, tmp_path: Path) -> None:
    """Law 2: whatever the others throw away meanwhile, what is taken is the file."""
    workers = []
    for number in range(4):
        own = tmp_path / str(number)
        own.mkdir()
        workers.append(subprocess.Popen([sys.executable, "-c", WORKER, str(root), str(own)]))
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert sum(path.stat().st_size for path in root.glob("*/*")) <= 40
