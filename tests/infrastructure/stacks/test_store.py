"""``infra.stacks.store``: the bucket keeps the store's laws by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.stacks.store import StoreStack
from tests.infrastructure.conftest import ROOT, text_of

if TYPE_CHECKING:
    from catalog import Catalog
    from tests.infrastructure.conftest import Deployed


def bucket(stage: Deployed) -> dict[str, Any]:
    (found,) = (
        resource["Properties"]
        for resource in stage.resources("Store", "AWS::S3::Bucket").values()
        if "VersioningConfiguration" in resource["Properties"]
    )
    return dict(found)


def said(stage: Deployed, sid: str) -> list[dict[str, Any]]:
    return [found for found in stage.statements("Store", "AWS::S3::BucketPolicy") if found.get("Sid") == sid]


def collector(stage: Deployed) -> tuple[str, dict[str, Any]]:
    ((id_, role),) = stage.resources("Store", "AWS::IAM::Role").items()
    return id_, dict(role["Properties"])


def test_the_bucket_refuses_a_write_that_could_overwrite(stage: Deployed) -> None:
    """Law 1: administrators are refused too; only parts of an upload go without the header."""
    (statement,) = said(stage, "WriteOnce")
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == {"AWS": "*"}
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_only_the_collector_deletes_where_data_is_kept(prod: Deployed, local: Deployed) -> None:
    """Law 10: administrators are refused too. A stage without kept data can be emptied."""
    (statement,) = said(prod, "OnlyTheCollectorDeletes")
    assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
    assert statement["Action"] == ["s3:DeleteObject"]
    ((condition, asked),) = statement["Condition"].items()
    assert condition == "ArnNotEquals"
    role, attribute = asked["aws:PrincipalArn"]["Fn::GetAtt"]
    assert (role, attribute) == (collector(prod)[0], "Arn")
    assert said(local, "OnlyTheCollectorDeletes") == []


def test_nobody_deletes_for_good(prod: Deployed) -> None:
    """Law 1: what was collected can be brought back until the bucket's own rule ends it."""
    (statement,) = said(prod, "NobodyDeletesForGood")
    assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
    assert statement["Action"] == ["s3:DeleteObjectVersion"]
    assert "Condition" not in statement


def test_the_collector_deletes_no_record(stage: Deployed) -> None:
    """Law 10: ledgers, plans, pins, tombstones and sweeps stay, whoever collects."""
    (statement,) = [found for found in stage.statements("Store") if found["Sid"] == "Delete"]
    keys = {text_of(resource).partition(">/")[2] for resource in statement["Resource"]}
    assert keys == {"blobs/*", "layers/*", "models/*/served/*", "models/*/versions/*"}
    deleting = [
        found
        for concern in stage.templates
        for found in stage.statements(concern)
        if any(action.startswith("s3:Delete") for action in found["Action"])
    ]
    assert deleting == [statement]


def test_only_the_collector_deletes_of_lambda_and_never_a_function(stage: Deployed) -> None:
    """Law 10: numbered versions and model layers, by one role; no resource names a function as a whole."""
    deletions = {"lambda:DeleteFunction", "lambda:DeleteLayerVersion", "lambda:Delete*", "lambda:*", "*"}
    every = [found for concern in stage.templates for found in stage.statements(concern)]
    (statement,) = [found for found in every if deletions & set(found["Action"])]
    assert statement in stage.statements("Store")
    assert statement["Action"] == ["lambda:DeleteFunction", "lambda:DeleteLayerVersion"]
    function, layer = (text_of(named) for named in statement["Resource"])
    assert function.endswith(f":function:switchyard-{stage.stage}-*:*")
    assert layer.endswith(f":layer:switchyard-{stage.stage}-*-model:*")


def test_the_collector_writes_claims_and_tombstones_only(stage: Deployed) -> None:
    (statement,) = [found for found in stage.statements("Store") if "s3:PutObject" in found["Action"]]
    keys = {text_of(resource).partition(">/")[2] for resource in statement["Resource"]}
    assert keys == {"models/*/removed/*", "models/*/collected/*", "collect/*"}


def test_whoever_the_account_allows_may_collect_unless_the_catalog_names_some(stage: Deployed) -> None:
    (statement,) = collector(stage)[1]["AssumeRolePolicyDocument"]["Statement"]
    assert text_of(statement["Principal"]["AWS"]).endswith(":root")
    assert statement["Action"] == "sts:AssumeRole"


def test_the_catalog_may_name_who_collects(catalog: Catalog, node_of_the_project: None) -> None:
    platform = "arn:aws:iam::123456789012:role/Platform"
    stage = catalog.stage("prod").model_copy(update={"collectors": (platform,)})
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    template = Template.from_stack(StoreStack(app, stage=stage))
    template.has_resource_properties(
        "AWS::IAM::Role",
        {"AssumeRolePolicyDocument": {"Statement": [{"Principal": {"AWS": platform}}]}},
    )


def test_a_stage_may_let_nobody_write_but_its_own_roles(
    catalog: Catalog, prod: Deployed, node_of_the_project: None
) -> None:
    """Law 3: administrators are refused too."""
    assert said(prod, "OnlyOurRolesWrite") == []
    stage = catalog.stage("prod").model_copy(update={"roles_only": True})
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    template = Template.from_stack(StoreStack(app, stage=stage)).to_json()
    documents = [
        resource["Properties"]["PolicyDocument"]["Statement"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::S3::BucketPolicy"
    ]
    (statement,) = [one for many in documents for one in many if one.get("Sid") == "OnlyOurRolesWrite"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:PutObject")
    ours = text_of(statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert ours.endswith(":role/switchyard/*")


def test_the_bucket_is_private_versioned_and_encrypted_with_a_rotating_key(stage: Deployed) -> None:
    properties = bucket(stage)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert stage.only("Store", "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True
    (ownership,) = properties["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


def test_both_buckets_refuse_plain_http(stage: Deployed) -> None:
    refused = [
        found
        for found in stage.statements("Store", "AWS::S3::BucketPolicy")
        if found.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    ]
    assert [found["Effect"] for found in refused] == ["Deny", "Deny"]


def test_only_broken_uploads_and_what_was_collected_expire(stage: Deployed) -> None:
    """Law 10: no rule ends what is current."""
    uploads, collected = bucket(stage)["LifecycleConfiguration"]["Rules"]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not [key for key in uploads if "Expir" in key or "Transition" in key]
    assert collected["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert collected["ExpiredObjectDeleteMarker"] is True
    assert not {"ExpirationInDays", "ExpirationDate", "Transitions"} & set(collected)


def test_reads_and_writes_are_recorded_in_another_bucket(stage: Deployed) -> None:
    log = bucket(stage)["LoggingConfiguration"]["DestinationBucketName"]["Ref"]
    (rule,) = stage.resources("Store", "AWS::S3::Bucket")[log]["Properties"]["LifecycleConfiguration"][
        "Rules"
    ]
    assert rule["ExpirationInDays"] == (90 if stage.stage == "prod" else 30)


def test_everybody_finds_bucket_and_key_by_the_stage_s_name(stage: Deployed) -> None:
    names = {
        resource["Properties"]["Name"]
        for resource in stage.resources("Store", "AWS::SSM::Parameter").values()
    }
    assert names == {
        f"/switchyard/{stage.stage}/{name}" for name in ("bucket", "bucket-key", "collector-role")
    }


def test_a_kept_bucket_keeps_its_policy(prod: Deployed) -> None:
    """Law 1 holds for what is left of a destroyed stage, too."""
    policies = prod.resources("Store", "AWS::S3::BucketPolicy").values()
    assert [policy["DeletionPolicy"] for policy in policies] == ["RetainExceptOnCreate"] * 2


def test_where_the_catalog_names_a_replica_every_object_is_copied_and_no_delete(
    partner: Deployed, local: Deployed
) -> None:
    """What the collector takes away here can still be brought back from there."""
    assert "ReplicationConfiguration" not in bucket(local)
    (rule,) = bucket(partner)["ReplicationConfiguration"]["Rules"]
    assert (rule["Status"], rule["Filter"]) == ("Enabled", {"Prefix": ""})
    assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
    assert rule["Destination"]["Bucket"] == "arn:aws:s3:::models-copy"
    assert rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"].startswith(
        "arn:aws:kms:eu-west-1:"
    )
    assert rule["Destination"]["ReplicationTime"] == {"Status": "Enabled", "Time": {"Minutes": 15}}


def test_the_role_that_copies_writes_only_the_copy(partner: Deployed) -> None:
    found = {
        statement["Sid"]: statement
        for statement in partner.statements("Store")
        if statement.get("Sid")
        in ("ReadTheRule", "ReadVersions", "WriteTheCopies", "DecryptHere", "EncryptThere")
    }
    assert found["WriteTheCopies"]["Action"] == ["s3:ReplicateObject", "s3:ReplicateTags"]
    assert found["WriteTheCopies"]["Resource"] == "arn:aws:s3:::models-copy/*"
    assert found["DecryptHere"]["Action"] == ["kms:Decrypt"]
    assert (
        found["EncryptThere"]["Condition"]["StringEquals"]["kms:ViaService"] == "s3.eu-west-1.amazonaws.com"
    )
    assert len(found) == 5
