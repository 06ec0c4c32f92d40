"""The laws of ``model_store.ports.ObjectStore``, held against every adapter."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

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
from model_store.ports import ObjectStore

BIG = bytes(range(256)) * (CHUNK_BYTES // 256 * 3) + b"a little more"


@pytest.fixture(
    params=["memory", "directory", "moto", pytest.param("cloud", marks=[pytest.mark.cloud])],
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
    else:
        yield from cloud_store(request, monkeypatch)


def moto_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="models")
        yield S3Store("models", client=client)


def cloud_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    cloud = request.getfixturevalue("cloud")
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client(endpoint_url=cloud.endpoint_url)
    bucket = f"contract-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield S3Store(bucket, client=client)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
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
