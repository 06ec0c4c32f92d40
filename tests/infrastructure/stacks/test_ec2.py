"""``infra.stacks.ec2``: a fleet for each version, closed to everybody but who has to reach it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest

from catalog import Catalog
from infra.bundles import Tree
from infra.errors import PreflightError
from infra.stacks.ec2 import Ec2Stack, rule_of
from model_store.contract.endpoints import (
    ENDPOINT_HEADER,
    FIRST_RULE,
    LAST_RULE,
    balancer_name,
    endpoint_name,
)
from model_store.contract.keys import served_prefix
from tests.infrastructure.conftest import LOCK, text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

CLIP = "Model-clip"
PER_VERSION = (
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::EC2::LaunchTemplate",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
)


def configuration(stage: Deployed) -> str:
    base = stage.only(CLIP, "Custom::SwitchyardModel")["Properties"]["Base"]
    return str(base["Environment"]["SWITCHYARD_ENDPOINT_CONFIGURATION"])


def name(stage: Deployed) -> str:
    locked = LOCK.version(stage.stage, "clip", 7)
    return endpoint_name(stage.stage, "clip", 7, locked.digest, configuration(stage))


def machine(stage: Deployed) -> dict[str, Any]:
    template = stage.only(CLIP, "AWS::EC2::LaunchTemplate")["Properties"]
    return dict(template["LaunchTemplateData"])


def script(stage: Deployed) -> str:
    return text_of(machine(stage)["UserData"]["Fn::Base64"])


def test_a_version_has_machines_behind_a_rule_of_its_own(prod: Deployed) -> None:
    assert prod.only(CLIP, "AWS::AutoScaling::AutoScalingGroup")["Properties"][
        "AutoScalingGroupName"
    ] == name(prod)
    rules = prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    for rule in rules:
        (condition,) = rule["Properties"]["Conditions"]
        assert condition["HttpHeaderConfig"] == {
            "HttpHeaderName": ENDPOINT_HEADER,
            "Values": [name(prod)],
        }
    assert len({text_of(rule["Properties"]["Actions"][0]["TargetGroupArn"]) for rule in rules}) == 2


def test_the_gateway_stands_in_the_network_and_knows_the_address(stage: Deployed) -> None:
    gateway = stage.only(CLIP, "AWS::Lambda::Function")["Properties"]
    assert len(gateway["VpcConfig"]["SubnetIds"]) == 2
    variables = gateway["Environment"]["Variables"]
    assert variables["SWITCHYARD_TARGET"] == "ec2"
    assert text_of(variables["SWITCHYARD_ENDPOINT_URL"]).startswith("http://<BalancerLoadBalancer")
    base = stage.only(CLIP, "Custom::SwitchyardModel")["Properties"]["Base"]
    assert base["Environment"] == variables


def test_only_the_gateway_and_named_networks_reach_the_balancer_and_only_it_the_machines(
    prod: Deployed,
) -> None:
    groups = {
        found["Properties"]["GroupDescription"]: found["Properties"]
        for found in prod.resources(CLIP, "AWS::EC2::SecurityGroup").values()
    }
    into = {
        description: {
            (rule["FromPort"], text_of(rule.get("SourceSecurityGroupId", rule.get("CidrIp"))))
            for rule in group["SecurityGroupIngress"]
        }
        for description, group in groups.items()
    }
    ids = {
        found["Properties"]["GroupDescription"]: id_
        for id_, found in prod.resources(CLIP, "AWS::EC2::SecurityGroup").items()
    }
    gateway, balancer = (f"<{ids[f'The {who} of clip']}.GroupId>" for who in ("gateway", "load balancer"))
    assert into == {
        "The gateway of clip": set(),
        "The load balancer of clip": {(80, gateway), (443, "10.0.0.0/16")},
        "The machines of clip": {(8080, balancer), (8081, balancer)},
    }
    assert prod.only(CLIP, "AWS::ElasticLoadBalancingV2::LoadBalancer")["Properties"]["Scheme"] == "internal"


def test_a_request_that_names_no_endpoint_reaches_nobody(stage: Deployed) -> None:
    """Law 4 for gRPC: the template says nothing about which version is live."""
    for listener in stage.resources(CLIP, "AWS::ElasticLoadBalancingV2::Listener").values():
        (action,) = listener["Properties"]["DefaultActions"]
        assert action["FixedResponseConfig"]["StatusCode"] == "503"


def test_no_template_holds_the_rule_of_what_is_live(prod: Deployed) -> None:
    """Law 4: its place is free, so no deploy, no rollback and no drift that is reverted can move it."""
    rules = prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    assert all(FIRST_RULE <= rule["Properties"]["Priority"] < LAST_RULE for rule in rules)
    assert prod.only(CLIP, "AWS::ElasticLoadBalancingV2::LoadBalancer")["Properties"][
        "Name"
    ] == balancer_name("prod", "clip")


def test_a_listener_goes_before_the_target_groups_that_its_rules_lead_to(prod: Deployed) -> None:
    """The controller's rule would keep them from being deleted."""
    groups = {
        id_
        for id_, found in prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::TargetGroup").items()
        if found["Properties"]["ProtocolVersion"] == "GRPC"
    }
    (listener,) = (
        found
        for found in prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::Listener").values()
        if found["Properties"]["Protocol"] == "HTTPS"
    )
    waits = listener["DependsOn"]
    assert groups
    assert groups <= {waits} if isinstance(waits, str) else groups <= set(waits)


def test_grpc_is_carried_over_tls_where_there_is_a_certificate_and_nowhere_else(
    prod: Deployed, local: Deployed
) -> None:
    listeners = [
        found["Properties"]
        for found in prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::Listener").values()
    ]
    assert {(found["Port"], found["Protocol"]) for found in listeners} == {(80, "HTTP"), (443, "HTTPS")}
    versions = {
        found["Properties"]["ProtocolVersion"]: found["Properties"]
        for found in prod.resources(CLIP, "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    }
    assert (versions["GRPC"]["Port"], versions["GRPC"]["Matcher"]) == (8081, {"GrpcCode": "0"})
    assert (versions["HTTP1"]["HealthCheckPath"], versions["HTTP1"]["Port"]) == ("/ping", 8080)
    assert len(local.resources(CLIP, "AWS::ElasticLoadBalancingV2::Listener")) == 1
    assert len(local.resources(CLIP, "AWS::ElasticLoadBalancingV2::TargetGroup")) == 1


def test_a_machine_is_encrypted_has_no_key_pair_and_tells_its_secrets_to_no_container(
    stage: Deployed,
) -> None:
    data = machine(stage)
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpPutResponseHopLimit": 1,
        "HttpTokens": "required",
    }
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert "KeyName" not in data
    parameter = text_of(data["ImageId"]).strip("<>")
    default = stage.templates[CLIP]["Parameters"][parameter]["Default"]
    assert default.startswith("/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu")


def test_a_machine_s_role_may_what_its_script_does_and_be_looked_into(prod: Deployed) -> None:
    own = {found["Sid"]: found for found in prod.statements(CLIP) if "Sid" in found}
    (read,) = [own["ReadOwnFolders"]["Resource"]]
    assert text_of(read).endswith(f">/{served_prefix('clip', 7)}*")
    assert "ssmmessages:OpenDataChannel" in own["OpenSessions"]["Action"]
    assert own["CountMachines"]["Condition"] == {
        "StringEquals": {"cloudwatch:namespace": "Switchyard/prod/Endpoints"}
    }
    assert text_of(own["SayHowItWent"]["Resource"]).endswith(":stack/Switchyard-prod-Model-clip/*")


def test_a_version_is_there_when_its_machines_say_that_it_answers(prod: Deployed) -> None:
    """Law 5: a version that does not start fails the deploy before anything is rolled out on it."""
    ((id_, group),) = prod.resources(CLIP, "AWS::AutoScaling::AutoScalingGroup").items()
    assert group["CreationPolicy"]["ResourceSignal"]["Count"] == 2
    assert f"--logical-resource-id {id_} " in script(prod)
    recorded = prod.only(CLIP, "Custom::SwitchyardModel")
    assert id_ in recorded["DependsOn"]
    assert id_ in prod.only(CLIP, "Custom::SwitchyardRollout")["DependsOn"]


def test_another_machine_image_is_rolled_in_with_new_machines_first(prod: Deployed) -> None:
    refresh = prod.only(CLIP, "AWS::AutoScaling::AutoScalingGroup")["UpdatePolicy"][
        "AutoScalingInstanceRefresh"
    ]
    assert refresh["Strategy"] == "Rolling"
    assert refresh["Preferences"]["MinHealthyPercentage"] == 100


def test_machines_follow_requests_and_gpu_use_and_a_warm_pool_stands_by(prod: Deployed) -> None:
    group = prod.only(CLIP, "AWS::AutoScaling::AutoScalingGroup")["Properties"]
    assert (group["MinSize"], group["MaxSize"]) == ("2", "6")
    assert group["HealthCheckType"] == "ELB"
    policies = [
        found["Properties"]["TargetTrackingConfiguration"]
        for found in prod.resources(CLIP, "AWS::AutoScaling::ScalingPolicy").values()
    ]
    targets = {policy["TargetValue"] for policy in policies}
    assert targets == {900, 70}
    assert prod.only(CLIP, "AWS::AutoScaling::WarmPool")["Properties"]["MinSize"] == 1


def test_a_machine_starts_the_container_it_was_told_to(prod: Deployed) -> None:
    said = script(prod)
    assert "--gpus all" in said
    assert "--env SWITCHYARD_VERSION=7" in said
    assert f"--env SWITCHYARD_DIGEST={LOCK.version('prod', 'clip', 7).digest}" in said
    assert "--env SWITCHYARD_DEVICE=cuda" in said
    assert f"/{served_prefix('clip', 7)} /opt/ml/model" in said
    assert "docker login --username AWS --password-stdin <AWS::AccountId>.dkr.ecr." in said


@pytest.fixture(scope="module")
def synth(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory, node_of_the_project: None) -> Any:
    """Synthesise ``clip`` with something changed, and return the resources by their type. Once for each change."""
    tmp_path = tmp_path_factory.mktemp("synth")
    made: dict[str, Any] = {}
    for folder in ("code", "layer", "endpoint/functions/endpoint"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "layer.json").write_text('{"target": "local"}')
    (tmp_path / "endpoint" / "functions" / "endpoint" / "Dockerfile").write_text("FROM scratch\n")

    def synth(stage: dict[str, Any] | None = None, **changes: object) -> dict[str, dict[str, Any]]:
        asked = repr((stage, changes))
        if asked in made:
            return dict(made[asked])
        app = cdk.App()
        stack = Ec2Stack(
            app,
            stage=catalog.stage("prod").model_copy(update=stage or {}),
            model=catalog.models_for("prod")["clip"].model_copy(update=changes),
            code=Tree(tmp_path / "code", "c0" * 32, {}),
            runtime_layer=Tree(tmp_path / "layer", "1a" * 32, {}),
            endpoint_code=Tree(tmp_path / "endpoint", "e0" * 32, {}),
            lock=LOCK,
        )
        found: dict[str, dict[str, Any]] = {}
        for id_, resource in app.synth().get_stack_by_name(stack.stack_name).template["Resources"].items():
            found.setdefault(resource["Type"], {})[id_] = resource
        made[asked] = found
        return dict(found)

    return synth


@pytest.mark.parametrize(
    "change",
    [{"min_instances": 1}, {"max_instances": 9}, {"warm_instances": 3}, {"keep_warm": "1h"}],
    ids=lambda change: next(iter(change)),
)
def test_numbers_of_machines_change_in_place(synth: Any, change: dict[str, object]) -> None:
    before, after = synth(), synth(**change)
    for type_ in PER_VERSION:
        assert set(after[type_]) == set(before[type_])
    assert after["AWS::EC2::LaunchTemplate"] == before["AWS::EC2::LaunchTemplate"]


@pytest.mark.parametrize(
    "change", [{"instance_type": "g6.xlarge"}, {"spot": True, "warm_instances": 0}, {"max_batch": 8}]
)
def test_what_a_fleet_is_made_with_makes_another_fleet(synth: Any, change: dict[str, object]) -> None:
    """ADR 29."""
    before, after = synth(), synth(**change)
    for type_ in PER_VERSION:
        assert not set(after[type_]) & set(before[type_])


def test_spot_machines_come_above_a_floor_that_is_bought(synth: Any) -> None:
    found = synth(spot=True, warm_instances=0)
    (group,) = found["AWS::AutoScaling::AutoScalingGroup"].values()
    distribution = group["Properties"]["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution["OnDemandBaseCapacity"] == 2
    assert distribution["OnDemandPercentageAboveBaseCapacity"] == 0
    assert "LaunchTemplate" not in group["Properties"]
    assert "AWS::AutoScaling::WarmPool" not in found


def test_a_processor_s_machine_is_amazon_linux_without_gpu_or_its_metrics(synth: Any) -> None:
    found = synth(instance_type="c7g.xlarge")
    (template,) = found["AWS::EC2::LaunchTemplate"].values()
    written = json.dumps(template)
    assert "al2023amikerneldefaultarm64" in written
    assert "--gpus" not in written
    assert "nvidia" not in written
    assert len(found["AWS::AutoScaling::ScalingPolicy"]) == 1


@pytest.mark.parametrize("stage", [{"vpc": None}, {"vpc_subnets": ("subnet-0123456789abcdef0",)}])
def test_a_stage_without_a_network_is_refused_at_synth(synth: Any, stage: dict[str, Any]) -> None:
    """Law 8."""
    with pytest.raises(PreflightError, match="names no network for its machines") as caught:
        synth(stage)
    assert "two `vpc_subnets`" in str(caught.value.hint)


def test_two_configurations_of_a_version_have_rules_side_by_side() -> None:
    places = {rule_of(f"switchyard-prod-clip-7-01234567-0000000{number}") for number in range(10)}
    assert len(places) == 10
    assert all(FIRST_RULE <= place < LAST_RULE for place in places)
