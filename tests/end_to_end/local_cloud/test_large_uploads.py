"""A file in parts, with the write-once policy of the store enforced: what a publisher needs, and no more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from botocore.exceptions import ClientError

from catalog.schema import Stage
from infra.stacks.store import StoreStack
from model_store.adapters.s3 import S3Store
from model_store.adapters.s3_upload import Upload
from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, StoreUnavailableError
from model_store.contract.parts import Parts

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).resolve().parents[3]

DATA = os.urandom(2_500)
PARTS = Parts(1_000, 2_500, tuple(Digest.of(DATA[at : at + 1_000]) for at in (0, 1_000, 2_000)))


@pytest.fixture(scope="module")
def statements() -> list[dict[str, Any]]:
    """What the bucket's policy denies in a stage that keeps its data."""
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    stack = StoreStack(app, stage=Stage(name="prod", runtime_layer="build/layers/none"))
    policies = Template.from_stack(stack).find_resources("AWS::S3::BucketPolicy").values()
    found = [said for policy in policies for said in policy["Properties"]["PolicyDocument"]["Statement"]]
    return [said for said in found if said.get("Sid") == "WriteOnce"]


@pytest.fixture
def bucket(strict_account: Any, statements: list[dict[str, Any]]) -> str:
    (write_once,) = statements
    name = f"large-{uuid4().hex[:10]}"
    s3 = strict_account.client("s3")
    s3.create_bucket(Bucket=name)
    held = {**write_once, "Resource": f"arn:aws:s3:::{name}/*"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [held]}))
    return name


def test_parts_are_sent_gone_on_with_and_completed_under_the_policy(
    strict_account: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: every key is written once, also by a multipart upload, and the bucket sees to it."""
    (tmp_path / "file").write_bytes(DATA)
    s3 = strict_account.client("s3")
    store = S3Store(bucket, client=s3)

    def breaks_off(self: Upload, parts: Parts) -> None:
        raise StoreUnavailableError("the network is gone")

    with monkeypatch.context() as broken:
        broken.setattr(Upload, "complete", breaks_off)
        with pytest.raises(StoreUnavailableError):
            store.put_file_once("blobs/large", tmp_path / "file", Digest.of(DATA), PARTS)
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1

    store.put_file_once("blobs/large", tmp_path / "file", Digest.of(DATA), PARTS)
    store.fetch_file("blobs/large", tmp_path / "back", Digest.of(DATA), PARTS)
    assert (tmp_path / "back").read_bytes() == DATA
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

    store.put_once("blobs/other", b"other bytes")
    with pytest.raises(AlreadyExistsError):
        store.put_file_once("blobs/other", tmp_path / "file", Digest.of(DATA), PARTS)


def test_a_completion_without_the_condition_is_denied(strict_account: Any, bucket: str) -> None:
    """Law 1: nobody forgets the condition: the bucket refuses what could overwrite."""
    s3 = strict_account.client("s3")
    upload = {"Bucket": bucket, "Key": "blobs/large"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=DATA)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
