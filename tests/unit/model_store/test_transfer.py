"""``model_store.transfer``: parts at once, in order, verified, few in memory."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import transfer
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AccessDeniedError,
    IntegrityError,
    LocalFileError,
    StoreUnavailableError,
)
from model_store.contract.parts import PART_BYTES, Part, Parts
from model_store.transfer import (
    PAUSES_S,
    counted,
    exactly,
    fetched,
    hash_file,
    in_order,
    opened,
    persistently,
    place_parts,
)

DATA = b"aaaabbbbc"
PARTS = Parts(4, 9, (Digest.of(b"aaaa"), Digest.of(b"bbbb"), Digest.of(b"c")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut files at four bytes, and read two of them at a time."""
    monkeypatch.setattr(transfer, "part_size_for", lambda _size: 4)
    monkeypatch.setattr(transfer, "_PIECE_BYTES", 2)


# Hashing


def test_one_pass_takes_the_digest_of_the_whole_and_of_the_parts(path: Path, small_parts: None) -> None:
    """Law 2: the digests are of the same bytes, each read once."""
    told: list[int] = []
    found = hash_file(path, told.append)
    assert (found.digest, found.size, found.parts) == (Digest.of(DATA), 9, PARTS)
    assert told == [2, 2, 2, 2, 1]


def test_a_file_that_ends_with_a_part_has_no_empty_one(path: Path, small_parts: None) -> None:
    path.write_bytes(DATA[:8])
    assert hash_file(path).parts == Parts(4, 8, PARTS.digests[:2])


@pytest.mark.parametrize("size", [0, 1, PART_BYTES])
def test_a_file_that_is_not_larger_than_a_part_is_not_cut(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    found = hash_file(tmp_path / "file")
    assert (found.digest, found.size, found.parts) == (Digest.of(b"x" * size), size, None)


def test_a_file_larger_than_a_part_is_cut(tmp_path: Path) -> None:
    data = os.urandom(PART_BYTES) + b"more"
    (tmp_path / "file").write_bytes(data)
    found = hash_file(tmp_path / "file")
    assert found.digest == Digest.of(data)
    assert found.parts == Parts(PART_BYTES, len(data), (Digest.of(data[:PART_BYTES]), Digest.of(b"more")))


@pytest.mark.parametrize("meddle", ["grows", "shrinks", "changes"])
def test_a_file_that_changes_while_it_is_read_is_refused(path: Path, small_parts: None, meddle: str) -> None:
    """Law 12: what was read was never the file as a whole."""

    def on_bytes(_: int) -> None:
        if meddle == "grows":
            path.write_bytes(DATA + b"more")
        elif meddle == "shrinks":
            os.truncate(path, 3)
        else:
            with path.open("r+b") as file:
                file.write(b"X")
            os.utime(path, (1, 1))

    with pytest.raises(IntegrityError, match="`file` changed while it was being read"):
        hash_file(path, on_bytes)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="gone"):
        hash_file(tmp_path / "gone")


# Reading parts


def test_parts_of_a_local_file_are_read_and_verified(path: Path) -> None:
    with opened(path, PARTS) as file:
        assert [bytes(file.read(part)) for part in PARTS] == [b"aaaa", b"bbbb", b"c"]
        assert [b"".join(map(bytes, file.pieces(part))) for part in PARTS] == [b"aaaa", b"bbbb", b"c"]


def test_a_part_that_changed_is_refused_and_the_others_are_not(path: Path) -> None:
    """Law 2: a file that changes between hashing and sending is not sent."""
    path.write_bytes(b"aaaabXbbc")
    with opened(path, PARTS) as file:
        first, second, _ = PARTS
        assert bytes(file.read(first)) == b"aaaa"
        assert list(file.pieces(first))
        with pytest.raises(IntegrityError, match="part 2 of `file`"):
            file.read(second)
        with pytest.raises(IntegrityError, match="part 2 of `file`"):
            list(file.pieces(second))


def test_a_file_that_shrinks_while_it_is_open_is_refused(path: Path) -> None:
    """Law 2: missing bytes are other bytes."""
    with opened(path, PARTS) as file:
        os.truncate(path, 5)
        with pytest.raises(IntegrityError, match="part 2"):
            file.read(list(PARTS)[1])
        with pytest.raises(IntegrityError, match="part 2"):
            list(file.pieces(list(PARTS)[1]))


def test_a_file_of_another_size_is_refused_before_a_part_is_read(path: Path) -> None:
    path.write_bytes(DATA + b"more")
    with pytest.raises(IntegrityError, match="another size"), opened(path, PARTS):
        pass


# Fetching parts


def chunks_of(part: Part) -> Iterator[bytes]:
    for at in range(part.start, part.start + part.size):
        yield DATA[at : at + 1]


def test_parts_are_fetched_in_order() -> None:
    assert b"".join(fetched(chunks_of, PARTS, name="file")) == DATA


def test_a_part_that_breaks_off_or_comes_out_wrong_is_fetched_again_alone() -> None:
    """Law 2: what is handed on was verified."""
    asked: list[int] = []
    pauses: list[float] = []

    def on_a_bad_day(part: Part) -> Iterator[bytes]:
        asked.append(part.number)
        if part.number == 2 and asked.count(2) == 1:
            yield b"bb"
            raise StoreUnavailableError("the connection broke")
        if part.number == 2 and asked.count(2) == 2:
            yield b"bbbX"
            return
        yield from chunks_of(part)

    got = b"".join(fetched(on_a_bad_day, PARTS, name="file", sleep=pauses.append))
    assert got == DATA
    assert sorted(asked) == [1, 2, 2, 2, 3]
    assert pauses == list(PAUSES_S)


def test_a_part_that_stays_wrong_ends_the_fetch_with_its_number() -> None:
    """Law 2: a mismatch is refused."""
    with pytest.raises(IntegrityError, match="part 3 of `file`"):
        list(
            fetched(
                lambda part: [b"c" if part.number < 3 else b"d"] * part.size,
                Parts(4, 9, (Digest.of(b"cccc"), Digest.of(b"cccc"), Digest.of(b"c"))),
                name="file",
                sleep=lambda _: None,
            )
        )


def test_parts_are_placed_as_one_file_and_told_of(tmp_path: Path) -> None:
    told: list[int] = []
    place_parts(chunks_of, PARTS, tmp_path / "new" / "file", Digest.of(DATA), told.append)
    assert (tmp_path / "new" / "file").read_bytes() == DATA
    assert sum(told) == len(DATA)


def test_a_part_that_is_too_long_harms_no_other_and_is_fetched_again(tmp_path: Path) -> None:
    """Law 2: what is placed was verified, whatever a server sends."""
    asked: list[int] = []

    def too_much_at_first(part: Part) -> Iterator[bytes]:
        asked.append(part.number)
        yield from chunks_of(part)
        if part.number == 1 and asked.count(1) == 1:
            yield b"XXXXX"

    place_parts(too_much_at_first, PARTS, tmp_path / "file", Digest.of(DATA), sleep=lambda _: None)
    assert (tmp_path / "file").read_bytes() == DATA
    assert sorted(asked) == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("digest", "wrong", "said"),
    [(Digest.of(b"other"), 0, "`file` should have"), (Digest.of(DATA), 2, "part 2 of `file`")],
)
def test_parts_that_are_not_the_file_leave_what_was_there(
    tmp_path: Path, digest: Digest, wrong: int, said: str
) -> None:
    """Law 2: a mismatch in the whole or in a part is refused."""
    (tmp_path / "file").write_bytes(b"before")

    def chunks(part: Part) -> Iterator[bytes]:
        yield b"XXXX" if part.number == wrong else b"".join(chunks_of(part))

    with pytest.raises(IntegrityError, match=said):
        place_parts(chunks, PARTS, tmp_path / "file", digest, sleep=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"


def test_what_no_repetition_can_heal_is_raised_at_once() -> None:
    tried: list[int] = []

    def refused() -> None:
        tried.append(1)
        raise AccessDeniedError("no")

    with pytest.raises(AccessDeniedError):
        persistently(refused, lambda _: None)

    def gone() -> None:
        tried.append(2)
        raise StoreUnavailableError("gone")

    with pytest.raises(StoreUnavailableError):
        persistently(gone, lambda _: None, but_not=(StoreUnavailableError,))
    assert tried == [1, 2]


def test_a_part_of_another_length_is_refused() -> None:
    part = Part(1, 0, 4, Digest.of(b"aaaa"))
    assert b"".join(exactly(iter([b"aa", b"aa"]), "key", part)) == b"aaaa"
    for chunks in ([b"aa"], [b"aaaa", b"a"]):
        with pytest.raises(IntegrityError, match="which has 4"):
            list(exactly(iter(chunks), "key", part))


def test_chunks_are_told_of_when_they_were_taken() -> None:
    told: list[int] = []
    taken = [(chunk, sum(told)) for chunk in counted([b"aa", b"b"], told.append)]
    assert taken == [(b"aa", 0), (b"b", 2)]
    assert told == [2, 1]


# At once


def test_results_come_in_order_whatever_is_done_first() -> None:
    def work(number: int) -> int:
        time.sleep(0.01 if number % 2 == 0 else 0)
        return number

    assert list(in_order(work, range(12), at_once=4)) == list(range(12))


def test_no_more_is_in_work_or_held_than_was_asked_for() -> None:
    """A file is never whole in memory."""
    lock = threading.Lock()
    begun = taken = ahead = 0

    def work(number: int) -> int:
        nonlocal begun, ahead
        with lock:
            begun += 1
            ahead = max(ahead, begun - taken)
        return number

    for _ in in_order(work, range(30), at_once=3):
        with lock:
            taken += 1
        time.sleep(0.001)
    assert ahead <= 4  # three in work, and the one that is being looked at


def test_several_are_in_work_at_once() -> None:
    together = threading.Barrier(3)
    assert list(in_order(lambda _: together.wait(5), range(3), at_once=3))


def test_the_first_error_ends_it_and_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise StoreUnavailableError("no")

    with pytest.raises(StoreUnavailableError):
        list(in_order(work, range(100), at_once=2))
    assert len(begun) <= 4


def test_who_stops_listening_stops_the_work() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(100), at_once=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 3
