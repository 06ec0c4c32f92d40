"""The laws of ``releases.ports.Endpoints``, held against every adapter.

AWS's control planes are moto's here; that the adapters fit the embedded cloud's is shown in
``tests/end_to_end``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.constructs.machine_script import MachineScript
from releases.adapters.ec2 import FleetEndpoints
from releases.adapters.memory_endpoints import MemoryEndpoints
from releases.adapters.sagemaker import SageMakerEndpoints
from releases.errors import ServiceError
from releases.ports import Endpoints

NAME = "switchyard-test-bert-4-abababab-0123abcd"
TOLD = {"SWITCHYARD_MODEL": "bert", "SWITCHYARD_VERSION": "4"}

Make = Callable[[str, dict[str, str]], Endpoints]


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("sagemaker", region_name="eu-west-1")


def make_in_memory() -> Make:
    endpoints = MemoryEndpoints()

    def make(name: str, told: dict[str, str]) -> Endpoints:
        endpoints.make(name, told, instance_type="ml.m5.large", instances=2)
        return endpoints

    return make


def make_on_sagemaker(client: Any) -> Make:
    def make(name: str, told: dict[str, str]) -> Endpoints:
        client.create_model(
            ModelName=f"model-of-{name}",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/endpoint",
            PrimaryContainer={"Image": "switchyard-endpoint", "Environment": told},
        )
        client.create_endpoint_config(
            EndpointConfigName=f"config-of-{name}"[:63],
            ProductionVariants=[
                {
                    "VariantName": "all",
                    "ModelName": f"model-of-{name}",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 2,
                }
            ],
        )
        client.create_endpoint(EndpointName=name, EndpointConfigName=f"config-of-{name}"[:63])
        return SageMakerEndpoints(client)

    return make


class Ec2:
    """What a deployed stack leaves, as far as it is looked at."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        network = self.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.client("ec2").create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]
        self.subnet = subnet["SubnetId"]
        (group,) = self.client("elbv2").create_target_group(
            Name="targets", Protocol="HTTP", Port=8080, VpcId=network
        )["TargetGroups"]
        self.targets = str(group["TargetGroupArn"])

    def client(self, service: str) -> Any:
        make: Any = boto3.client  # its stubs want a literal name
        return self.clients.setdefault(service, make(service, region_name="eu-west-1"))

    def make(self, name: str, told: dict[str, str], *, spot: bool = False) -> FleetEndpoints:
        script = MachineScript(
            region="eu-west-1",
            stack="stack",
            resource="Group",
            source="s3://models/served/",
            image="switchyard-endpoint",
            registry=None,
            environment=told,
            log_group=f"/switchyard/endpoints/{name}",
            gpu=False,
            metrics_namespace="Switchyard/test/Endpoints",
            startup_s=60,
        ).text()
        data = {
            "InstanceType": "ml.m5.large",
            "ImageId": "ami-12c6146b",
            "UserData": base64.b64encode(script.encode()).decode(),
        }
        template = self.client("ec2").create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData=data
        )["LaunchTemplate"]
        which = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"}
        policy = {"LaunchTemplate": {"LaunchTemplateSpecification": which}}
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=2,
            MaxSize=2,
            VPCZoneIdentifier=self.subnet,
            TargetGroupARNs=[self.targets],
            HealthCheckGracePeriod=900,
            **({"MixedInstancesPolicy": policy} if spot else {"LaunchTemplate": which}),
        )
        return FleetEndpoints(self.client)


def make_on_ec2() -> Make:
    return Ec2().make


@pytest.fixture(params=["memory", "sagemaker", "ec2"])
def make(request: pytest.FixtureRequest, sagemaker: Any) -> Make:
    if request.param == "ec2":
        return make_on_ec2()
    return make_in_memory() if request.param == "memory" else make_on_sagemaker(sagemaker)


def test_an_endpoint_tells_what_it_was_made_with(make: Make) -> None:
    """Law 9: what is compared is what SageMaker reports, from the endpoint down to its container."""
    state = make(NAME, TOLD).describe(NAME)
    assert state is not None
    assert (state.name, state.status, state.environment) == (NAME, "InService", TOLD)
    assert (state.instance_type, state.instances) == ("ml.m5.large", 2)


def test_an_endpoint_that_is_not_there_is_none(make: Make) -> None:
    endpoints = make(NAME, TOLD)
    assert endpoints.describe("switchyard-test-bert-5-abababab-0123abcd") is None
    assert endpoints.status("switchyard-test-bert-5-abababab-0123abcd") is None


def test_the_status_alone_is_that_of_the_description(make: Make) -> None:
    assert make(NAME, TOLD).status(NAME) == "InService"


def test_an_endpoint_says_where_it_logs(make: Make) -> None:
    state = make(NAME, TOLD).describe(NAME)
    assert state is not None
    assert state.log_group.endswith(NAME)


def test_what_a_container_was_told_is_read_from_its_machines_script(sagemaker: Any) -> None:
    """Whatever a person wrote into the catalog."""
    del sagemaker
    told = TOLD | {"NOTE": 'it\'s $(touch owned) & "more"', "EMPTY": "", "URL": "a=b"}
    state = Ec2().make(NAME, told, spot=True).describe(NAME)
    assert state is not None
    assert state.environment == told
    assert state.instance_type == "ml.m5.large"


def test_a_fleet_without_a_healthy_machine_is_being_made_and_after_a_while_failed(sagemaker: Any) -> None:
    del sagemaker
    ec2 = Ec2()
    ec2.make(NAME, TOLD)
    (group,) = ec2.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    targets = [{"Id": item["InstanceId"]} for item in group["Instances"]]
    ec2.client("elbv2").deregister_targets(TargetGroupArn=ec2.targets, Targets=targets)
    made = group["CreatedTime"].timestamp()
    assert FleetEndpoints(ec2.client, now=lambda: made + 60).status(NAME) == "Creating"
    late = FleetEndpoints(ec2.client, now=lambda: made + 1_500).describe(NAME)
    assert late is not None
    assert (late.status, late.reason) == ("Failed", "no machine of `targets` is healthy; machines: none")


def test_endpoints_are_listed_by_what_their_names_begin_with(make: Make) -> None:
    for name in ("zz-switchyard-test-bert-1", "switchyard-test-bert-9", NAME, "switchyard-test-other-1"):
        endpoints = make(name, TOLD)
    assert endpoints.names("switchyard-test-bert-") == [NAME, "switchyard-test-bert-9"]


def test_what_sagemaker_cannot_say_may_work_later(sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = SageMakerEndpoints(sagemaker)
    sagemaker.meta.events.register_first("before-send.sagemaker", _refuse)
    with pytest.raises(ServiceError, match="ValidationException"):
        endpoints.describe(NAME)


def _refuse(request: Any, **_: Any) -> Any:
    """An error of the same name that does not mean "not there"."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield b'{"__type": "ValidationException", "message": "1 validation error detected"}'

    return AWSResponse(request.url, 400, HTTPHeaders(), Raw())
