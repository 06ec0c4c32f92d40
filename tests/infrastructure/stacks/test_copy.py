"""``infra.stacks.copy``: a second region has what the first one stored, and nobody but its rule writes there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from catalog import load_catalog
from infra.checks import findings_of_cdk, findings_of_cfn_lint, synthesise, with_stand_ins
from tests.infrastructure.conftest import ROOT, deployed_in, text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

CATALOG = """
[stages.prod]
runtime_layer = "build/layers/none"
replica = { region = "eu-west-1" }

[models.digits]
target = "lambda"
"""

NAME = "switchyard-prod-copy-<AWS::AccountId>-eu-west-1"


@pytest.fixture(scope="module")
def prod(node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A stage whose store is copied; nothing else about it matters."""
    folder = tmp_path_factory.mktemp("copied")
    (folder / "models.toml").write_text(CATALOG)
    catalog, _ = with_stand_ins(load_catalog(folder / "models.toml"), ROOT, folder)
    return deployed_in("prod", synthesise(catalog, "prod", root=ROOT, out=folder / "out"))


def bucket(prod: Deployed) -> dict[str, object]:
    found: dict[str, object]
    (found,) = (
        resource["Properties"]
        for resource in prod.resources("Copy", "AWS::S3::Bucket").values()
        if "BucketName" in resource["Properties"]
    )
    return found


def test_it_stands_in_the_other_region_and_is_deployed_first(prod: Deployed, local: Deployed) -> None:
    manifest = json.loads((prod.out / "manifest.json").read_text())["artifacts"]
    assert manifest["Switchyard-prod-Copy"]["environment"] == "aws://unknown-account/eu-west-1"
    assert prod.depends_on("Store") == {"Copy"}
    assert "Copy" not in local.templates


def test_the_rule_names_this_bucket_and_this_key(prod: Deployed) -> None:
    """Nothing is asked of the other region, at synth or in a disaster."""
    assert text_of(bucket(prod)["BucketName"]) == NAME
    (alias,) = prod.resources("Copy", "AWS::KMS::Alias").values()
    (rule,) = (
        rule
        for resource in prod.resources("Store", "AWS::S3::Bucket").values()
        if "ReplicationConfiguration" in resource["Properties"]
        for rule in resource["Properties"]["ReplicationConfiguration"]["Rules"]
    )
    assert text_of(rule["Destination"]["Bucket"]) == f"arn:<AWS::Partition>:s3:::{NAME}"
    key = text_of(rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"])
    assert key == f"arn:<AWS::Partition>:kms:eu-west-1:<AWS::AccountId>:{alias['Properties']['AliasName']}"


def test_s3_may_encrypt_with_that_key_only(prod: Deployed) -> None:
    (allowed,) = (found for found in prod.statements("Store") if found.get("Sid") == "EncryptThere")
    assert text_of(allowed["Resource"]) == "arn:<AWS::Partition>:kms:eu-west-1:<AWS::AccountId>:key/*"
    assert allowed["Condition"]["ForAnyValue:StringEquals"] == {
        "kms:ResourceAliases": "alias/switchyard-prod-copy"
    }
    assert allowed["Condition"]["StringEquals"]["kms:ViaService"] == "s3.eu-west-1.amazonaws.com"


def test_it_is_versioned_private_and_kept(prod: Deployed) -> None:
    found = bucket(prod)
    assert found["VersioningConfiguration"] == {"Status": "Enabled"}
    for resource in prod.resources("Copy", "AWS::S3::Bucket").values():
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"


def test_nobody_writes_there_but_our_rule_and_nobody_deletes(prod: Deployed) -> None:
    """What is there was copied; what the collector takes away in the stage stays."""
    denied = {
        found["Sid"]: found
        for found in prod.statements("Copy", "AWS::S3::BucketPolicy")
        if found.get("Sid") in ("OnlyTheRuleWrites", "NobodyDeletes")
    }
    assert denied["OnlyTheRuleWrites"]["Action"] == ["s3:PutObject"]
    ours = text_of(denied["OnlyTheRuleWrites"]["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert ours == "arn:aws:iam::<AWS::AccountId>:role/switchyard/*"
    assert denied["NobodyDeletes"]["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    assert {found["Effect"] for found in denied.values()} == {"Deny"}


def test_no_checker_has_anything_against_it(prod: Deployed) -> None:
    """cdk-nag and cfn-lint; what is accepted is written in ``infra.acknowledged``."""
    found = [*findings_of_cdk("prod", prod.out), *findings_of_cfn_lint("prod", prod.out)]
    assert [str(each) for each in found if "Copy" in each.place or "Store" in each.place] == []
