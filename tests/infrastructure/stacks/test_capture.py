"""``infra.stacks.capture``: a bucket that is private and forgets each model's rows at that model's own pace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.constructs.capture_bucket import REPORT_DAYS
from model_store.contract.capture import CaptureSettings, captured_prefix
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def rules(stage: Deployed) -> dict[str, dict[str, Any]]:
    found = stage.only("Capture", "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    return {rule["Id"]: rule for rule in found}


def test_it_is_private_encrypted_and_spoken_to_over_tls_only(stage: Deployed) -> None:
    bucket = stage.only("Capture", "AWS::S3::Bucket")["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (key,) = stage.resources("Capture", "AWS::KMS::Key")
    assert text_of(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]) == f"<{key}.Arn>"
    assert stage.only("Capture", "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True
    (denied,) = stage.statements("Capture", "AWS::S3::BucketPolicy")
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(("model", "days"), [("fraud-eu", 14), ("bert", 30)])
def test_rows_and_labels_are_forgotten_when_the_catalog_says(stage: Deployed, model: str, days: int) -> None:
    rows, labels = (rules(stage)[f"Forget{what}-{model}"] for what in ("Rows", "Labels"))
    assert (rows["Prefix"], rows["ExpirationInDays"], rows["Status"]) == (
        captured_prefix(model),
        days,
        "Enabled",
    )
    assert (labels["Prefix"], labels["ExpirationInDays"]) == (f"truth/{model}/", days)


def test_reports_stay_a_year_and_no_version_of_anything_does(stage: Deployed) -> None:
    assert rules(stage)["ForgetReports"]["ExpirationInDays"] == REPORT_DAYS
    assert "VersioningConfiguration" not in stage.only("Capture", "AWS::S3::Bucket")["Properties"]


def test_it_is_found_by_name(stage: Deployed) -> None:
    names = {
        found["Properties"]["Name"] for found in stage.resources("Capture", "AWS::SSM::Parameter").values()
    }
    prefix = f"/switchyard/{stage.stage}/capture-bucket"
    assert names == {prefix, f"{prefix}-key"}


@pytest.mark.parametrize("model", ["fraud-eu", "bert"])
def test_a_function_may_write_rows_of_its_own_model_and_read_none(stage: Deployed, model: str) -> None:
    """Law: whoever breaks into a model's function reads nobody's captured requests."""
    statements = stage.statements(f"Model-{model}")
    (keeping,) = [found for found in statements if found.get("Sid") == "KeepRequests"]
    assert keeping["Action"] == ["s3:PutObject"]
    assert text_of(keeping["Resource"]).endswith(f"/captured/{model}/*")
    (encrypting,) = [found for found in statements if found.get("Sid") == "EncryptRequestsThroughS3"]
    assert encrypting["Action"] == ["kms:GenerateDataKey"]
    buckets = [text_of(found["Resource"]) for found in statements if "s3:GetObject" in found["Action"]]
    assert not any("captured" in bucket for bucket in buckets)


def test_a_function_is_told_what_to_keep_and_one_that_keeps_nothing_is_told_nothing(stage: Deployed) -> None:
    def variables(model: str) -> dict[str, Any]:
        (found,) = stage.resources(f"Model-{model}", "AWS::Lambda::Function").values()
        told: dict[str, Any] = found["Properties"]["Environment"]["Variables"]
        return told

    told = variables("fraud-eu")
    assert CaptureSettings.from_json(told["SWITCHYARD_CAPTURE"]) == CaptureSettings(0.05, 500, ("iban",))
    assert "SWITCHYARD_CAPTURE_BUCKET" in told
    assert not {"SWITCHYARD_CAPTURE", "SWITCHYARD_CAPTURE_BUCKET"} & set(variables("digits"))
    assert "KeepRequests" not in json.dumps(stage.templates["Model-digits"])
