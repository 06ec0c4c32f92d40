"""Copies of objects arrive in another region later, by themselves, encrypted with that region's key."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from tests.end_to_end.local_cloud.conftest import Account

pytestmark = pytest.mark.cloud

THERE = "eu-west-1"
KEY = "arn:aws:kms:eu-west-1:000000000000:alias/copy"


class Two:
    """A bucket that is copied, and its copy in another region, of an account whose weather is nobody else's."""

    def __init__(self, cloud: Any) -> None:
        account = str(uuid.uuid4().int)[:12]
        self.here = Account(cloud, account)
        self.there = Account(replace(cloud, region=THERE), account)
        self.copy = f"copy-{account}"
        versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
        made = {"Copy": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": self.copy, **versioned}}}
        self.there.stack("copy", made)
        rule = {
            "Id": "Everything",
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {"Prefix": ""},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
            "Destination": {
                "Bucket": f"arn:aws:s3:::{self.copy}",
                "EncryptionConfiguration": {"ReplicaKmsKeyID": KEY},
                "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
                "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
            },
        }
        role = f"arn:aws:iam::{account}:role/copies"
        properties = {**versioned, "ReplicationConfiguration": {"Role": role, "Rules": [rule]}}
        source = {"Source": {"Type": "AWS::S3::Bucket", "Properties": properties}}
        self.source = self.here.stack("source", source, {"Name": {"Ref": "Source"}})["Name"]

    def put(self, key: str) -> None:
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:us-east-1:1:key/1"}
        self.here.client("s3").put_object(Bucket=self.source, Key=key, Body=key.encode(), **encrypted)

    def status(self, key: str) -> str:
        head = self.here.client("s3").head_object(Bucket=self.source, Key=key)
        return str(head.get("ReplicationStatus", ""))

    def copied(self) -> list[str]:
        listed = self.there.client("s3").list_objects_v2(Bucket=self.copy).get("Contents", [])
        return [item["Key"] for item in listed]


@pytest.fixture
def two(cloud: Any) -> Two:
    return Two(cloud)


def test_a_rule_of_a_template_copies_and_encrypts_with_the_key_it_names(two: Two) -> None:
    two.put("a")
    assert (two.status("a"), two.copied()) == ("COMPLETED", ["a"])
    copied = two.there.client("s3").get_object(Bucket=two.copy, Key="a")
    assert (copied["Body"].read(), copied["ReplicationStatus"], copied["SSEKMSKeyId"]) == (
        b"a",
        "REPLICA",
        KEY,
    )


def test_on_a_bad_day_copies_come_later(two: Two) -> None:
    two.here.day(replication_s=1e6)
    two.put("never")
    two.here.day(replication_s=0.5)
    two.put("soon")
    assert two.status("never") == "PENDING"
    end = time.monotonic() + 60
    while two.status("soon") != "COMPLETED":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert two.copied() == ["soon"]


def test_a_delete_is_not_copied(two: Two) -> None:
    two.put("a")
    two.here.client("s3").delete_object(Bucket=two.source, Key="a")
    assert two.copied() == ["a"]


def test_a_stock_cloud_drops_the_rule_of_a_template(stock_account: Any) -> None:
    two = Two(stock_account.cloud)
    two.put("a")
    assert (two.status("a"), two.copied()) == ("", [])
