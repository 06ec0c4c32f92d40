"""``infra.stacks.handoff``: payloads pass through a bucket that nobody else reads and that forgets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalog import Catalog
from functions.inference.handoff import ADDRESS_S
from infra.stacks.handoff import ADDRESS_MS
from tests.infrastructure.conftest import LOCK, ROOT, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infrastructure.conftest import Deployed


def bucket(stage: Deployed) -> dict[str, Any]:
    return dict(stage.only("Handoff", "AWS::S3::Bucket")["Properties"])


def test_the_bucket_is_private_and_encrypted_with_a_key_of_its_own(stage: Deployed) -> None:
    properties = bucket(stage)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (key,) = stage.resources("Handoff", "AWS::KMS::Key")
    assert text_of(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]) == f"<{key}.Arn>"
    assert stage.only("Handoff", "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True


def test_payloads_are_forgotten_after_a_day_and_no_version_of_them_stays(stage: Deployed) -> None:
    properties = bucket(stage)
    assert "VersioningConfiguration" not in properties
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1)
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_nobody_speaks_to_it_in_clear_or_with_an_old_address(stage: Deployed) -> None:
    denied = [
        statement
        for statement in stage.statements("Handoff", "AWS::S3::BucketPolicy")
        if statement["Effect"] == "Deny"
    ]
    conditions = [statement["Condition"] for statement in denied]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert {"NumericGreaterThan": {"s3:signatureAge": "900000"}} in conditions
    assert ADDRESS_MS == ADDRESS_S * 1000


def test_it_is_found_by_name(stage: Deployed) -> None:
    names = {
        found["Properties"]["Name"] for found in stage.resources("Handoff", "AWS::SSM::Parameter").values()
    }
    prefix = f"/switchyard/{stage.stage}/handoff-bucket"
    assert names == {prefix, f"{prefix}-key"}


def test_a_stage_whose_models_hand_nothing_off_has_no_such_bucket(
    catalog: Catalog, tmp_path: Path, node_of_the_project: None
) -> None:
    from infra.checks import synthesise

    plain = catalog.model_copy(
        update={
            "models": {
                name: model.model_copy(update={"handoff": False}) for name, model in catalog.models.items()
            }
        }
    )
    synthesise(plain, "prod", root=ROOT, out=tmp_path / "out", lock=LOCK)
    assert not list((tmp_path / "out").glob("*Handoff*"))
