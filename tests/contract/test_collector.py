"""The laws of ``model_store.collector.Collector``, held against every adapter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from model_store.adapters.directory import INCOMING, DirectoryStore
from model_store.adapters.directory_collector import DirectoryCollector
from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_collector import MemoryCollector
from model_store.adapters.s3 import S3Store, s3_client
from model_store.adapters.s3_collector import S3Collector
from model_store.collector import Collector, Upload
from model_store.contract.errors import InvalidNameError, NotFoundError, StoreUnavailableError
from model_store.ports import ObjectStore

BEGUN = datetime(2026, 5, 17, 10, 30, 5, tzinfo=UTC)


@dataclass
class Kept:
    """A store, who may delete from it, and a way to leave an unfinished write of 7 bytes in it."""

    store: ObjectStore
    collector: Collector
    break_off: Callable[[], None]


@pytest.fixture(params=["memory", "directory", "moto", pytest.param("cloud", marks=[pytest.mark.cloud])])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    if request.param == "memory":
        memory = MemoryStore()
        collector = MemoryCollector(memory)
        left = Upload("blobs/big", "u1", BEGUN, 7)
        yield Kept(memory, collector, lambda: collector._uploads.append(left))
    elif request.param == "directory":
        yield Kept(
            DirectoryStore(tmp_path), DirectoryCollector(tmp_path), lambda: leave_a_file(tmp_path / INCOMING)
        )
    elif request.param == "moto":
        yield from in_moto(monkeypatch)
    else:
        yield from in_cloud(request, monkeypatch)


def leave_a_file(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0a1b").write_bytes(b"partial")


def in_bucket(client: object, bucket: str) -> Kept:
    s3 = client

    def break_off() -> None:
        begun = s3.create_multipart_upload(Bucket=bucket, Key="blobs/big")  # type: ignore[attr-defined]
        s3.upload_part(  # type: ignore[attr-defined]
            Bucket=bucket, Key="blobs/big", UploadId=begun["UploadId"], PartNumber=1, Body=b"partial"
        )

    store = S3Store(bucket, client=s3)  # type: ignore[arg-type]
    return Kept(store, S3Collector(bucket, client=s3), break_off)  # type: ignore[arg-type]


def in_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="models")
        client.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
        yield in_bucket(client, "models")


def in_cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    cloud = request.getfixturevalue("cloud")
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client(endpoint_url=cloud.endpoint_url)
    bucket = f"collector-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield in_bucket(client, bucket)


def test_what_is_deleted_is_gone_for_everybody(kept: Kept) -> None:
    kept.store.put_once("blobs/1", b"one")
    kept.store.put_once("blobs/2", b"two")
    kept.collector.delete("blobs/1")
    assert not kept.store.exists("blobs/1")
    assert list(kept.store.keys("")) == ["blobs/2"]
    with pytest.raises(NotFoundError):
        kept.store.get("blobs/1")


def test_deleting_again_is_harmless(kept: Kept) -> None:
    for _ in range(2):
        kept.collector.delete("blobs/never")
    kept.store.put_once("blobs/1", b"one")
    for _ in range(2):
        kept.collector.delete("blobs/1")
    assert list(kept.store.keys("")) == []


def test_bytes_that_were_deleted_can_be_put_back(kept: Kept) -> None:
    """Law 10: a publish whose blob a collection took restores it under the same key."""
    kept.store.put_once("blobs/1", b"one")
    kept.collector.delete("blobs/1")
    kept.store.put_once("blobs/1", b"one")
    assert kept.store.get("blobs/1") == b"one"


@pytest.mark.parametrize("key", ["", "../a", "/a", "a/.hidden"])
def test_a_key_that_leaves_the_store_is_refused(kept: Kept, key: str) -> None:
    with pytest.raises(InvalidNameError):
        kept.collector.delete(key)


def test_an_unfinished_write_is_seen_with_its_age_and_size_and_ended(kept: Kept) -> None:
    assert list(kept.collector.uploads()) == []
    kept.break_off()
    assert list(kept.store.keys("")) == []
    (upload,) = kept.collector.uploads()
    assert upload.size == 7
    assert upload.begun_at.tzinfo is not None
    assert upload.begun_at <= datetime.now(UTC) + timedelta(seconds=5)
    for _ in range(2):
        kept.collector.abort(upload)
    assert list(kept.collector.uploads()) == []


def test_a_store_that_is_not_there_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = s3_client(endpoint_url="http://127.0.0.1:9", region="us-east-1", attempts=1)
    collector = S3Collector("models", client=client)
    upload = Upload("a", "id", BEGUN, 0)
    for call in (
        lambda: collector.delete("a"),
        lambda: list(collector.uploads()),
        lambda: collector.abort(upload),
    ):
        with pytest.raises(StoreUnavailableError):
            call()
    assert list(DirectoryCollector(tmp_path / "none").uploads()) == []
