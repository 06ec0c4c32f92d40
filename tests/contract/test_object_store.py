"""The laws of ``model_store.ports.ObjectStore``, held against every adapter.

Against a real bucket, too: ``SWITCHYARD_TEST_BUCKET=NAME pytest -m aws tests/contract``. The bucket must be
empty and allow deletes: every test empties it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from model_store.adapters.directory import DirectoryStore
from model_store.adapters.memory import MemoryStore
from model_store.adapters.s3 import S3Store, s3_client
from model_store.contract.digest import CHUNK_BYTES, Digest
from model_store.contract.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidNameError,
    LocalFileError,
    NotFoundError,
)
from model_store.contract.parts import MIN_PART_BYTES, Part, Parts
from model_store.ports import ObjectStore

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BIG = bytes(range(256)) * (CHUNK_BYTES // 256 * 3) + b"a little more"

LARGE = os.urandom(MIN_PART_BYTES * 2 + 12_345)
PARTS = Parts(
    MIN_PART_BYTES,
    len(LARGE),
    tuple(Digest.of(LARGE[at : at + MIN_PART_BYTES]) for at in range(0, len(LARGE), MIN_PART_BYTES)),
)
"""Three parts, the smallest that S3 takes."""

TEST_BUCKET = "SWITCHYARD_TEST_BUCKET"


@pytest.fixture(
    params=[
        "memory",
        "directory",
        "moto",
        pytest.param("cloud", marks=[pytest.mark.cloud]),
        *([pytest.param("aws", marks=[pytest.mark.aws])] if TEST_BUCKET in os.environ else []),
    ],
)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "directory":
        yield DirectoryStore(tmp_path / "store")
    elif request.param == "moto":
        yield from moto_store(monkeypatch)
    elif request.param == "aws":
        yield from aws_store()
    else:
        yield from cloud_store(request, monkeypatch)


def aws_store() -> Iterator[ObjectStore]:
    bucket = os.environ[TEST_BUCKET]
    client = s3_client()
    if client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents"):
        pytest.fail(f"the bucket {bucket} is not empty: these tests remove everything in it")
    yield S3Store(bucket, client=client)
    empty(client, bucket)


def moto_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    one_at_a_time(monkeypatch)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.meta.events.register_first("before-send.s3.UploadPart", as_bytes)
        client.create_bucket(Bucket="models")
        yield S3Store("models", client=client, sleep=hardly)


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto answers in the caller's thread, and closes what another one is reading. S3 does not."""
    turn, answer = threading.RLock(), BotocoreStubber.__call__

    def in_turn(self: BotocoreStubber, *args: Any, **settings: Any) -> Any:
        with turn:
            return answer(self, *args, **settings)

    monkeypatch.setattr(BotocoreStubber, "__call__", in_turn)


def cloud_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    cloud = request.getfixturevalue("cloud")
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client(endpoint_url=cloud.endpoint_url)
    bucket = f"contract-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield S3Store(bucket, client=client, sleep=hardly)
    empty(client, bucket)
    client.delete_bucket(Bucket=bucket)


def as_bytes(request: Any, **_: object) -> None:
    """What goes over a socket may be a bytearray; moto, which has no socket, takes bytes only."""
    request.body = bytes(request.body)


def hardly(seconds: float) -> None:
    time.sleep(seconds / 50)


def empty(client: "S3Client", bucket: str) -> None:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    return path


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


def test_get_returns_exactly_the_bytes_that_were_put(store: ObjectStore) -> None:
    for key, data in {"a/empty": b"", "a/text": b"text\r\n", "a/bytes": bytes(range(256))}.items():
        store.put_once(key, data)
        assert store.get(key) == data


def test_a_key_means_one_thing_for_ever(store: ObjectStore) -> None:
    """Law 1: every key is written once."""
    store.put_once("a/1", b"first")
    with pytest.raises(AlreadyExistsError, match="a/1"):
        store.put_once("a/1", b"second")
    assert store.get("a/1") == b"first"


def test_repeating_a_write_is_harmless(store: ObjectStore) -> None:
    for _ in range(2):
        store.put_once("a/1", bytes([1, 2, 3]))  # equal bytes, not the same object
    assert list(store.keys("a/")) == ["a/1"]


def test_a_claim_is_won_once_even_with_the_same_bytes(store: ObjectStore) -> None:
    assert store.try_put_once("lease/1", b"mine") is True
    assert store.try_put_once("lease/1", b"mine") is False
    assert store.try_put_once("lease/1", b"other") is False
    assert store.get("lease/1") == b"mine"


def test_of_many_claimants_at_once_exactly_one_wins(store: ObjectStore) -> None:
    """Law 1: nothing is shared, nothing is overwritten, whoever races."""
    ready = threading.Barrier(8)

    def claim(_: int) -> bool:
        ready.wait()
        return store.try_put_once("lease/1", b"the same bytes")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(claim, range(8))) == [False] * 7 + [True]


def test_of_many_writers_of_other_bytes_one_wins_and_the_others_are_told(store: ObjectStore) -> None:
    """Law 1: of concurrent writers one wins, the others learn it."""
    ready = threading.Barrier(6)

    def write(number: int) -> bytes | None:
        data = f"writer {number}".encode()
        ready.wait()
        try:
            store.put_once("a/1", data)
        except AlreadyExistsError:
            return None
        return data

    with ThreadPoolExecutor(6) as pool:
        won = [data for data in pool.map(write, range(6)) if data is not None]
    assert won == [store.get("a/1")]


def test_a_file_goes_in_and_comes_out_unchanged(store: ObjectStore, big_file: Path, tmp_path: Path) -> None:
    """Law 2: the digest holds from disk to disk."""
    digest = Digest.of(BIG)
    store.put_file_once("blobs/big", big_file, digest)
    store.fetch_file("blobs/big", tmp_path / "new" / "folder" / "big.bin", digest)
    assert (tmp_path / "new" / "folder" / "big.bin").read_bytes() == BIG
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["big.bin"]


def test_an_empty_file_goes_in_and_comes_out(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    store.put_file_once("blobs/empty", tmp_path / "empty", Digest.of(b""))
    store.fetch_file("blobs/empty", tmp_path / "back", Digest.of(b""))
    assert (tmp_path / "back").read_bytes() == b""


def test_putting_the_same_file_again_is_harmless(store: ObjectStore, big_file: Path) -> None:
    for _ in range(2):
        store.put_file_once("blobs/big", big_file, Digest.of(BIG))
    assert list(store.keys("blobs/")) == ["blobs/big"]


def test_a_file_is_not_put_over_other_bytes(store: ObjectStore, big_file: Path) -> None:
    """Law 1: every key is written once, by whichever verb."""
    store.put_once("blobs/big", b"other bytes")
    with pytest.raises(AlreadyExistsError, match="blobs/big"):
        store.put_file_once("blobs/big", big_file, Digest.of(BIG))
    assert store.get("blobs/big") == b"other bytes"


def test_a_file_that_is_not_its_digest_is_refused_before_the_key_exists(
    store: ObjectStore, big_file: Path
) -> None:
    """Law 2: the digest is checked at upload."""
    with pytest.raises(IntegrityError, match=r"big\.bin"):
        store.put_file_once("blobs/big", big_file, Digest.of(b"what it was before"))
    assert not store.exists("blobs/big")
    assert list(store.keys("")) == []


def test_a_file_that_is_gone_is_no_fault_of_the_store(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="gone"):
        store.put_file_once("blobs/gone", tmp_path / "gone", Digest.of(b""))


def test_bytes_that_are_not_their_digest_never_appear(store: ObjectStore, tmp_path: Path) -> None:
    """Law 2: a mismatch is refused, and what was there stays."""
    store.put_once("blobs/1", b"flipped")
    (tmp_path / "target").write_bytes(b"what was there")
    with pytest.raises(IntegrityError, match="target"):
        store.fetch_file("blobs/1", tmp_path / "target", Digest.of(b"original"))
    assert (tmp_path / "target").read_bytes() == b"what was there"
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_fetching_replaces_a_file_whole(store: ObjectStore, tmp_path: Path) -> None:
    store.put_once("blobs/1", b"new")
    (tmp_path / "target").write_bytes(b"old and longer")
    store.fetch_file("blobs/1", tmp_path / "target", Digest.of(b"new"))
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize("verb", ["get", "fetch_file"])
def test_what_was_never_put_is_not_found(store: ObjectStore, tmp_path: Path, verb: str) -> None:
    store.put_once("a/1/2", b"")
    call: Callable[[str], object] = {
        "get": store.get,
        "fetch_file": lambda key: store.fetch_file(key, tmp_path / "never", Digest.of(b"")),
    }[verb]
    for key in ("a/1", "a/1/2/3", "b"):
        with pytest.raises(NotFoundError, match=key):
            call(key)
    assert not (tmp_path / "never").exists()


# Files in parts


def test_a_file_in_parts_goes_in_and_comes_out_unchanged(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    """Law 2: the digest holds from disk to disk, however the bytes travelled."""
    digest = Digest.of(LARGE)
    told: list[int] = []
    store.put_file_once("blobs/large", large_file, digest, PARTS, told.append)
    assert sum(told) == len(LARGE)
    told.clear()
    store.fetch_file("blobs/large", tmp_path / "back", digest, PARTS, told.append)
    assert sum(told) == len(LARGE)
    assert (tmp_path / "back").read_bytes() == LARGE


def test_parts_change_how_a_file_travels_and_nothing_else(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    digest = Digest.of(LARGE)
    store.put_file_once("blobs/in-parts", large_file, digest, PARTS)
    store.put_file_once("blobs/whole", large_file, digest)
    store.fetch_file("blobs/in-parts", tmp_path / "a", digest)
    store.fetch_file("blobs/whole", tmp_path / "b", digest, PARTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == LARGE
    store.put_file_once("blobs/in-parts", large_file, digest)
    store.put_file_once("blobs/whole", large_file, digest, PARTS)


def test_putting_the_same_parts_again_is_harmless_and_tells_of_every_byte(
    store: ObjectStore, large_file: Path
) -> None:
    for _ in range(2):
        told: list[int] = []
        store.put_file_once("blobs/large", large_file, Digest.of(LARGE), PARTS, told.append)
        assert sum(told) == len(LARGE)
    assert list(store.keys("")) == ["blobs/large"]


def test_parts_are_not_put_over_other_bytes(store: ObjectStore, large_file: Path) -> None:
    """Law 1: every key is written once, however the bytes travel."""
    store.put_once("blobs/large", b"other bytes")
    with pytest.raises(AlreadyExistsError, match="blobs/large"):
        store.put_file_once("blobs/large", large_file, Digest.of(LARGE), PARTS)
    assert store.get("blobs/large") == b"other bytes"


def test_of_many_who_put_the_same_parts_all_succeed_and_one_object_is_there(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    """Law 1: identical bytes are stored once, also when several publishers bring them at once."""
    ready = threading.Barrier(3)
    digest = Digest.of(LARGE)

    def put(_: int) -> None:
        ready.wait()
        store.put_file_once("blobs/large", large_file, digest, PARTS)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(put, range(3)))
    assert [(entry.key, entry.size) for entry in store.entries("")] == [("blobs/large", len(LARGE))]
    store.fetch_file("blobs/large", tmp_path / "back", digest, PARTS)


@pytest.mark.parametrize("at", [0, MIN_PART_BYTES, len(LARGE) - 1])
def test_a_part_that_changed_is_refused_before_the_key_exists(
    store: ObjectStore, large_file: Path, at: int
) -> None:
    """Law 2: the digest is checked at upload, part by part."""
    with large_file.open("r+b") as file:
        file.seek(at)
        file.write(bytes([LARGE[at] ^ 1]))
    with pytest.raises(IntegrityError, match=r"large\.bin"):
        store.put_file_once("blobs/large", large_file, Digest.of(LARGE), PARTS)
    assert not store.exists("blobs/large")


@pytest.mark.parametrize("size", [len(LARGE) - 1, len(LARGE) + 1, 0])
def test_a_file_that_grew_or_shrank_is_refused_before_the_key_exists(
    store: ObjectStore, large_file: Path, size: int
) -> None:
    """Law 2: half a file is not the file."""
    os.truncate(large_file, size)
    with pytest.raises(IntegrityError, match=r"large\.bin"):
        store.put_file_once("blobs/large", large_file, Digest.of(LARGE), PARTS)
    assert not store.exists("blobs/large")


def test_a_stored_part_that_is_wrong_never_appears(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    """Law 2: a mismatch in any part is refused, and what was there stays."""
    at = MIN_PART_BYTES + 7
    wrong = LARGE[:at] + bytes([LARGE[at] ^ 1]) + LARGE[at + 1 :]
    store.put_once("blobs/large", wrong)
    (tmp_path / "target").write_bytes(b"what was there")
    with pytest.raises(IntegrityError, match="part 2 of `target`"):
        store.fetch_file("blobs/large", tmp_path / "target", Digest.of(LARGE), PARTS)
    assert (tmp_path / "target").read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*.part"))


def test_parts_that_fit_do_not_stand_for_the_digest(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    """Law 2: the digest of the whole names the bytes; parts only say where they are wrong."""
    store.put_file_once("blobs/large", large_file, Digest.of(LARGE), PARTS)
    with pytest.raises(IntegrityError, match="`target` should have sha256"):
        store.fetch_file("blobs/large", tmp_path / "target", Digest.of(b"other"), PARTS)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("size", [0, MIN_PART_BYTES, len(LARGE) - 1])
def test_a_stored_file_that_is_cut_off_never_appears(store: ObjectStore, tmp_path: Path, size: int) -> None:
    """Law 2: half a file is not the file."""
    store.put_once("blobs/large", LARGE[:size])
    with pytest.raises(IntegrityError):
        store.fetch_file("blobs/large", tmp_path / "target", Digest.of(LARGE), PARTS)
    assert not (tmp_path / "target").exists()


def test_parts_of_what_was_never_put_are_not_found(
    store: ObjectStore, large_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="blobs/large"):
        store.fetch_file("blobs/large", tmp_path / "target", Digest.of(LARGE), PARTS)
    with pytest.raises(NotFoundError, match="blobs/large"):
        list(store.chunks("blobs/large"))


@pytest.mark.parametrize("parts", [None, PARTS], ids=["whole", "parts"])
def test_a_copy_holds_the_same_bytes_under_another_key(
    store: ObjectStore, large_file: Path, parts: Parts | None
) -> None:
    digest = Digest.of(LARGE)
    store.put_file_once("a/large", large_file, digest, PARTS)
    for _ in range(2):
        store.copy_once("a/large", "b/large", digest, parts)
    assert store.get("b/large") == LARGE
    assert store.get("a/large") == LARGE


def test_a_copy_is_not_made_over_other_bytes(store: ObjectStore, large_file: Path) -> None:
    """Law 1."""
    store.put_file_once("a/large", large_file, Digest.of(LARGE), PARTS)
    store.put_once("b/large", b"other")
    with pytest.raises(AlreadyExistsError, match="b/large"):
        store.copy_once("a/large", "b/large", Digest.of(LARGE), PARTS)
    assert store.get("b/large") == b"other"


def test_bytes_that_are_not_their_digest_are_not_copied(store: ObjectStore) -> None:
    """Law 2."""
    store.put_once("a/small", b"wrong")
    with pytest.raises(IntegrityError):
        store.copy_once("a/small", "b/small", Digest.of(b"right"))
    assert not store.exists("b/small")


@pytest.mark.parametrize("parts", [None, PARTS], ids=["whole", "parts"])
def test_what_was_never_put_cannot_be_copied(store: ObjectStore, parts: Parts | None) -> None:
    with pytest.raises(NotFoundError):
        store.copy_once("a/nothing", "b/nothing", Digest.of(LARGE), parts)
    assert not store.exists("b/nothing")


def test_chunks_are_the_bytes_of_the_key_or_of_one_part(store: ObjectStore) -> None:
    store.put_once("blobs/big", BIG)
    assert b"".join(store.chunks("blobs/big")) == BIG
    middle = Part(2, 1_000, 100, Digest.of(b"whatever"))
    assert b"".join(store.chunks("blobs/big", middle)) == BIG[1_000:1_100]
    for beyond in (replace(middle, start=len(BIG) - 99), replace(middle, start=len(BIG) + 1)):
        with pytest.raises(IntegrityError, match="blobs/big"):
            list(store.chunks("blobs/big", beyond))


def test_entries_say_size_and_time(store: ObjectStore) -> None:
    store.put_once("a/1", b"data")
    store.put_once("a/2", b"")
    first, second = store.entries("a/")
    assert (first.key, first.size) == ("a/1", 4)
    assert (second.key, second.size) == ("a/2", 0)
    # S3 keeps whole seconds, and no two clocks agree.
    assert abs(first.written_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert [entry.key for entry in store.entries("a/", after="a/1")] == ["a/2"]


def test_exists_says_whether_a_key_holds_anything(store: ObjectStore) -> None:
    store.put_once("a/10", b"")
    assert store.exists("a/10")
    assert not store.exists("a/1")
    assert not store.exists("a")
    assert not store.exists("a/100")


def test_keys_are_sorted_whole_and_complete(store: ObjectStore) -> None:
    names = ["b", "a/2", "a/10", "a-b/1", "a/b/c", "a0", "models/digits/1", "models/digits-eu/1"]
    for name in names:
        store.put_once(name, b"")
    assert list(store.keys("")) == sorted(names)
    assert list(store.keys("a/")) == ["a/10", "a/2", "a/b/c"]
    assert list(store.keys("models/digits")) == ["models/digits-eu/1", "models/digits/1"]
    assert list(store.keys("nothing/here")) == []


def test_keys_go_on_after_any_word_there_or_not(store: ObjectStore) -> None:
    for number in (1, 2, 3, 5):
        store.put_once(f"a/{number}", b"")
    assert list(store.keys("a/", after="a/2")) == ["a/3", "a/5"]
    assert list(store.keys("a/", after="a/4")) == ["a/5"]
    assert list(store.keys("a/", after="a/~")) == []
    assert list(store.keys("a/", after="")) == ["a/1", "a/2", "a/3", "a/5"]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.hidden", "a\\b", "a\n", "é"])
def test_a_key_that_could_leave_its_place_is_refused(store: ObjectStore, tmp_path: Path, key: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for call in (
        lambda: store.put_once(key, b""),
        lambda: store.try_put_once(key, b""),
        lambda: store.put_file_once(key, tmp_path / "file", Digest.of(b"")),
        lambda: store.get(key),
        lambda: store.fetch_file(key, tmp_path / "back", Digest.of(b"")),
        lambda: store.exists(key),
    ):
        with pytest.raises(InvalidNameError):
            call()
    assert list(store.keys("")) == []


def test_a_long_listing_is_complete(store: ObjectStore) -> None:
    names = [f"many/{number:04d}" for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put_once(name, b""), names))
    assert list(store.keys("many/")) == names
