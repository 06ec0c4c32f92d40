"""The laws of ``releases.ports.GrpcCalls``, held against every adapter.

Elastic Load Balancing is moto's here; that calls really go where they are led is shown in ``tests/end_to_end``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from model_store.contract.endpoints import ENDPOINT_HEADER, FIRST_RULE, balancer_name
from releases.adapters.elb import ElbGrpcCalls
from releases.adapters.memory_grpc_calls import MemoryGrpcCalls
from releases.errors import UnprovisionedError
from releases.following import agree
from releases.ports import GrpcCalls

ONE, TWO, THREE = (f"switchyard-test-clip-{version}-abababab-0123abcd" for version in (1, 2, 3))


class Balancers:
    """What deployed stacks leave: ``clip`` has gRPC, ``bert`` has a load balancer without, ``digits`` none."""

    def __init__(self, elbv2: Any) -> None:
        self.elbv2 = elbv2
        ec2 = boto3.client("ec2", region_name="eu-west-1")
        network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self._network = network
        self._subnets = [
            ec2.create_subnet(VpcId=network, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        for model, protocols in (("clip", ("HTTP", "HTTPS")), ("bert", ("HTTP",))):
            (made,) = elbv2.create_load_balancer(Name=balancer_name("test", model), Subnets=self._subnets)[
                "LoadBalancers"
            ]
            for protocol in protocols:
                self._listener(made["LoadBalancerArn"], protocol)
        self.listener = self._grpc()
        for number, name in enumerate((ONE, TWO, THREE)):
            self._endpoint(name, number)

    def _listener(self, balancer: str, protocol: str) -> None:
        fixed = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "nobody"}
        self.elbv2.create_listener(
            LoadBalancerArn=balancer,
            Protocol=protocol,
            Port=443 if protocol == "HTTPS" else 80,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
            **({"Certificates": [{"CertificateArn": self._certificate()}]} if protocol == "HTTPS" else {}),
        )

    def _certificate(self) -> str:
        acm = boto3.client("acm", region_name="eu-west-1")
        return str(acm.request_certificate(DomainName="clip.example")["CertificateArn"])

    def _grpc(self) -> str:
        (found,) = self.elbv2.describe_load_balancers(Names=[balancer_name("test", "clip")])["LoadBalancers"]
        listeners = self.elbv2.describe_listeners(LoadBalancerArn=found["LoadBalancerArn"])["Listeners"]
        return next(str(item["ListenerArn"]) for item in listeners if item["Protocol"] == "HTTPS")

    def _endpoint(self, name: str, number: int) -> None:
        (group,) = self.elbv2.create_target_group(
            Name=f"targets-{number}",
            Protocol="HTTP",
            ProtocolVersion="GRPC",
            Port=8081,
            VpcId=self._network,
        )["TargetGroups"]
        header = {"HttpHeaderName": ENDPOINT_HEADER, "Values": [name]}
        self.elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=FIRST_RULE + number,
            Conditions=[{"Field": "http-header", "HttpHeaderConfig": header}],
            Actions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
        )

    def rules(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        return found


@pytest.fixture
def balancers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Balancers]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Balancers(boto3.client("elbv2", region_name="eu-west-1"))


def memory() -> GrpcCalls:
    calls = MemoryGrpcCalls()
    calls.carry("clip", ONE, TWO, THREE)
    return calls


def elastic(balancers: Balancers) -> GrpcCalls:
    return ElbGrpcCalls("test", lambda _: balancers.elbv2)


@pytest.fixture(params=["memory", "elb"])
def calls(request: pytest.FixtureRequest) -> GrpcCalls:
    return memory() if request.param == "memory" else elastic(request.getfixturevalue("balancers"))


def led(calls: GrpcCalls, alias: str = "live") -> dict[str, float]:
    found = calls.led("clip", alias)
    assert found is not None
    return found


def test_nobody_is_led_to_before_the_first_release(calls: GrpcCalls) -> None:
    assert led(calls) == {}


def test_what_is_led_can_be_read_back(calls: GrpcCalls) -> None:
    calls.lead("clip", "live", {ONE: 1.0})
    assert led(calls) == {ONE: 1.0}
    calls.lead("clip", "live", {ONE: 0.95, TWO: 0.05})
    assert agree(led(calls), {ONE: 0.95, TWO: 0.05})
    assert sum(led(calls).values()) == pytest.approx(1)
    calls.lead("clip", "live", {TWO: 1.0})
    assert led(calls) == {TWO: 1.0}


def test_leading_twice_is_leading_once(calls: GrpcCalls) -> None:
    for _ in range(2):
        calls.lead("clip", "live", {TWO: 1.0})
    assert led(calls) == {TWO: 1.0}
    for _ in range(2):
        calls.lead("clip", "live", {})
    assert led(calls) == {}


def test_the_smallest_share_is_one(calls: GrpcCalls) -> None:
    calls.lead("clip", "live", {ONE: 0.9999, TWO: 0.0001})
    assert set(led(calls)) == {ONE, TWO}


def test_aliases_do_not_touch_each_other(calls: GrpcCalls) -> None:
    for alias, name in (("live", ONE), ("candidate", TWO), ("shadowed", THREE)):
        calls.lead("clip", alias, {name: 1.0})
    calls.lead("clip", "candidate", {})
    assert (led(calls), led(calls, "candidate"), led(calls, "shadowed")) == ({ONE: 1.0}, {}, {THREE: 1.0})


def test_an_endpoint_that_nobody_knows_is_refused_and_changes_nothing(calls: GrpcCalls) -> None:
    calls.lead("clip", "live", {ONE: 1.0})
    with pytest.raises(UnprovisionedError, match="leads no gRPC call to the endpoint `switchyard-gone`"):
        calls.lead("clip", "live", {TWO: 0.5, "switchyard-gone": 0.5})
    assert led(calls) == {ONE: 1.0}


@pytest.mark.parametrize("model", ["bert", "digits"])
def test_a_model_without_grpc_is_none(calls: GrpcCalls, model: str) -> None:
    calls.lead(model, "live", {ONE: 1.0})
    assert calls.led(model, "live") is None


def test_the_default_alias_comes_after_every_endpoint_and_others_before(balancers: Balancers) -> None:
    """Whoever names an endpoint means it, whatever is live; and an alias by its name is found first."""
    calls = elastic(balancers)
    for alias in ("live", "candidate"):
        calls.lead("clip", alias, {ONE: 1.0})
    places = [rule["Priority"] for rule in balancers.rules()]
    assert sorted(places) == sorted(["1", "100", "101", "102", "50000", "default"])


def test_the_stacks_own_rules_and_the_default_action_stay_as_they_are(balancers: Balancers) -> None:
    """Law 4, the other way round: the controller changes nothing that a template holds."""

    def owned() -> list[dict[str, Any]]:
        return [rule for rule in balancers.rules() if rule["Priority"] in ("100", "101", "102", "default")]

    before = owned()
    calls = elastic(balancers)
    for shares in ({ONE: 1.0}, {TWO: 0.5, THREE: 0.5}, {}):
        calls.lead("clip", "live", shares)
    assert owned() == before
