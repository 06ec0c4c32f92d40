"""The laws of ``functions.inference.ports``, held against every adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws

from functions.inference.adapters import aws
from functions.inference.adapters.memory import (
    MemoryBlobs,
    MemoryCaptures,
    MemoryObjects,
    MemoryQueue,
    MemoryShadow,
)
from functions.inference.adapters.s3_blobs import S3Blobs
from functions.inference.ports import Blobs, Captures, Objects, Queue, Stored
from functions.protocol.errors import CloudUnavailableError, TooLargeError, UnknownUploadError
from local_cloud.cloud import Cloud
from model_store.contract.errors import AccessDeniedError, IntegrityError, NotFoundError

BUCKET = "handoff"
LIMIT = 1 << 20


@dataclass
class Place:
    """An adapter, and how somebody without credentials reaches what it gives addresses to."""

    objects: Objects

    def upload(self, url: str, headers: dict[str, str], body: bytes) -> bool:
        if isinstance(self.objects, MemoryObjects):
            return self.objects.upload(url, body)
        return requests.put(url, data=body, headers=headers, timeout=5).ok

    def download(self, url: str) -> bytes | None:
        if isinstance(self.objects, MemoryObjects):
            return self.objects.download(url)
        answer = requests.get(url, timeout=5)
        return answer.content if answer.ok else None


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return Place(MemoryObjects())
    request.getfixturevalue("cloud")
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return Place(aws.S3Objects())


@pytest.mark.parametrize("stored", [Stored(b"{}"), Stored(b"{}\0\0", 2), Stored(b"", 0)])
def test_what_is_read_is_what_was_written(place: Place, stored: Stored) -> None:
    place.objects.write(BUCKET, "a/b c", stored)
    read = place.objects.read(BUCKET, "a/b c", limit=LIMIT)
    assert (read.body, read.json_length) == (stored.body, stored.json_length)
    assert -2 < read.age_s < 5


def test_writing_again_replaces(place: Place) -> None:
    for body in (b"first", b"second"):
        place.objects.write(BUCKET, "a", Stored(body))
    assert place.objects.read(BUCKET, "a", limit=LIMIT).body == b"second"


def test_nothing_there_is_said(place: Place) -> None:
    with pytest.raises(UnknownUploadError, match="no such upload"):
        place.objects.read(BUCKET, "a", limit=LIMIT)


def test_more_than_the_limit_is_not_read(place: Place) -> None:
    place.objects.write(BUCKET, "a", Stored(b"12345"))
    assert place.objects.read(BUCKET, "a", limit=5).body == b"12345"
    with pytest.raises(TooLargeError, match="5 bytes, and at most 4"):
        place.objects.read(BUCKET, "a", limit=4)


@pytest.mark.parametrize("first", [0, 3, 9])
def test_a_look_shows_size_and_age_and_as_much_as_is_asked_for(place: Place, first: int) -> None:
    place.objects.write(BUCKET, "a", Stored(b"12345"))
    seen = place.objects.look(BUCKET, "a", first=first)
    assert (seen.size, seen.head) == (5, b"12345"[:first])
    assert -2 < seen.age_s < 5
    with pytest.raises(UnknownUploadError):
        place.objects.look(BUCKET, "b", first=first)


def test_an_address_takes_an_upload_and_another_gives_it_back(place: Place) -> None:
    address = place.objects.upload_address(BUCKET, "a/b", size=5, seconds=60)
    assert address.headers == {"content-length": "5"}
    assert place.upload(address.url, address.headers, b"12345")
    assert place.objects.read(BUCKET, "a/b", limit=LIMIT).body == b"12345"
    fetched = place.objects.download_address(BUCKET, "a/b", seconds=60)
    assert place.download(fetched.url) == b"12345"


def test_an_upload_of_another_size_is_refused_in_memory() -> None:
    objects = MemoryObjects()
    address = objects.upload_address(BUCKET, "a", size=5, seconds=60)
    assert not objects.upload(address.url, b"123456")
    assert objects.keys(BUCKET) == []


def test_the_size_is_part_of_what_s3_checks(cloud: None) -> None:
    """S3 refuses what does not match a signed header; moto checks no signatures, the embedded cloud does."""
    address = aws.S3Objects().upload_address(BUCKET, "a", size=5, seconds=60)
    assert "X-Amz-SignedHeaders=content-length%3Bhost" in address.url
    assert "X-Amz-Expires=60" in address.url
    assert "checksum" not in address.url.lower()


def test_an_address_in_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = MemoryObjects()
    objects.write(BUCKET, "a", Stored(b"x"))
    up = objects.upload_address(BUCKET, "b", size=1, seconds=60)
    down = objects.download_address(BUCKET, "a", seconds=60)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert not objects.upload(up.url, b"x")
    assert objects.download(down.url) is None


@pytest.fixture(params=["memory", "sqs"])
def queue(request: pytest.FixtureRequest) -> Queue:
    if request.param == "memory":
        return MemoryQueue()
    request.getfixturevalue("cloud")
    return aws.SqsQueue()


def test_a_message_says_what_it_answers(queue: Queue) -> None:
    if isinstance(queue, MemoryQueue):
        queue.send("https://q", "{}", answers="m1")
        assert queue.sent == [("https://q", "{}", "m1")]
        return
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="answers")["QueueUrl"]
    queue.send(url, "{}", answers="m1")
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "{}"
    assert message["MessageAttributes"]["switchyard-request"]["StringValue"] == "m1"


def test_a_queue_that_is_not_there_is_no_fault_of_the_caller(cloud: None) -> None:
    with pytest.raises(CloudUnavailableError, match="the queue of answers"):
        aws.SqsQueue().send("https://sqs.us-east-1.amazonaws.com/123456789012/gone", "{}", answers="m1")


def test_a_shadow_takes_an_event_without_an_answer(cloud: None) -> None:
    memory = MemoryShadow()
    memory.tell(b"{}")
    assert memory.told == [b"{}"]
    shadow = aws.LambdaShadow("switchyard-test-digits", "shadow_live")
    asked = {
        "FunctionName": "switchyard-test-digits",
        "Qualifier": "shadow_live",
        "InvocationType": "Event",
        "Payload": b"{}",
    }
    with Stubber(vars(shadow)["_client"]) as stub:
        stub.add_response("invoke", {"StatusCode": 202}, asked)
        shadow.tell(b"{}")
        stub.add_client_error("invoke", "TooManyRequestsException")
        with pytest.raises(CloudUnavailableError, match="the shadow"):
            shadow.tell(b"{}")


def raising(error: Exception) -> Any:
    class Client:
        def __getattr__(self, _: str) -> Any:
            def call(*_: Any, **__: Any) -> Any:
                raise error

            return call

    return Client()


def refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "private"}}, operation)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused("NoSuchKey", "GetObject"), UnknownUploadError),
        (refused("AccessDenied", "GetObject"), UnknownUploadError),
        (refused("SlowDown", "GetObject"), CloudUnavailableError),
        (refused("AccessDenied", "PutObject"), CloudUnavailableError),
        (EndpointConnectionError(endpoint_url="http://private"), CloudUnavailableError),
        (ConnectionResetError("private"), CloudUnavailableError),
    ],
)
def test_every_error_of_aws_is_one_of_ours_without_its_words(error: Exception, kind: type[Exception]) -> None:
    objects = aws.S3Objects()
    vars(objects)["_client"] = raising(error)
    with pytest.raises(kind) as caught:
        objects.read(BUCKET, "a", limit=LIMIT)
    assert "private" not in str(caught.value)


# What a start reads where no layer carries the model

HELD = {"blobs/sha256/ab/ab12": bytes(range(256)) * 1024, "blobs/sha256/e3/e3b0": b""}


@pytest.fixture(params=["memory", "s3"])
def blobs(request: pytest.FixtureRequest) -> Iterator[Blobs]:
    if request.param == "memory":
        yield MemoryBlobs(HELD)
        return
    cloud: Cloud = request.getfixturevalue("strict_cloud")
    environ = cloud.environment()
    bucket = f"blobs-{uuid4().hex[:12]}"
    s3 = boto3.client(
        "s3",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        verify=environ.get("AWS_CA_BUNDLE") or True,
    )
    s3.create_bucket(Bucket=bucket)
    for key, body in HELD.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    made = S3Blobs(bucket, environ)
    yield made
    made.close()
    s3.close()


every_store = pytest.mark.cloud


@every_store
def test_a_buffer_is_filled_with_exactly_what_stands_there(blobs: Blobs) -> None:
    key, body = next(iter(HELD.items()))
    for start, size in ((0, 1), (1000, 200_000), (len(body) - 1, 1), (0, len(body))):
        buffer = bytearray(size)
        blobs.fill(key, start, memoryview(buffer))
        assert bytes(buffer) == body[start : start + size]


@every_store
def test_a_whole_object_is_given_up_to_its_limit(blobs: Blobs) -> None:
    for key, body in HELD.items():
        assert blobs.get(key, limit=len(body)) == body
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        blobs.get(next(iter(HELD)), limit=10)


@every_store
def test_what_is_not_there_or_not_so_long_is_said(blobs: Blobs) -> None:
    missing = (NotFoundError, AccessDeniedError)
    with pytest.raises(missing):
        blobs.get("blobs/sha256/00/0000", limit=10)
    with pytest.raises(missing):
        blobs.fill("blobs/sha256/00/0000", 0, memoryview(bytearray(10)))
    key, body = next(iter(HELD.items()))
    for start in (len(body), len(body) - 5):
        with pytest.raises(IntegrityError):
            blobs.fill(key, start, memoryview(bytearray(10)))


@every_store
def test_several_threads_read_at_once_and_closing_is_not_the_end(blobs: Blobs) -> None:
    key, body = next(iter(HELD.items()))

    def read(start: int) -> bytes:
        buffer = bytearray(1000)
        blobs.fill(key, start, memoryview(buffer))
        return bytes(buffer)

    starts = range(0, 100_000, 1000)
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read, starts)) == [body[start : start + 1000] for start in starts]
        blobs.close()


# Where captured requests are kept


@pytest.fixture(params=["memory", "s3"])
def captures(request: pytest.FixtureRequest) -> Iterator[tuple[Captures, Callable[[str], bytes]]]:
    if request.param == "memory":
        held = MemoryCaptures()
        yield held, held.kept.__getitem__
        return
    cloud: Cloud = request.getfixturevalue("strict_cloud")
    environ = cloud.environment()
    bucket = f"captures-{uuid4().hex[:12]}"
    s3 = boto3.client(
        "s3",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        verify=environ.get("AWS_CA_BUNDLE") or True,
    )
    s3.create_bucket(Bucket=bucket)
    made = S3Blobs(bucket, environ)
    yield made, lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    made.close()
    s3.close()


@every_store
def test_what_is_kept_stands_there_whole_when_the_call_returns(
    captures: tuple[Captures, Callable[[str], bytes]],
) -> None:
    where, read = captures
    for number, body in enumerate((bytes(range(256)) * 2048, b"PAR1")):
        key = f"captured/digits/000000007/2026/11/22/15/0011223344556677-{number:06d}.parquet"
        where.keep(key, body)
        assert read(key) == body


@pytest.mark.cloud
def test_a_bucket_that_is_not_there_keeps_nothing_and_says_so(strict_cloud: Cloud) -> None:
    nowhere = S3Blobs(f"none-{uuid4().hex[:12]}", strict_cloud.environment())
    with pytest.raises((NotFoundError, AccessDeniedError)):
        nowhere.keep("captured/digits/x.parquet", b"PAR1")
    nowhere.close()
