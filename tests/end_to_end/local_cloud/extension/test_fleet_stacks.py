"""Stacks with fleets: machines that are processes, a load balancer that leads to them by REST and by gRPC."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from botocore.exceptions import ClientError

from infra.constructs.machine_script import MachineScript
from model_store.contract.endpoints import ENDPOINT_HEADER
from tests.end_to_end.local_cloud.extension.test_sagemaker import IMAGE, Hosting, until

pytestmark = pytest.mark.cloud

VPC = "vpc-0123456789abcdef0"
PATH = "/*"


@pytest.fixture(scope="module")
def hosting(account: Any, tmp_path_factory: pytest.TempPathFactory) -> Hosting:
    return Hosting(account, tmp_path_factory.mktemp("fleets"))


def balancer() -> dict[str, Any]:
    nobody = {
        "Type": "fixed-response",
        "FixedResponseConfig": {
            "StatusCode": "503",
            "ContentType": "application/json",
            "MessageBody": '{"error":"nobody"}',
        },
    }

    def listener(port: int, protocol: str) -> dict[str, Any]:
        return {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": port,
                "Protocol": protocol,
                "DefaultActions": [nobody],
                **({"Certificates": [{"CertificateArn": "arn:any"}]} if protocol == "HTTPS" else {}),
            },
        }

    return {
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {"Scheme": "internal", "Subnets": ["subnet-1", "subnet-2"]},
        },
        "Http": listener(80, "HTTP"),
        "Grpc": listener(443, "HTTPS"),
    }


def fleet(
    hosting: Hosting, stack: str, number: int, factor: float, *, machines: int = 1, image: str = IMAGE
) -> dict[str, Any]:
    """One version as our stack has it: target groups, rules by header, template and group."""
    name, (uri, told) = f"{stack}-{number}", hosting.laid_out(factor, number)
    told.pop("SWITCHYARD_GRPC_PORT")
    script = MachineScript(
        region="us-east-1",
        stack=stack,
        resource=f"Group{number}",
        source=uri,
        image=image,
        registry=None,
        environment={**told, "SWITCHYARD_VERSION": str(number)},
        log_group=f"/switchyard/endpoints/{name}",
        gpu=False,
        metrics_namespace="Switchyard/test/Endpoints",
        startup_s=60,
    ).text()
    made: dict[str, Any] = {}
    for kind, port, version, path, matcher in (
        ("Http", 8080, "HTTP1", "/ping", {"HttpCode": "200"}),
        ("Grpc", 8081, "GRPC", "/inference.GRPCInferenceService/ServerReady", {"GrpcCode": "0"}),
    ):
        made[f"{kind}Targets{number}"] = {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {
                "VpcId": VPC,
                "TargetType": "instance",
                "Protocol": "HTTP",
                "ProtocolVersion": version,
                "Port": port,
                "HealthCheckPath": path,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "Matcher": matcher,
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": "30"},
                ],
            },
        }
        made[f"{kind}Rule{number}"] = {
            "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
            "Properties": {
                "ListenerArn": {"Ref": kind},
                "Priority": 100 + number,
                "Conditions": [
                    {
                        "Field": "http-header",
                        "HttpHeaderConfig": {"HttpHeaderName": ENDPOINT_HEADER, "Values": [name]},
                    }
                ],
                "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": f"{kind}Targets{number}"}}],
            },
        }
    made[f"Template{number}"] = {
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateName": name,
            "LaunchTemplateData": {
                "ImageId": "ami-0c2023a1b2c3d4e5f",
                "InstanceType": "m5.large",
                "UserData": {"Fn::Base64": script},
            },
        },
    }
    made[f"Group{number}"] = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "CreationPolicy": {"ResourceSignal": {"Count": machines}},
        "Properties": {
            "AutoScalingGroupName": name,
            "MinSize": str(machines),
            "MaxSize": str(machines + 1),
            "VPCZoneIdentifier": ["subnet-1"],
            "HealthCheckType": "ELB",
            "TargetGroupARNs": [{"Ref": f"HttpTargets{number}"}, {"Ref": f"GrpcTargets{number}"}],
            "LaunchTemplate": {
                "LaunchTemplateId": {"Ref": f"Template{number}"},
                "Version": {"Fn::GetAtt": [f"Template{number}", "LatestVersionNumber"]},
            },
        },
    }
    return made


class Fleets:
    """A deployed stack of two versions: the second doubles, the third triples."""

    def __init__(self, hosting: Hosting) -> None:
        self.account = hosting.account
        self.elb = hosting.account.client("elbv2")
        self.asg = hosting.account.client("autoscaling")
        self.stack = f"fleets-{uuid.uuid4().hex[:8]}"
        self.resources = {
            **balancer(),
            **fleet(hosting, self.stack, 2, 2.0),
            **fleet(hosting, self.stack, 3, 3.0, machines=2),
        }
        outputs: dict[str, Any] = {
            name: {"Ref": name} for name in self.resources if "Targets" in name or name == "Grpc"
        }
        outputs["Address"] = {"Fn::GetAtt": ["Balancer", "DNSName"]}
        self.made = self.account.stack(self.stack, self.resources, outputs)
        assert self.made["StackStatus"] == "CREATE_COMPLETE"

    def health(self, group: str) -> list[str]:
        found = self.elb.describe_target_health(TargetGroupArn=self.made[group])
        return [item["TargetHealth"]["State"] for item in found["TargetHealthDescriptions"]]

    def until_healthy(self, group: str, count: int) -> None:
        until(lambda: self.health(group) == ["healthy"] * count)

    def rest(self, number: int | None) -> httpx.Response:
        x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
        headers = {ENDPOINT_HEADER: f"{self.stack}-{number}"} if number else {}
        return httpx.post(
            f"http://{self.made['Address']}/v2/models/digits/infer", json={"inputs": [x]}, headers=headers
        )

    def grpc(self, client: Any, number: int | None = None) -> tuple[str, list[float]]:
        x = triton.InferInput("x", [1, 2], "FP32")
        x.set_data_from_numpy(np.array([[1, 2]], np.float32))
        headers = {ENDPOINT_HEADER: f"{self.stack}-{number}"} if number else None
        answer = client.infer("digits", [x], headers=headers)
        return answer.get_response().model_version, answer.as_numpy("y").ravel().tolist()


@pytest.fixture(scope="module")
def fleets(hosting: Hosting) -> Iterator[Fleets]:
    made = Fleets(hosting)
    yield made
    made.account.client("cloudformation").delete_stack(StackName=made.stack)


def test_each_version_answers_by_its_header_and_nobody_without(fleets: Fleets) -> None:
    for number, expected in ((2, [2, 4]), (3, [3, 6])):
        answer = fleets.rest(number)
        assert answer.json()["outputs"][0]["data"] == expected
        assert answer.headers["x-switchyard-model"] == f"digits:{number}"
    nobody = fleets.rest(None)
    assert (nobody.status_code, nobody.json()) == (503, {"error": "nobody"})


def test_machines_are_listed_with_their_target_groups_and_become_healthy(fleets: Fleets) -> None:
    (group,) = fleets.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[f"{fleets.stack}-3"])[
        "AutoScalingGroups"
    ]
    assert len(group["Instances"]) == 2
    assert {item["InstanceType"] for item in group["Instances"]} == {"m5.large"}
    assert set(group["TargetGroupARNs"]) == {fleets.made["HttpTargets3"], fleets.made["GrpcTargets3"]}
    for targets in ("HttpTargets3", "GrpcTargets3"):
        fleets.until_healthy(targets, 2)


def test_grpc_is_carried_call_by_call_as_the_rules_say_at_that_moment(fleets: Fleets) -> None:
    """An unmodified client; its one connection outlives every change of the weights."""
    until(lambda: fleets.health("GrpcTargets2") == ["healthy"])
    until(lambda: fleets.health("GrpcTargets3") == ["healthy"] * 2)

    def forward(**weights: int) -> list[dict[str, Any]]:
        groups = [{"TargetGroupArn": fleets.made[name], "Weight": weight} for name, weight in weights.items()]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    with triton.InferenceServerClient(fleets.made["Address"]) as client:
        assert fleets.grpc(client, 2) == ("2", [2, 4])
        with pytest.raises(triton.InferenceServerException, match="503"):
            fleets.grpc(client)
        (rule,) = fleets.elb.create_rule(
            ListenerArn=fleets.made["Grpc"],
            Priority=50_000,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [PATH]}}],
            Actions=forward(GrpcTargets2=1),
        )["Rules"]
        with pytest.raises(ClientError, match="PriorityInUse"):
            fleets.elb.create_rule(
                ListenerArn=fleets.made["Grpc"],
                Priority=50_000,
                Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [PATH]}}],
                Actions=forward(GrpcTargets2=1),
            )
        assert fleets.grpc(client) == ("2", [2, 4])
        assert fleets.grpc(client, 3) == ("3", [3, 6]), "rules with a lower number come first"
        fleets.elb.modify_rule(RuleArn=rule["RuleArn"], Actions=forward(GrpcTargets2=0, GrpcTargets3=1))
        assert {fleets.grpc(client)[0] for _ in range(10)} == {"3"}
        (changed,) = fleets.elb.modify_rule(
            RuleArn=rule["RuleArn"], Actions=forward(GrpcTargets2=500, GrpcTargets3=500)
        )["Rules"]
        weights = [item["Weight"] for item in changed["Actions"][0]["ForwardConfig"]["TargetGroups"]]
        assert weights == [500, 500]
        heard: set[str] = set()
        deadline = time.monotonic() + 60
        while heard != {"2", "3"}:
            heard.add(fleets.grpc(client)[0])
            assert time.monotonic() < deadline
        with pytest.raises(ClientError, match="ResourceInUse"):
            fleets.elb.delete_target_group(TargetGroupArn=fleets.made["GrpcTargets2"])
        fleets.elb.delete_rule(RuleArn=rule["RuleArn"])


def test_large_messages_and_streams_go_through(fleets: Fleets) -> None:
    until(lambda: fleets.health("GrpcTargets2") == ["healthy"])
    rows = np.ones((200_000, 2), np.float32)
    x = triton.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows)
    headers = {ENDPOINT_HEADER: f"{fleets.stack}-2"}
    with triton.InferenceServerClient(fleets.made["Address"]) as client:
        answer = client.infer("digits", [x], headers=headers)
        assert float(answer.as_numpy("y").sum()) == 800_000.0
        heard: list[Any] = []
        client.start_stream(lambda result, error: heard.append(error or result), headers=headers)
        small = triton.InferInput("x", [1, 2], "FP32")
        small.set_data_from_numpy(np.array([[1, 2]], np.float32))
        for _ in range(3):
            client.async_stream_infer("digits", [small])
        until(lambda: len(heard) == 3)
        client.stop_stream()
    assert [item.as_numpy("y").ravel().tolist() for item in heard] == [[2, 4]] * 3


def test_a_container_that_dies_is_started_again_and_nobody_else_is_asked_meanwhile(fleets: Fleets) -> None:
    until(lambda: fleets.health("HttpTargets3") == ["healthy"] * 2)
    logs = fleets.account.client("logs")
    group = f"/switchyard/endpoints/{fleets.stack}-3"

    def starts() -> int:
        found = logs.filter_log_events(logGroupName=group)["events"]
        return sum('"event":"ready"' in item["message"] for item in found)

    until(lambda: starts() == 2)
    victim = int(
        next(
            pid.name
            for pid in Path("/proc").iterdir()
            if pid.name.isdigit() and _runs(pid, fleets.account.cloud.pid, "3")
        )
    )
    os.kill(victim, signal.SIGKILL)
    until(lambda: starts() == 3)
    until(lambda: fleets.health("HttpTargets3") == ["healthy"] * 2)
    assert fleets.rest(3).status_code == 200


def _runs(process: Path, parent: int, version: str) -> bool:
    """Whether a process is a container of this cloud that serves ``version``."""
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    named = {b"SWITCHYARD_VERSION=" + version.encode(), b"SWITCHYARD_HOST=127.0.0.1"}
    return int(fields[1]) == parent and named <= set(environment)


def test_a_group_grows_and_shrinks_as_it_is_told(fleets: Fleets) -> None:
    name = f"{fleets.stack}-2"
    for count in (2, 1):
        fleets.asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=count)
        fleets.until_healthy("HttpTargets2", count)
    assert fleets.rest(2).status_code == 200


def test_a_version_that_does_not_start_fails_its_stack_as_cloudformation_says(
    hosting: Hosting, fleets: Fleets
) -> None:
    """And leaves nothing behind."""
    name = f"{fleets.stack}-no"
    made = {**balancer(), **fleet(hosting, name, 4, 4.0, image="example.com/unknown:1")}
    ended = fleets.account.stack(name, made)
    assert ended["StackStatus"] == "ROLLBACK_COMPLETE"
    events = fleets.account.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert any("0 SUCCESS signal(s) out of 1" in event.get("ResourceStatusReason", "") for event in events)
    groups = fleets.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[f"{name}-4"])
    assert groups["AutoScalingGroups"] == []


def test_a_deleted_stack_takes_its_machines_along(hosting: Hosting, fleets: Fleets) -> None:
    name = f"{fleets.stack}-gone"
    made = fleets.account.stack(
        name,
        {**balancer(), **fleet(hosting, name, 5, 5.0)},
        {"Address": {"Fn::GetAtt": ["Balancer", "DNSName"]}},
    )
    assert (
        httpx.get(f"http://{made['Address']}/ping", headers={ENDPOINT_HEADER: f"{name}-5"}).status_code == 200
    )
    stack = fleets.account.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    fleets.account.client("cloudformation").delete_stack(StackName=name)
    assert fleets.account.stack_at_rest(stack)["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{made['Address']}/ping")
    until(
        lambda: (
            not any(
                _runs(pid, fleets.account.cloud.pid, "5")
                for pid in Path("/proc").iterdir()
                if pid.name.isdigit()
            )
        )
    )


def test_a_stock_cloud_makes_no_machines_and_forgets_weights(stock_account: Any) -> None:
    """When this fails, ministack has learned something: see what of ours can go."""
    asg, elb = stock_account.client("autoscaling"), stock_account.client("elbv2")
    resources = {
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {"AutoScalingGroupName": "none", "MinSize": "1", "MaxSize": "1"},
        }
    }
    assert stock_account.stack("fleets", resources)["StackStatus"] == "CREATE_COMPLETE"
    (group,) = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["none"])["AutoScalingGroups"]
    assert group["Instances"] == []
    (made,) = elb.create_load_balancer(Name="stock", Subnets=["subnet-1"])["LoadBalancers"]
    assert made["DNSName"].endswith("elb.amazonaws.com")
    groups = [
        elb.create_target_group(Name=f"stock-{n}", Protocol="HTTP", ProtocolVersion="GRPC", Port=1, VpcId=VPC)
        for n in (1, 2)
    ]
    arns = [item["TargetGroups"][0]["TargetGroupArn"] for item in groups]
    assert "ProtocolVersion" not in groups[0]["TargetGroups"][0]
    (listener,) = elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[
            {
                "Type": "forward",
                "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1} for arn in arns]},
            }
        ],
    )["Listeners"]
    assert "ForwardConfig" not in json.dumps(listener)
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        stock_account.stack("pools", {"Pool": {"Type": "AWS::AutoScaling::WarmPool", "Properties": {}}})
