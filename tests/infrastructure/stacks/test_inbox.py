"""``infra.stacks.inbox``: a bucket that is private, forgets, and says what was put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.inference.doors import objects
from infra.stacks.model import ANSWERS, REQUESTS
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def test_it_is_private_encrypted_and_spoken_to_over_tls_only(stage: Deployed) -> None:
    bucket = stage.only("Inbox", "AWS::S3::Bucket")["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (key,) = stage.resources("Inbox", "AWS::KMS::Key")
    assert text_of(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]) == f"<{key}.Arn>"
    (denied,) = stage.statements("Inbox", "AWS::S3::BucketPolicy")
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_requests_and_answers_are_forgotten_when_their_messages_are(stage: Deployed) -> None:
    (rule,) = stage.only("Inbox", "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 14
    for queue in stage.resources("Model-fraud-eu", "AWS::SQS::Queue").values():
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 86_400


def test_it_tells_eventbridge_and_brings_no_function_of_its_own(stage: Deployed) -> None:
    told = stage.only("Inbox", "AWS::S3::Bucket")["Properties"]["NotificationConfiguration"]
    assert told == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    types = {found["Type"] for found in stage.templates["Inbox"]["Resources"].values()}
    assert types == {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::SSM::Parameter"}


def test_the_stack_and_the_function_mean_the_same_prefixes() -> None:
    assert (REQUESTS, ANSWERS) == (objects.REQUESTS, objects.ANSWERS)
    assert objects.answer_key("requests/digits/7.json") == "answers/digits/7.json"
