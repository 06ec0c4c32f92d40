"""Everything of one stage goes, and nothing of another."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from typing import Any

import boto3
import pytest

from benchmarks.trial.sweep import STAGE_TAG, Sweep
from local_cloud.cloud import Cloud

TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


pytestmark = pytest.mark.cloud


@pytest.fixture(autouse=True)
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account with two stages and nothing else."""
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(uuid.uuid4().int)[:12])
    # The session that boto3 keeps would go on with the credentials of the test before.
    boto3.setup_default_session()
    for stage in ("t1", "other"):
        make(stage)


def make(stage: str) -> None:
    """What a stage leaves: a stack, a bucket with versions, a function, its log, a layer, alarms."""
    role = "arn:aws:iam::000000000000:role/any"
    boto3.client("cloudformation").create_stack(
        StackName=f"Switchyard-{stage}-Store",
        TemplateBody=TEMPLATE,
        Tags=[{"Key": STAGE_TAG, "Value": stage}],
    )
    mine = uuid.uuid4().hex[:6]
    s3, bucket = boto3.client("s3"), f"switchyard-{stage}-store-{mine}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    s3.delete_object(Bucket=bucket, Key="k")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", "")
    code: Any = {"ZipFile": archive.getvalue()}
    lambda_ = boto3.client("lambda")
    lambda_.create_function(
        FunctionName=f"switchyard-{stage}-digits", Runtime="python3.13", Role=role, Handler="m.h", Code=code
    )
    for _ in range(2):
        lambda_.publish_layer_version(LayerName=f"switchyard-{stage}-digits-model", Content=code)
    boto3.client("logs").create_log_group(logGroupName=f"/aws/lambda/switchyard-{stage}-digits")
    for name in (f"switchyard/{stage}/digits/p99", f"switchyard/{stage}/digits/errors"):
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )


def test_everything_of_the_stage_is_found_by_name() -> None:
    left = Sweep("t1", sleep=lambda _: time.sleep(0.05)).left()
    assert sorted(each.partition(" ")[0] for each in left) == [
        *("alarm", "alarm", "bucket", "function", "layer", "layer", "log", "stack"),
    ]
    assert all("t1" in each for each in left)


def test_a_sweep_leaves_nothing_of_the_stage_and_all_of_the_other() -> None:
    sweep, other = Sweep("t1", sleep=lambda _: time.sleep(0.05)), Sweep("other").left()
    sweep.wait_for_stacks(60)
    sweep.empty_buckets()
    sweep.delete_stacks()
    sweep.wait_for_stacks(60)
    sweep.take_the_rest()
    assert sweep.left() == []
    assert Sweep("other").left() == other


def test_repeating_it_is_harmless() -> None:
    sweep = Sweep("t1", sleep=lambda _: time.sleep(0.05))
    for _ in range(2):
        sweep.delete_stacks()
        sweep.wait_for_stacks(60)
        sweep.take_the_rest()
    assert sweep.left() == []


def test_what_has_the_stage_s_tag_is_listed() -> None:
    (name,) = Sweep("t1", sleep=lambda _: time.sleep(0.05)).buckets()
    tags: Any = [{"Key": STAGE_TAG, "Value": "t1"}]
    boto3.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    assert f"arn:aws:s3:::{name}" in Sweep("t1", sleep=lambda _: time.sleep(0.05)).tagged()
