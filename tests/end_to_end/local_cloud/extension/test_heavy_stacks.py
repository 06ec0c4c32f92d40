"""Stacks with endpoints and their scaling: order, attributes, failure, deletion."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.local_cloud.extension.test_sagemaker import IMAGE, ROLE, Hosting, until

pytestmark = pytest.mark.cloud


@pytest.fixture
def hosting(account: Any, tmp_path: Path) -> Hosting:
    return Hosting(account, tmp_path)


@pytest.fixture
def name(account: Any) -> Iterator[str]:
    made = f"heavy-{uuid.uuid4().hex[:8]}"
    yield made
    account.client("cloudformation").delete_stack(StackName=made)


def model(hosting: Hosting, name: str, **environment: str) -> dict[str, Any]:
    """The resources of one endpoint as a stack of ours has them."""
    uri, told = hosting.laid_out(2.0)
    source = {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    variant = {
        "VariantName": "all",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": "1",
        "InitialVariantWeight": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 600,
    }
    container = {
        "Image": IMAGE,
        "Environment": told | environment,
        "ModelDataSource": {"S3DataSource": source},
    }
    return {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container},
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"EndpointConfigName": name, "ProductionVariants": [variant]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": name,
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
            },
        },
    }


def scaling(name: str, least: int, most: int) -> dict[str, Any]:
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/all",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": least,
        "MaxCapacity": most,
    }
    follow = {
        "PolicyName": f"{name}-follow",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Instances"},
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    }
    return {
        "Instances": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "DependsOn": "Endpoint",
            "Properties": target,
        },
        "Follow": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": follow},
    }


def test_a_stack_waits_for_its_endpoint_scales_it_and_takes_it_away(hosting: Hosting, name: str) -> None:
    account = hosting.account
    outputs = {"Endpoint": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}, "Target": {"Ref": "Instances"}}
    made = account.stack(name, {**model(hosting, name), **scaling(name, 2, 4)}, outputs)
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert made["Endpoint"] == name
    assert made["Target"] == (f"endpoint/{name}/variant/all|sagemaker:variant:DesiredInstanceCount|sagemaker")
    assert hosting.status(name) == "InService"
    assert hosting.ask(name, 1, 2)["InvokedProductionVariant"] == "all"
    counted = hosting.client.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
    assert counted["CurrentInstanceCount"] == 2, "the floor is kept to"
    policies = account.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{name}/variant/all"
    )["ScalingPolicies"]
    config = policies[0]["TargetTrackingScalingPolicyConfiguration"]
    assert config["TargetValue"] == 100
    stack = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    account.client("cloudformation").delete_stack(StackName=name)
    assert account.stack_at_rest(stack)["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="Could not find endpoint"):
        hosting.status(name)
    targets = account.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{name}/variant/all"]
    )
    assert targets["ScalableTargets"] == []


def test_changed_bounds_are_an_update_and_leave_the_endpoint_alone(hosting: Hosting, name: str) -> None:
    account, resources = hosting.account, model(hosting, name)
    account.stack(name, {**resources, **scaling(name, 1, 2)})
    before = hosting.client.describe_endpoint(EndpointName=name)["CreationTime"]
    changed = account.stack(name, {**resources, **scaling(name, 3, 5)})
    assert changed["StackStatus"] == "UPDATE_COMPLETE"
    (target,) = account.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{name}/variant/all"]
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 5)
    now = hosting.client.describe_endpoint(EndpointName=name)
    assert (now["CreationTime"], now["ProductionVariants"][0]["CurrentInstanceCount"]) == (before, 3)


def test_an_endpoint_that_fails_fails_its_stack_with_sagemakers_reason(hosting: Hosting, name: str) -> None:
    ended = hosting.account.stack(name, model(hosting, name, SWITCHYARD_THREADS="many"))
    assert ended["StackStatus"] == "ROLLBACK_COMPLETE"
    events = hosting.account.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert any("did not pass the ping" in event.get("ResourceStatusReason", "") for event in events)
    until(lambda: not hosting.client.list_endpoints(NameContains=name)["Endpoints"])


def test_a_target_for_what_is_not_there_is_refused(account: Any) -> None:
    with pytest.raises(ClientError, match="Could not find endpoint"):
        account.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId="endpoint/nowhere/variant/all",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=2,
        )


def test_a_stock_cloud_does_not_know_the_types(stock_account: Any) -> None:
    """When this fails, ministack has learned them: see what of ours can go."""
    resources = {
        "Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {}},
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": {}},
    }
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        stock_account.stack("heavy", resources)
    with pytest.raises(ClientError) as refused:
        stock_account.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="sagemaker"
        )
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
