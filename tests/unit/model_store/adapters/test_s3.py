"""``model_store.adapters.s3`` against a server that answers as S3 does on a bad day.

The server is a real one on this machine, so botocore's own retries, parsers and sockets are in play.
"""

import json
import pkgutil
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore
import botocore.eventstream
import botocore.exceptions
import botocore.httpsession
import botocore.parsers
import pytest
from botocore.config import Config

from model_store.adapters import s3
from model_store.adapters.s3 import MAX_PUT_BYTES, S3Store, s3_client
from model_store.adapters.s3_upload import UploadGoneError, checksum_of
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    IntegrityError,
    InvalidArtifactError,
    InvalidNameError,
    ModelStoreError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.contract.parts import Parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next line of the script; the last line goes on for ever."""

    protocol_version = "HTTP/1.1"
    server: "BadDay"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.seen.append((self.command, dict(self.headers), body))
        script = self.server.script
        (script.popleft() if len(script) > 1 else script[0])(self)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class BadDay(ThreadingHTTPServer):
    daemon_threads = True
    script: deque[Answer]
    seen: list[tuple[str, dict[str, str], bytes]]
    stored: dict[str, bytes]

    def breaks(self, at: Callable[[int], bool], bad: Answer) -> None:
        """Answer as S3 would, but badly where ``at`` says so of the number of the call."""

        def answer(request: Handler) -> None:
            (bad if at(len(self.seen) - 1) else as_s3_would)(request)

        self.seen.clear()
        self.script.clear()
        self.script.append(answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the day."""


@pytest.fixture
def bad_day() -> Iterator[BadDay]:
    server = BadDay(("127.0.0.1", 0), Handler)
    server.script, server.seen, server.stored = deque(), [], {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def store(bad_day: BadDay, pauses: list[float]) -> S3Store:
    return S3Store("models", client=client_for(bad_day.url), sleep=pauses.append)


def client_for(url: str, attempts: int = 2) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-central-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=2,
            read_timeout=2,
        ),
    )


def refuses(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return lambda request: request.say(status, body, Content_Type="application/xml")


def accepts(request: Handler) -> None:
    request.say(200, ETag='"1"')


def hangs_up(request: Handler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


TAKEN = refuses(412, "PreconditionFailed")
CONFLICT = refuses(409, "ConditionalRequestConflict")


def test_every_write_is_conditional_and_carries_its_sha256(store: S3Store, bad_day: BadDay) -> None:
    """Law 1 and law 2: what the bucket's policy demands, and what S3 verifies."""
    bad_day.script.append(accepts)
    store.put_once("a/1", b"data")
    ((verb, headers, body),) = bad_day.seen
    assert (verb, body) == ("PUT", b"data")
    assert headers["If-None-Match"] == "*"
    assert headers["x-amz-checksum-sha256"] == "Om6weQ85rIfJTzhWst0sXREOaBFgImGpqSPTuyOtyLc="


def test_a_file_is_sent_with_its_sha256(store: S3Store, bad_day: BadDay, tmp_path: Path) -> None:
    """Law 2: S3 is told what to expect before it takes the bytes."""
    (tmp_path / "file").write_bytes(b"data")
    bad_day.script.append(accepts)
    store.put_file_once("a/1", tmp_path / "file", Digest.of(b"data"))
    ((_, headers, body),) = bad_day.seen
    assert body == b"data"
    assert headers["x-amz-checksum-sha256"] == "Om6weQ85rIfJTzhWst0sXREOaBFgImGpqSPTuyOtyLc="


def lose_the_answer(bad_day: BadDay) -> None:
    """The first PUT is written, its answer is lost, and botocore's second one finds the key taken."""

    def tells_who_wrote(request: Handler) -> None:
        writer = bad_day.seen[0][1]["x-amz-meta-writer"]
        request.say(200, x_amz_meta_writer=writer)

    bad_day.script.extend([hangs_up, TAKEN, tells_who_wrote])


def test_a_write_whose_answer_was_lost_meets_itself(store: S3Store, bad_day: BadDay) -> None:
    """Law 1: a claim is not lost to one's own first attempt."""
    lose_the_answer(bad_day)
    assert store.try_put_once("lease/1", b"mine") is True
    assert [verb for verb, _, _ in bad_day.seen] == ["PUT", "PUT", "HEAD"]


def test_a_file_whose_answer_was_lost_meets_itself(store: S3Store, bad_day: BadDay, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    lose_the_answer(bad_day)
    store.put_file_once("a/1", tmp_path / "file", Digest.of(b"data"))
    assert [body for _, _, body in bad_day.seen] == [b"data", b"data", b""]


def test_the_same_bytes_from_another_writer_are_not_ones_own(store: S3Store, bad_day: BadDay) -> None:
    """Law 1: of two releasers that write the same lease, one has it."""
    bad_day.script.extend([TAKEN, lambda request: request.say(200, x_amz_meta_writer="another")])
    assert store.try_put_once("lease/1", b"the same") is False


def test_two_writers_that_met_are_asked_to_try_again(
    store: S3Store, bad_day: BadDay, pauses: list[float]
) -> None:
    """Law 1: a 409 names no winner, so it is neither success nor failure."""
    bad_day.script.extend([CONFLICT, CONFLICT, accepts])
    assert store.try_put_once("a/1", b"data") is True
    assert pauses == [0.05, 0.1]


def test_a_file_is_sent_whole_again_after_two_writers_met(
    store: S3Store, bad_day: BadDay, tmp_path: Path
) -> None:
    """Law 2: the second attempt does not go on where the first one ended."""
    (tmp_path / "file").write_bytes(b"data")
    bad_day.script.extend([CONFLICT, accepts])
    store.put_file_once("a/1", tmp_path / "file", Digest.of(b"data"))
    assert [body for _, _, body in bad_day.seen] == [b"data", b"data"]


def test_writers_that_meet_for_ever_give_up(store: S3Store, bad_day: BadDay, pauses: list[float]) -> None:
    bad_day.script.append(CONFLICT)
    with pytest.raises(StoreUnavailableError, match="named no winner"):
        store.put_once("a/1", b"data")
    assert len(bad_day.seen) == 6
    assert len(pauses) == 5


def test_a_stored_object_without_checksum_is_read_to_compare(store: S3Store, bad_day: BadDay) -> None:
    def holds(data: bytes) -> None:
        bad_day.script.clear()
        head: Answer = lambda request: request.say(200, x_amz_meta_writer="another")  # noqa: E731
        bad_day.script.extend([TAKEN, head, head, lambda request: request.say(200, data)])

    holds(b"data")
    store.put_once("a/1", b"data")
    holds(b"other")
    with pytest.raises(AlreadyExistsError):
        store.put_once("a/1", b"data")


def test_a_composite_checksum_is_no_digest(store: S3Store, bad_day: BadDay) -> None:
    head: Answer = lambda request: request.say(  # noqa: E731
        200, x_amz_checksum_sha256="Om6weQ85rIfJTzhWst0sXREOaBFgImGpqSPTuyOtyLc=-3"
    )
    bad_day.script.extend([TAKEN, head, head, lambda request: request.say(200, b"data")])
    store.put_once("a/1", b"data")
    assert bad_day.seen[-1][0] == "GET"


REFUSALS: list[tuple[int, str, type[ModelStoreError], str]] = [
    (404, "NoSuchKey", NotFoundError, ""),
    (404, "NoSuchBucket", NotFoundError, "Deploy the stage first"),
    (403, "AccessDenied", AccessDeniedError, "Ask for read and write access"),
    (403, "InvalidAccessKeyId", AccessDeniedError, "Sign in to AWS"),
    (400, "ExpiredToken", AccessDeniedError, "Sign in to AWS"),
    (403, "RequestTimeTooSkewed", AccessDeniedError, "clock"),
    (400, "KMS.DisabledException", AccessDeniedError, "KMS key"),
    (400, "BadDigest", IntegrityError, "nobody writes to"),
    (400, "AuthorizationHeaderMalformed", StoreUnavailableError, "AWS_REGION"),
    (503, "SlowDown", StoreUnavailableError, "Try again"),
    (500, "InternalError", StoreUnavailableError, "Try again"),
    (400, "SomethingNew", StoreUnavailableError, "Try again"),
    (400, "InvalidPart", StoreUnavailableError, "Try again"),
    (404, "NoSuchUpload", UploadGoneError, "Try again"),
    (400, "EntityTooSmall", InvalidArtifactError, "5 MiB"),
    (416, "InvalidRange", IntegrityError, "yard verify"),
]


@pytest.mark.parametrize(("status", "code", "kind", "hint"), REFUSALS)
def test_every_answer_of_s3_has_a_meaning(
    bad_day: BadDay, status: int, code: str, kind: type[ModelStoreError], hint: str
) -> None:
    store = S3Store("models", client=client_for(bad_day.url, attempts=1))
    bad_day.script.append(refuses(status, code))
    for call in (lambda: store.get("a/1"), lambda: list(store.keys("a/")), lambda: store.exists("a/1")):
        with pytest.raises(kind) as refusal:
            call()
        assert type(refusal.value) is kind
        assert hint in (refusal.value.hint or "")


def test_a_bucket_that_is_not_deployed_is_named(store: S3Store, bad_day: BadDay) -> None:
    bad_day.script.append(refuses(404, "NoSuchBucket"))
    with pytest.raises(NotFoundError, match="the bucket `models` does not exist"):
        store.exists("a/1")


def test_an_answer_that_is_no_xml_is_a_failing_network(store: S3Store, bad_day: BadDay) -> None:
    page = b"<html><body>Please sign in to the guest network"
    bad_day.script.append(lambda request: request.say(200, page, Content_Type="text/html"))
    with pytest.raises(StoreUnavailableError, match="S3 answered 500"):
        list(store.keys("a/"))


def dies_in_the_middle(request: Handler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "4000000")
    request.end_headers()
    request.wfile.write(b"x" * 2_000_000)
    request.wfile.flush()
    hangs_up(request)


def test_a_body_that_breaks_off_is_no_body(store: S3Store, bad_day: BadDay, tmp_path: Path) -> None:
    """Law 2: nothing half appears, whatever breaks while it streams."""
    bad_day.script.append(dies_in_the_middle)
    with pytest.raises(StoreUnavailableError):
        store.get("a/1")
    with pytest.raises(StoreUnavailableError):
        store.fetch_file("a/1", tmp_path / "target", Digest.of(b""))
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_stands_still_is_given_up(bad_day: BadDay, tmp_path: Path) -> None:
    released = threading.Event()

    def stands_still(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "4000000")
        request.end_headers()
        request.wfile.flush()
        released.wait(10)

    client = boto3.client(
        "s3",
        endpoint_url=bad_day.url,
        region_name="eu-central-1",
        config=Config(read_timeout=0.2, retries={"total_max_attempts": 1}),
    )
    bad_day.script.append(stands_still)
    with pytest.raises(StoreUnavailableError):
        S3Store("models", client=client).fetch_file("a/1", tmp_path / "target", Digest.of(b""))
    released.set()
    assert list(tmp_path.iterdir()) == []


def test_a_body_whose_checksum_is_wrong_is_refused(store: S3Store, bad_day: BadDay) -> None:
    """Law 2: botocore's own check counts as ours."""
    wrong = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    bad_day.script.append(lambda request: request.say(200, b"data", x_amz_checksum_sha256=wrong))
    with pytest.raises(IntegrityError):
        store.get("a/1")


def test_a_listing_that_breaks_off_says_so(store: S3Store, bad_day: BadDay) -> None:
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        b"<Contents><Key>a/1</Key><Size>1</Size><LastModified>2026-05-17T10:30:05.000Z</LastModified></Contents></ListBucketResult>"
    )
    first: Answer = lambda request: request.say(200, page, Content_Type="application/xml")  # noqa: E731
    bad_day.script.extend([first, refuses(403, "AccessDenied")])
    keys = store.keys("a/")
    assert next(keys) == "a/1"
    with pytest.raises(AccessDeniedError):
        next(keys)


def test_a_file_larger_than_one_upload_is_refused_before_it_is_read(store: S3Store, tmp_path: Path) -> None:
    """Law 8: refuse early."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MAX_PUT_BYTES + 1)
    with pytest.raises(InvalidArtifactError, match="larger than 5 GiB"):
        store.put_file_once("a/1", tmp_path / "huge", Digest.of(b""))


# In the middle of a large file


LARGE = b"aaaabbbbc"
PARTS = Parts(4, 9, (Digest.of(b"aaaa"), Digest.of(b"bbbb"), Digest.of(b"c")))


def as_s3_would(request: Handler) -> None:
    """Enough of S3 for a file in parts: one upload of one key, and ranges of what is there."""
    stored = request.server.stored
    query = request.path.partition("?")[2]
    if request.command == "HEAD":
        request.say(404)
    elif "uploads" in query and request.command == "POST":
        request.say(200, b"<R><Bucket>models</Bucket><Key>a/1</Key><UploadId>u</UploadId></R>")
    elif "uploads" in query:
        found = b"<Upload><Key>a/1</Key><UploadId>u</UploadId></Upload>" if stored else b""
        request.say(200, b"<ListMultipartUploadsResult>" + found + b"</ListMultipartUploadsResult>")
    elif "partNumber" in query:
        stored["a part"] = b""
        request.say(200, ETag='"1"')
    elif "uploadId" in query and request.command == "GET":
        part = (
            b"<Part><PartNumber>1</PartNumber><ETag>1</ETag><Size>4</Size><ChecksumSHA256>"
            + checksum_of(PARTS.digests[0]).encode()
            + b"</ChecksumSHA256></Part>"
        )
        request.say(200, b"<ListPartsResult><IsTruncated>false</IsTruncated>" + part + b"</ListPartsResult>")
    elif "uploadId" in query:
        request.say(200, b"<CompleteMultipartUploadResult><Key>a/1</Key></CompleteMultipartUploadResult>")
    else:
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        request.say(206, LARGE[first : last + 1])


BAD_ANSWERS: dict[str, Answer] = {
    "denied": refuses(403, "AccessDenied"),
    "signed out": refuses(400, "ExpiredToken"),
    "no bucket": refuses(404, "NoSuchBucket"),
    "busy": refuses(503, "SlowDown"),
    "damaged": refuses(400, "BadDigest"),
    "something new": refuses(400, "SomethingNew"),
    "no upload": refuses(404, "NoSuchUpload"),
    "taken": TAKEN,
    "met": CONFLICT,
    "hangs up": hangs_up,
    "no xml": lambda request: request.say(200, b"<html>Please sign in", Content_Type="text/html"),
    "half a body": dies_in_the_middle,
}


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_whatever_breaks_at_any_call_of_an_upload_is_one_of_ours(
    bad_day: BadDay, tmp_path: Path, bad: str, resumes: bool
) -> None:
    """Nothing but errors of this project comes out, at whichever of the calls it breaks for good."""
    (tmp_path / "file").write_bytes(LARGE)
    bad_day.stored = {"a part": b""} if resumes else {}
    store = S3Store("models", client=client_for(bad_day.url, attempts=1), sleep=lambda _: None)
    whole = put_in_parts(store, bad_day, tmp_path / "file", None, as_s3_would)
    assert whole is None
    calls = len(bad_day.seen)
    assert calls == (6 if resumes else 7)
    for at in range(calls):
        bad_day.stored = {"a part": b""} if resumes else {}
        error = put_in_parts(store, bad_day, tmp_path / "file", at, BAD_ANSWERS[bad])
        assert error is None or isinstance(error, ModelStoreError), (at, error)


def put_in_parts(
    store: S3Store, bad_day: BadDay, path: Path, at: int | None, bad: Answer
) -> BaseException | None:
    """Put a file while call number ``at`` and all after it are answered badly."""
    bad_day.breaks(lambda call: at is not None and call >= at, bad)
    try:
        store.put_file_once("a/1", path, Digest.of(LARGE), PARTS)
    except BaseException as error:  # noqa: BLE001 - whatever comes out is what is looked at
        return error
    return None


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_whatever_breaks_in_any_range_of_a_file_is_one_of_ours_and_leaves_nothing(
    bad_day: BadDay, tmp_path: Path, bad: str
) -> None:
    """Law 2: nothing half appears, whichever of the ranges breaks for good."""
    store = S3Store("models", client=client_for(bad_day.url, attempts=1), sleep=lambda _: None)
    for at in range(3):
        bad_day.breaks(at.__le__, BAD_ANSWERS[bad])
        with pytest.raises(ModelStoreError):
            store.fetch_file("a/1", tmp_path / "target", Digest.of(LARGE), PARTS)
        assert list(tmp_path.iterdir()) == []


def test_a_range_that_breaks_once_is_fetched_again_alone(bad_day: BadDay, tmp_path: Path) -> None:
    store = S3Store("models", client=client_for(bad_day.url, attempts=1), sleep=lambda _: None)
    bad_day.breaks((1).__eq__, dies_in_the_middle)
    store.fetch_file("a/1", tmp_path / "target", Digest.of(LARGE), PARTS)
    assert (tmp_path / "target").read_bytes() == LARGE
    assert len(bad_day.seen) == 4


def test_a_server_that_ignores_ranges_is_not_believed(bad_day: BadDay, tmp_path: Path) -> None:
    """Law 2: what comes is what was asked for, or is refused."""
    store = S3Store("models", client=client_for(bad_day.url, attempts=1), sleep=lambda _: None)
    bad_day.script.append(lambda request: request.say(200, LARGE))
    with pytest.raises(IntegrityError, match="gives 9 bytes for its part"):
        store.fetch_file("a/1", tmp_path / "target", Digest.of(LARGE), PARTS)


# The machine's own settings


def test_nobody_listening_is_said_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreUnavailableError, match="Could not connect") as refusal:
        S3Store("models", client=client_for(url, attempts=1)).get("a/1")
    assert "yard local status" in (refusal.value.hint or "")


def test_no_credentials_are_said(monkeypatch: pytest.MonkeyPatch, bad_day: BadDay) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StoreUnavailableError, match="Unable to locate credentials") as refusal:
        S3Store("models", client=s3_client(endpoint_url=bad_day.url)).get("a/1")
    assert "Sign in to AWS" in (refusal.value.hint or "")


def test_a_profile_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreUnavailableError, match="nobody") as refusal:
        s3_client()
    assert "AWS_PROFILE" in (refusal.value.hint or "")


def test_a_region_that_cannot_be_is_said() -> None:
    with pytest.raises(StoreUnavailableError) as refusal:
        s3_client(region="not a region")
    assert "AWS_REGION" in (refusal.value.hint or "")


def test_an_endpoint_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost")
    with pytest.raises(StoreUnavailableError, match="endpoint") as refusal:
        s3_client()
    assert "AWS_ENDPOINT_URL" in (refusal.value.hint or "")


def test_a_bucket_name_that_cannot_be_is_said() -> None:
    with pytest.raises(InvalidNameError, match="Invalid bucket name"):
        S3Store("a bucket", client=s3_client()).get("a/1")


# Nothing of botocore is left unnamed


NOT_WHAT_WE_ASK = {
    # of appending to an object, which nobody does here
    *("EncryptionTypeMismatch", "InvalidWriteOffset", "TooManyParts"),
}


def calls_of_the_adapters() -> set[str]:
    """The operations of S3 that the adapters' source asks for, by their names in Python."""
    source = "".join(path.read_text() for path in Path(s3.__file__).parent.glob("s3*.py"))
    return set(re.findall(r"s3\.([a-z][a-z0-9_]+)\(", source)) | set(
        re.findall(r'get_paginator\("([a-z0-9_]+)"\)', source)
    ) - {"get_paginator"}


def test_every_refusal_that_s3_declares_for_these_calls_has_a_meaning() -> None:
    """A new botocore that declares a new refusal fails here, until somebody decides what it means."""
    client = client_for("http://127.0.0.1:1")
    operations = {
        client.meta.method_to_api_mapping[call]
        for call in calls_of_the_adapters()
        if call in client.meta.method_to_api_mapping
    }
    assert {"PutObject", "UploadPart", "CompleteMultipartUpload", "ListParts", "GetObject"} <= operations
    declared = {
        shape.name
        for operation in operations
        for shape in client.meta.service_model.operation_model(operation).error_shapes
    }
    assert declared - NOT_WHAT_WE_ASK <= set(s3._ANSWERS)


def botocores_errors() -> set[type[BaseException]]:
    """Every exception class that botocore defines, in whichever module."""
    for module in pkgutil.iter_modules(botocore.__path__, "botocore."):
        if not module.ispkg:
            import_module(module.name)
    found: set[type[BaseException]] = set()
    waiting: list[type[BaseException]] = [Exception]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind not in found:
                found.add(kind)
                waiting.append(kind)
    # Clients make subclasses of ClientError as they go (errorfactory); the vendored requests is dead code.
    elsewhere = ("botocore.errorfactory", "botocore.vendored")
    return {
        kind
        for kind in found
        if kind.__module__.startswith("botocore.")
        and not kind.__module__.startswith(elsewhere)
        and not issubclass(kind, Warning)
    }


NOT_FROM_S3S_CALLS = {
    # event streams: no call here answers with one
    *("ParserError", "DuplicateHeader", "InvalidHeadersLength", "InvalidPayloadLength", "ChecksumMismatch"),
    "NoInitialResponseError",
    # a service description that contradicts itself: the installed botocore is broken
    *("NoShapeFoundError", "InvalidShapeError", "InvalidShapeReferenceError", "OperationNotFoundError"),
    # botocore catches them itself
    *("_RetriesExceededError", "BadIMDSRequestError", "InvalidArnException"),
}


def test_every_exception_of_botocore_has_a_meaning() -> None:
    """A new botocore with a new exception class fails here, until somebody decides what it means."""
    unnamed = {
        kind.__name__
        for kind in botocores_errors()
        if kind.__name__ not in s3._FAILURES and kind.__name__ not in NOT_FROM_S3S_CALLS
    }
    assert unnamed == set()


def test_no_exception_is_named_that_botocore_does_not_have() -> None:
    assert set(s3._FAILURES) <= {kind.__name__ for kind in botocores_errors()}


def test_every_exception_of_botocore_is_caught() -> None:
    """What is named in the table is also caught: some classes have no parent in common."""
    for kind in botocores_errors():
        if kind.__name__ not in NOT_FROM_S3S_CALLS:
            error = kind.__new__(kind)
            if isinstance(error, botocore.exceptions.ClientError):
                error.response = {}
            with pytest.raises(ModelStoreError), s3.translated("a/1", "models"):
                raise error


def test_an_exception_that_nobody_knows_yet_means_what_its_parent_means() -> None:
    class NewTimeoutError(botocore.exceptions.ConnectTimeoutError):
        """A class of a later botocore."""

    assert s3._failure_meaning(NewTimeoutError) == (StoreUnavailableError, s3._NETWORK)


def test_only_this_adapter_brings_boto3() -> None:
    probe = "import json, sys, model_store.adapters.memory, model_store.adapters.directory; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore"} & set(json.loads(done.stdout))
