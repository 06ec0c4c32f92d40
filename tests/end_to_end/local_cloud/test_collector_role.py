"""The store's own policies, enforced: who may delete what from a bucket that keeps its data.

The statements are those of the template that is deployed. Where the names come from CloudFormation there,
this test puts its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Template
from botocore.config import Config
from botocore.exceptions import ClientError

from catalog.schema import Stage
from infra.stacks.store import StoreStack

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "000000000000"
REGION = "us-east-1"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    stack = StoreStack(app, stage=Stage(name="prod", runtime_layer="build/layers/none"))
    found: dict[str, Any] = Template.from_stack(stack).to_json()["Resources"]
    return found


class Bucket:
    """A bucket and a role with the policies of the template, and callers who try things on it."""

    def __init__(self, account: Any, resources: dict[str, Any]) -> None:
        self.name = f"prod-{uuid4().hex[:10]}"
        self.admin = account.client("s3")
        self.endpoint = account.cloud.endpoint_url
        self.certificate = account.cloud.environment().get("AWS_CA_BUNDLE") or True
        self.admin.create_bucket(Bucket=self.name)
        self.admin.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        iam = account.client("iam")
        self.ids = {
            id_: resource for id_, resource in resources.items() if resource["Type"].startswith("AWS::")
        }
        ((role_id, role),) = _of_type(resources, "AWS::IAM::Role")
        self.role = iam.create_role(
            RoleName=self.name,
            AssumeRolePolicyDocument=json.dumps(
                self._filled(role["Properties"]["AssumeRolePolicyDocument"], role_id, "")
            ),
        )["Role"]["Arn"]
        ((_, policy),) = _of_type(resources, "AWS::IAM::Policy")
        iam.put_role_policy(
            RoleName=self.name,
            PolicyName="collect",
            PolicyDocument=json.dumps(
                self._filled(policy["Properties"]["PolicyDocument"], role_id, self.role)
            ),
        )
        everything = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
        iam.create_role(
            RoleName=f"{self.name}-a",
            AssumeRolePolicyDocument=json.dumps(
                self._filled(role["Properties"]["AssumeRolePolicyDocument"], role_id, "")
            ),
        )
        iam.put_role_policy(
            RoleName=f"{self.name}-a", PolicyName="all", PolicyDocument=json.dumps(everything)
        )
        models = next(
            found["Properties"]["PolicyDocument"]
            for _, found in _of_type(resources, "AWS::S3::BucketPolicy")
            if "WriteOnce" in json.dumps(found)
        )
        # The embedded cloud does not say whether a call came by TLS.
        kept = [item for item in models["Statement"] if "aws:SecureTransport" not in json.dumps(item)]
        self.admin.put_bucket_policy(
            Bucket=self.name,
            Policy=json.dumps(self._filled({**models, "Statement": kept}, role_id, self.role)),
        )
        self._sts = account.client("sts")

    def as_role(self, role: str, service: str = "s3") -> Any:
        given = self._sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        make: Any = boto3.client  # its stubs want a literal name
        return make(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            verify=self.certificate,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def put(self, key: str) -> str:
        answer = self.admin.put_object(Bucket=self.name, Key=key, Body=b"1", IfNoneMatch="*")
        return str(answer["VersionId"])

    def _filled(self, part: Any, role_id: str, role: str) -> Any:
        """A piece of the template with this bucket's and this role's names in it."""
        if isinstance(part, list):
            return [self._filled(item, role_id, role) for item in part]
        if not isinstance(part, dict):
            return part
        if "Ref" in part:
            return {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION}.get(
                part["Ref"], "amazonaws.com"
            )
        if "Fn::Join" in part:
            separator, parts = part["Fn::Join"]
            return str(separator).join(self._filled(item, role_id, role) for item in parts)
        if "Fn::GetAtt" in part:
            id_ = part["Fn::GetAtt"][0]
            if id_ == role_id:
                return role
            return f"arn:aws:s3:::{self.name}" if "Bucket" in self.ids[id_]["Type"] else "arn:aws:kms:::key/k"
        return {key: self._filled(value, role_id, role) for key, value in part.items()}


def _of_type(resources: dict[str, Any], type_: str) -> list[tuple[str, Any]]:
    return [(id_, resource) for id_, resource in resources.items() if resource["Type"] == type_]


@pytest.fixture
def bucket(strict_account: Any, resources: dict[str, Any]) -> Bucket:
    return Bucket(strict_account, resources)


def refused(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return True
    return False


BLOB = f"blobs/sha256/ab/{'ab' * 32}"


def test_the_administrator_and_a_role_with_every_permission_delete_nothing(bucket: Bucket) -> None:
    """Law 10: only the collector's role may delete, whatever else allows it."""
    bucket.put(BLOB)
    almighty = bucket.as_role(bucket.role + "-a")
    for client in (bucket.admin, almighty):
        assert refused(client.delete_object, Bucket=bucket.name, Key=BLOB)
    assert almighty.get_object(Bucket=bucket.name, Key=BLOB)["Body"].read() == b"1"


@pytest.mark.parametrize("key", [BLOB, "layers/ab.zip", "models/digits/versions/000000001.json"])
def test_the_collector_deletes_what_a_collection_may_take(bucket: Bucket, key: str) -> None:
    bucket.put(key)
    collector = bucket.as_role(bucket.role)
    assert not refused(collector.delete_object, Bucket=bucket.name, Key=key)
    assert "Contents" not in collector.list_objects_v2(Bucket=bucket.name)


@pytest.mark.parametrize(
    "key",
    [
        "models/digits/releases/live/000000001.json",
        "models/digits/removed/000000001.json",
        "models/digits/pins/000000001/000000001.json",
        "models/digits/collected/000000001/ab12-000000031.json",
        "collect/000000001.json",
    ],
)
def test_the_collector_deletes_no_record(bucket: Bucket, key: str) -> None:
    """Law 10: what says why something happened stays."""
    bucket.put(key)
    assert refused(bucket.as_role(bucket.role).delete_object, Bucket=bucket.name, Key=key)


def test_nobody_deletes_for_good_and_what_was_collected_can_be_brought_back(bucket: Bucket) -> None:
    """Law 1: until the bucket's own rule ends it."""
    version = bucket.put(BLOB)
    collector = bucket.as_role(bucket.role)
    collector.delete_object(Bucket=bucket.name, Key=BLOB)
    for client in (bucket.admin, collector, bucket.as_role(bucket.role + "-a")):
        assert refused(client.delete_object, Bucket=bucket.name, Key=BLOB, VersionId=version)
    kept = bucket.admin.get_object(Bucket=bucket.name, Key=BLOB, VersionId=version)
    assert kept["Body"].read() == b"1"


def test_the_collector_writes_claims_and_tombstones_once_and_nothing_else(bucket: Bucket) -> None:
    """Law 1 holds for it too."""
    collector = bucket.as_role(bucket.role)
    for key in (
        "collect/000000001.json",
        "models/digits/removed/000000001.json",
        "models/digits/collected/000000001/ab12-000000031.json",
    ):
        assert refused(collector.put_object, Bucket=bucket.name, Key=key, Body=b"1")
        assert not refused(collector.put_object, Bucket=bucket.name, Key=key, Body=b"1", IfNoneMatch="*")
    for key in (BLOB, "models/digits/versions/000000001.json", "models/digits/releases/live/000000001.json"):
        assert refused(collector.put_object, Bucket=bucket.name, Key=key, Body=b"1", IfNoneMatch="*")


def test_the_collector_deletes_versions_of_the_stage_s_models_and_no_function(
    strict_account: Any, bucket: Bucket
) -> None:
    """Law 10: a version by its number; never a function as a whole, and nothing of another stage."""
    code = "def handler(event, context):\n    return 1\n"
    collector = bucket.as_role(bucket.role, "lambda")
    for stage, allowed in (("prod", True), ("dev", False)):
        name = f"switchyard-{stage}-{uuid4().hex[:8]}"
        strict_account.function(code, FunctionName=name, Role=bucket.role + "-a")
        version = strict_account.client("lambda").publish_version(FunctionName=name)["Version"]
        assert refused(collector.delete_function, FunctionName=name)
        assert refused(collector.delete_function, FunctionName=name, Qualifier=version) is not allowed
        assert strict_account.client("lambda").get_function(FunctionName=name)["Configuration"]
