"""``model_store.adapters.s3_upload`` on the embedded cloud: uploads that break off, meet and go on."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSResponse

from local_cloud.cloud import Cloud
from model_store import transfer
from model_store.adapters.s3 import S3Store, s3_client
from model_store.adapters.s3_collector import S3Collector
from model_store.adapters.s3_upload import begin, checksum_of, checksum_of_parts
from model_store.collect import DAY_SECONDS, Rules, collect
from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, IntegrityError, StoreUnavailableError
from model_store.contract.keys import blob_key
from model_store.contract.names import ByVersion
from model_store.contract.parts import MIN_PART_BYTES, Parts
from model_store.fetch import fetch
from model_store.publish import publish
from model_store.versions import load_manifests, models, versions

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.cloud

DATA = os.urandom(MIN_PART_BYTES * 3 + 1)
DIGEST = Digest.of(DATA)
PARTS = Parts(
    MIN_PART_BYTES,
    len(DATA),
    tuple(Digest.of(DATA[at : at + MIN_PART_BYTES]) for at in range(0, len(DATA), MIN_PART_BYTES)),
)
KEY = blob_key(DIGEST)

SMALL_PART_BYTES = 1000


class DeadError(BaseException):
    """The process is gone: nothing catches it, and nothing of it goes on."""


@dataclass
class Calls:
    """What a client asks of S3, call by call; it may end the process at one of them."""

    dies_at: int | None = None
    after: bool = False
    made: list[str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    meddle: Callable[[str], AWSResponse | None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    dead: bool = False

    def before(self, event_name: str) -> AWSResponse | None:
        name = event_name.rsplit(".", 1)[1]
        with self.lock:
            if self.dead:
                raise DeadError
            self.made.append(name)
            if not self.after and len(self.made) - 1 == self.dies_at:
                self.dead = True
                raise DeadError
            return self.meddle(name)

    def answered_(self, event_name: str) -> None:
        with self.lock:
            if self.dead:
                raise DeadError
            self.answered[event_name.rsplit(".", 1)[1]] += 1
            if self.after and sum(self.answered.values()) - 1 == self.dies_at:
                self.dead = True
                raise DeadError


def answer(status: int, code: str) -> AWSResponse:
    """What S3 would say, said without asking it."""

    class Raw:
        def stream(self, **_: object) -> Iterator[bytes]:
            yield f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    return AWSResponse("http://s3", status, {}, Raw())  # type: ignore[arg-type]


Open = Callable[..., S3Store]


@pytest.fixture
def bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client()
    name = f"uploads-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield name
    for item in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=item["Key"])
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def open_store(bucket: str) -> Open:
    """Another process's view of the bucket, with its calls listened to.

    One after another they may share a client, which takes long to make; at the same time they may not.
    """
    heard: dict[str, list[Calls]] = {}
    clients: dict[str, S3Client] = {}

    def client_of(who: str) -> "S3Client":
        if who not in clients:
            clients[who] = s3_client(attempts=1)
            calls = heard[who]
            # It may answer in S3's place; the stubs know of no hook that does.
            before: Any = lambda **event: calls[-1].before(event["event_name"])  # noqa: E731
            clients[who].meta.events.register_first("before-send.s3", before)
            clients[who].meta.events.register_first(
                "response-received.s3", lambda **event: calls[-1].answered_(event["event_name"])
            )
        return clients[who]

    def open_store(calls: Calls | None = None, who: str = "") -> S3Store:
        who = who or ("plain" if calls is None else uuid4().hex)
        heard.setdefault(who, []).append(calls or Calls())
        return S3Store(bucket, client=client_of(who), sleep=lambda _: None)

    return open_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(DATA)
    return tmp_path / "weights.bin"


def uploads(bucket: str) -> list[str]:
    return [item["UploadId"] for item in s3_client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def broken_off(open_store: Open, file: Path, parts_sent: int) -> None:
    """Put the file in a process that dies when that many parts have arrived."""
    calls = Calls()

    def meddle(name: str) -> AWSResponse | None:
        if name == "UploadPart" and calls.made.count(name) > parts_sent:
            calls.dead = True
            raise DeadError
        return None

    calls.meddle = meddle
    with pytest.MonkeyPatch.context() as one_by_one:
        one_by_one.setattr(transfer.in_order, "__kwdefaults__", {"at_once": 1})
        with pytest.raises(DeadError):
            open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.answered["UploadPart"] == parts_sent


@pytest.mark.parametrize("parts_sent", [1, 2, 3, 4])
def test_only_what_is_missing_is_sent_after_an_interruption(
    open_store: Open, bucket: str, file: Path, tmp_path: Path, parts_sent: int
) -> None:
    """Law 1: nothing is visible before it is whole; and nobody sends 20 GB twice."""
    if parts_sent == 4:
        begun = Calls(meddle=lambda name: die() if name == "CompleteMultipartUpload" else None)
        with pytest.raises(DeadError):
            open_store(begun).put_file_once(KEY, file, DIGEST, PARTS)
    else:
        broken_off(open_store, file, parts_sent)
    assert not open_store().exists(KEY)

    calls, told = Calls(), list[int]()
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS, told.append)
    assert calls.made.count("UploadPart") == 4 - parts_sent
    assert calls.made.count("CreateMultipartUpload") == 0
    assert sum(told) == len(DATA)
    open_store().fetch_file(KEY, tmp_path / "back", DIGEST, PARTS)
    assert (tmp_path / "back").read_bytes() == DATA
    assert uploads(bucket) == []


def die() -> AWSResponse | None:
    raise DeadError


def test_what_is_stored_already_is_not_sent(open_store: Open, file: Path) -> None:
    """Law 1: identical bytes are stored once."""
    open_store().put_file_once(KEY, file, DIGEST, PARTS)
    calls = Calls()
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.made == ["HeadObject"]


def test_parts_of_other_bytes_are_let_be(open_store: Open, bucket: str, file: Path, tmp_path: Path) -> None:
    """Law 2: an upload is gone on with only if every part it holds is a part of this file."""
    client = s3_client()
    foreign = begin(client, bucket, KEY, nullcontext)
    client.upload_part(Bucket=bucket, Key=KEY, UploadId=foreign.id, PartNumber=1, Body=b"X" * MIN_PART_BYTES)
    unnamed = begin(client, bucket, KEY + "-longer", nullcontext)
    open_store().put_file_once(KEY, file, DIGEST, PARTS)
    open_store().fetch_file(KEY, tmp_path / "back", DIGEST, PARTS)
    assert sorted(uploads(bucket)) == sorted([foreign.id, unnamed.id])


def test_who_may_not_list_uploads_begins_anew(open_store: Open, file: Path) -> None:
    broken_off(open_store, file, 2)
    calls = Calls(meddle=lambda name: answer(403, "AccessDenied") if name == "ListMultipartUploads" else None)
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.made.count("UploadPart") == 4


def test_a_file_that_changed_ends_its_upload(open_store: Open, bucket: str, file: Path) -> None:
    """Law 2: what can never be completed is not paid for."""
    with file.open("r+b") as changed:
        changed.seek(-1, os.SEEK_END)
        changed.write(bytes([DATA[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"part 4 of `weights\.bin`"):
        open_store().put_file_once(KEY, file, DIGEST, PARTS)
    assert not open_store().exists(KEY)
    assert uploads(bucket) == []


def test_a_store_that_fails_keeps_what_arrived(open_store: Open, bucket: str, file: Path) -> None:
    calls = Calls()
    calls.meddle = lambda name: (
        answer(503, "SlowDown") if name == "UploadPart" and calls.made.count(name) > 2 else None
    )
    with pytest.raises(StoreUnavailableError):
        open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert len(uploads(bucket)) == 1


def test_a_part_that_is_damaged_on_the_way_is_sent_again_alone(open_store: Open, file: Path) -> None:
    """Law 2: S3 refuses a part that is not its sha256, and the part is right on this side."""
    calls = Calls()
    calls.meddle = lambda name: (
        answer(400, "BadDigest") if name == "UploadPart" and calls.made.count(name) == 2 else None
    )
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.made.count("UploadPart") == 5


def test_an_upload_that_somebody_ends_is_begun_anew(open_store: Open, bucket: str, file: Path) -> None:
    calls = Calls()

    def meddle(name: str) -> AWSResponse | None:
        if name == "CompleteMultipartUpload" and calls.made.count(name) == 1:
            (id_,) = uploads(bucket)
            s3_client().abort_multipart_upload(Bucket=bucket, Key=KEY, UploadId=id_)
        return None

    calls.meddle = meddle
    told: list[int] = []
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS, told.append)
    assert calls.made.count("UploadPart") == 8
    assert sum(told) == len(DATA)
    assert all(more > 0 for more in told)


def test_a_completion_whose_answer_was_lost_meets_itself(open_store: Open, bucket: str, file: Path) -> None:
    """Law 1: what was written is not written again, and not taken for a failure."""
    calls = Calls()

    def complete_and_lose(name: str) -> AWSResponse | None:
        if name != "CompleteMultipartUpload":
            return None
        broken = open_store()
        broken.put_file_once(KEY, file, DIGEST, PARTS)  # finds the parts, and completes the same upload
        return answer(404, "NoSuchUpload")

    calls.meddle = complete_and_lose
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.made[-1] == "HeadObject"
    assert uploads(bucket) == []


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict")])
def test_completions_that_met_are_begun_anew(
    open_store: Open, bucket: str, file: Path, status: int, code: str
) -> None:
    """Law 1: a 409 names no winner, and S3 wants the upload again."""
    calls = Calls()
    calls.meddle = lambda name: (
        answer(status, code) if name == "CompleteMultipartUpload" and calls.made.count(name) == 1 else None
    )
    open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert calls.made.count("CreateMultipartUpload") == 2
    assert uploads(bucket) == []


def test_completions_that_meet_for_ever_give_up(open_store: Open, bucket: str, file: Path) -> None:
    calls = Calls(
        meddle=lambda name: (
            answer(409, "ConditionalRequestConflict") if name == "CompleteMultipartUpload" else None
        )
    )
    with pytest.raises(StoreUnavailableError, match="named no winner"):
        open_store(calls).put_file_once(KEY, file, DIGEST, PARTS)
    assert uploads(bucket) == []


@pytest.mark.parametrize("same", [True, False])
def test_a_key_that_is_taken_meanwhile_is_looked_at(
    open_store: Open, bucket: str, file: Path, same: bool
) -> None:
    """Law 1: every key is written once; the loser of the race learns whether it minds."""
    calls = Calls()

    def overtake(name: str) -> AWSResponse | None:
        if name == "CompleteMultipartUpload":
            open_store().put_once(KEY, DATA if same else b"other")
        return None

    calls.meddle = overtake
    store = open_store(calls)
    if same:
        store.put_file_once(KEY, file, DIGEST, PARTS)
    else:
        with pytest.raises(AlreadyExistsError, match="other bytes"):
            store.put_file_once(KEY, file, DIGEST, PARTS)
    assert uploads(bucket) == []


def test_s3_computes_the_checksum_that_we_expect_of_parts(open_store: Open, bucket: str, file: Path) -> None:
    """Law 2: the stored object can be told by its checksum, without reading it."""
    open_store().put_file_once(KEY, file, DIGEST, PARTS)
    head = s3_client().head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == checksum_of_parts(PARTS)
    assert checksum_of(Digest.of(b"data")) == "Om6weQ85rIfJTzhWst0sXREOaBFgImGpqSPTuyOtyLc="


# Crashes of a whole publish


@pytest.fixture
def folder(save_external: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with room for a companion that is cut; the embedded cloud takes small parts as well."""
    monkeypatch.setattr(transfer, "part_size_for", lambda _size: SMALL_PART_BYTES)
    return save_external(data=b"\0\0\0\x40" * 4)


@pytest.mark.parametrize("after", [False, True])
def test_dying_at_any_call_to_s3_leaves_no_half_version(
    open_store: Open, bucket: str, folder: Path, tmp_path: Path, after: bool
) -> None:
    """Law 1: killed at every single call of a publish, parts included: no version or a whole one, and
    the next publish succeeds and sends no part again that arrived.
    """
    dies_at = 0
    while True:
        model = f"digits-{dies_at}"
        (folder / "large.bin").write_bytes(os.urandom(SMALL_PART_BYTES * 2 + 1))  # other ones each round
        dying = Calls(dies_at, after)
        try:
            publish(open_store(dying, "dying"), model, folder, created_by="ana")
        except DeadError:
            pass
        else:
            break
        seen = versions(open_store(), model)
        assert seen in ([], [1])
        for number in seen:
            fetch(open_store(), ByVersion(model, number), tmp_path / f"{after}-{dies_at}")

        calls = Calls()
        again = publish(open_store(calls, "again"), model, folder, created_by="ana")
        assert (again.manifest.version, again.created) == (1, not seen)
        if dying.answered["CompleteMultipartUpload"] or seen:
            assert calls.made.count("UploadPart") == 0
        else:
            assert calls.made.count("UploadPart") <= 3 - dying.answered["UploadPart"]
        fetch(open_store(), again.manifest.ref, tmp_path / f"{after}-{dies_at}-again")
        dies_at += 1
    assert dying.made.count("UploadPart") == 3
    assert dying.made.count("CompleteMultipartUpload") == 1
    assert dies_at == len(dying.made) > 10


def test_what_a_publish_leaves_when_it_dies_at_any_call_to_s3_is_collected(
    open_store: Open, bucket: str, folder: Path
) -> None:
    """Law 10: parts, uploads and blobs of every death go together; every version there is stays whole."""
    dies_at = 0
    while True:
        (folder / "large.bin").write_bytes(os.urandom(SMALL_PART_BYTES * 2 + 1))
        try:
            publish(open_store(Calls(dies_at), "dying"), f"digits-{dies_at}", folder, created_by="ana")
        except DeadError:
            dies_at += 1
        else:
            break
    assert uploads(bucket)
    store, collector = open_store(), S3Collector(bucket, client=s3_client(attempts=1))
    collected = collect(
        store, collector, dict, rules=Rules(), now=lambda: time.time() + 8 * DAY_SECONDS, by="collector"
    )
    assert {item.what for item in collected.items} == {"blob", "upload"}
    assert collected.spared == ()
    assert uploads(bucket) == []
    manifests = load_manifests(store, [ByVersion(model, 1) for model in models(store)])
    named = {blob_key(file.digest) for manifest in manifests for file in manifest.files}
    assert set(store.keys("blobs/")) == named
