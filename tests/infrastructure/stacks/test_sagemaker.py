"""``infra.stacks.sagemaker``: an endpoint for each version, made once and never changed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest

from catalog import Catalog, load_catalog, load_lock, lock_path
from functions.endpoint import settings
from infra import checks
from infra.bundles import Tree
from infra.stacks.heavy import repository_of
from infra.stacks.sagemaker import SageMakerStack
from model_store.contract import endpoints
from model_store.contract.endpoints import endpoint_name
from model_store.contract.errors import CatalogError
from model_store.contract.keys import served_prefix
from tests.infrastructure.conftest import LOCK, ROOT, deployed_in, text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

BERT = "Model-bert"
MADE_ONCE = ("AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint")


def configuration(stage: Deployed) -> str:
    base = stage.only(BERT, "Custom::SwitchyardModel")["Properties"]["Base"]
    return str(base["Environment"]["SWITCHYARD_ENDPOINT_CONFIGURATION"])


def names(stage: Deployed) -> set[str]:
    return {
        endpoint_name(stage.stage, "bert", locked.ref.version, locked.digest, configuration(stage))
        for locked in LOCK.stages[stage.stage]["bert"].values()
    }


def test_every_listed_version_has_model_configuration_and_endpoint_of_its_own_name(stage: Deployed) -> None:
    """ADR 3: the name carries version and digest."""
    for type_, key in zip(MADE_ONCE, ("ModelName", "EndpointConfigName", "EndpointName"), strict=True):
        found = [resource["Properties"] for resource in stage.resources(BERT, type_).values()]
        assert {properties[key] for properties in found} == names(stage)
    for endpoint in stage.resources(BERT, "AWS::SageMaker::Endpoint").values():
        assert endpoint["Properties"]["EndpointConfigName"] == endpoint["Properties"]["EndpointName"]


def test_a_container_is_told_exactly_what_was_locked_and_mounts_the_folder_of_it(prod: Deployed) -> None:
    """Law 2."""
    for model in prod.resources(BERT, "AWS::SageMaker::Model").values():
        container = model["Properties"]["PrimaryContainer"]
        told = container["Environment"]
        locked = LOCK.version("prod", "bert", int(told["SWITCHYARD_VERSION"]))
        assert told == {
            "SWITCHYARD_MODEL": "bert",
            "SWITCHYARD_VERSION": str(locked.ref.version),
            "SWITCHYARD_DIGEST": str(locked.digest),
            "SWITCHYARD_MAX_BATCH": "16",
            "SWITCHYARD_GRPC_PORT": "off",
            "SWITCHYARD_DEVICE": "cuda",
        }
        source = container["ModelDataSource"]["S3DataSource"]
        assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
        uri = text_of(source["S3Uri"])
        assert uri.startswith("s3://<SsmParameterValueswitchyardprodbucket")
        assert uri.endswith(f">/{served_prefix('bert', locked.ref.version)}")


def test_the_container_knows_the_settings_that_the_stack_decides() -> None:
    assert endpoints.GRPC_PORT_VARIABLE == settings.GRPC_PORT
    assert endpoints.DEVICE_VARIABLE == settings.DEVICE
    assert str(settings.Settings().model_dir) == endpoints.MODEL_FOLDER
    assert settings.Settings().port == endpoints.CONTAINER_PORT


def test_a_container_has_no_network_and_its_machine_stands_in_the_stage_s_own(prod: Deployed) -> None:
    for model in prod.resources(BERT, "AWS::SageMaker::Model").values():
        assert model["Properties"]["EnableNetworkIsolation"] is True
        assert len(model["Properties"]["VpcConfig"]["Subnets"]) == 2


def test_the_image_is_built_for_the_machine_or_the_one_that_the_stage_names(
    prod: Deployed, local: Deployed
) -> None:
    built, named = (
        next(iter(stage.resources(BERT, "AWS::SageMaker::Model").values()))["Properties"]["PrimaryContainer"][
            "Image"
        ]
        for stage in (prod, local)
    )
    assert "container-assets" in built["Fn::Sub"]
    assert named == "switchyard-endpoint:local"
    assets = next(prod.out.glob("*Model-bert.assets.json")).read_text()
    assert '"DEVICE": "cuda"' in assets
    assert '"platform": "linux/amd64"' in assets
    assert '"dockerImages": {}' in next(local.out.glob("*Model-bert.assets.json")).read_text()


def test_an_endpoint_is_ready_before_the_base_that_names_it_is_recorded_and_rolled_out(
    stage: Deployed,
) -> None:
    """Law 5. And law 10: CloudFormation deletes what the template lost after all of this succeeded."""
    made = set(stage.resources(BERT, "AWS::SageMaker::Endpoint"))
    (recorded,) = stage.resources(BERT, "Custom::SwitchyardModel")
    assert made <= set(stage.resources(BERT, "Custom::SwitchyardModel")[recorded]["DependsOn"])
    rollout = stage.only(BERT, "Custom::SwitchyardRollout")
    assert {recorded, *made} <= set(rollout["DependsOn"])
    (model,) = rollout["Properties"]["Models"]
    assert (model["Model"], model["Versions"]) == ("bert", [3, 4] if stage.stage == "prod" else [1])


def test_a_model_is_made_after_its_folder_was_laid_out_as_locked(prod: Deployed) -> None:
    folders = prod.resources(BERT, "Custom::SwitchyardFolder")
    for id_, folder in folders.items():
        properties = folder["Properties"]
        version = int(properties["Version"])
        assert properties["Digest"] == LOCK.version("prod", "bert", version).digest.hex
        (model,) = (
            resource
            for resource in prod.resources(BERT, "AWS::SageMaker::Model").values()
            if resource["Properties"]["ModelName"].startswith(f"switchyard-prod-bert-{version}-")
        )
        assert id_ in model["DependsOn"]


def test_machines_follow_the_requests_between_a_floor_and_a_ceiling(prod: Deployed) -> None:
    targets = [
        found["Properties"]
        for found in prod.resources(BERT, "AWS::ApplicationAutoScaling::ScalableTarget").values()
    ]
    assert {found["ResourceId"] for found in targets} == {
        f"endpoint/{name}/variant/all" for name in names(prod)
    }
    assert {(found["MinCapacity"], found["MaxCapacity"]) for found in targets} == {(1, 4)}
    policies = prod.resources(BERT, "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    for policy in policies:
        tracking = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        assert tracking["TargetValue"] == 600
        metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
        assert metric == "SageMakerVariantInvocationsPerInstance"
    assert len(policies) == 2


def test_the_gateway_may_ask_the_endpoints_of_its_own_listed_versions_only(prod: Deployed) -> None:
    (asks,) = (found for found in prod.statements(BERT) if found.get("Sid") == "AskEndpoints")
    assert set(asks["Action"]) == {"sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"}
    asked = {text_of(resource).split(":endpoint/")[1] for resource in asks["Resource"]}
    # Any configuration: while the successor is made, the gateway still asks the one that serves.
    assert asked == {name.removesuffix(configuration(prod)) + "*" for name in names(prod)}


def test_an_adopted_endpoint_may_be_asked_and_looked_at_by_name_and_nothing_else(prod: Deployed) -> None:
    """Nobody here may change or delete what was there before."""
    (asks,) = (found for found in prod.statements(BERT) if found.get("Sid") == "AskAdoptedEndpoints")
    assert set(asks["Action"]) == {"sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"}
    assert text_of(asks["Resource"]).endswith(":endpoint/their-bert")
    for concern, type_ in (("Operations", "AWS::IAM::Policy"), ("Roles", "AWS::IAM::ManagedPolicy")):
        looking = [
            action
            for found in prod.statements(concern, type_)
            if any(text_of(name).endswith(":endpoint/their-bert") for name in _listed(found["Resource"]))
            for action in found["Action"]
        ]
        assert set(looking) == {"sagemaker:DescribeEndpoint"}
    guard = prod.only("Operations", "Custom::SwitchyardGuard")["Properties"]["Models"]
    assert {model["Model"]: model.get("Adopted") for model in guard}["bert"] == ["their-bert"]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_execution_role_reads_the_listed_folders_and_writes_its_own_logs(prod: Deployed) -> None:
    own = {found["Sid"]: found for found in prod.statements(BERT) if "Sid" in found}
    read = {text_of(resource).split(">/", 1)[1] for resource in own["ReadOwnFolders"]["Resource"]}
    assert own["ReadOwnFolders"]["Action"] == ["s3:GetObject"]
    assert read == {f"{served_prefix('bert', version)}*" for version in (3, 4)}
    assert own["UseTheKeyThroughS3"]["Action"] == ["kms:Decrypt"]
    written = [text_of(resource) for resource in own["WriteLogs"]["Resource"]]
    assert all(":log-group:/aws/sagemaker/Endpoints/switchyard-prod-bert-" in group for group in written)
    assert own["CountMachines"]["Condition"]["StringLike"]["cloudwatch:namespace"]
    actions = {
        action
        for found in prod.statements(BERT)
        if found.get("Sid") != "KeepRequests"  # of the gateway, into another bucket
        for action in found["Action"]
    }
    assert not {action for action in actions if action.startswith(("s3:Put", "s3:Delete", "sagemaker:C"))}


def test_a_stage_without_a_network_of_its_own_lets_nobody_make_interfaces(local: Deployed) -> None:
    assert "JoinNetwork" not in {found.get("Sid") for found in local.statements(BERT)}
    assert all(
        "VpcConfig" not in model["Properties"]
        for model in local.resources(BERT, "AWS::SageMaker::Model").values()
    )


def test_logs_are_forgotten_and_alarms_tell_the_topic(prod: Deployed) -> None:
    groups = {
        group["Properties"]["LogGroupName"]: group["Properties"]["RetentionInDays"]
        for group in prod.resources(BERT, "AWS::Logs::LogGroup").values()
    }
    assert {f"/aws/sagemaker/Endpoints/{name}" for name in names(prod)} < set(groups)
    assert set(groups.values()) == {90}
    alarms = [
        found["Properties"]
        for found in prod.resources(BERT, "AWS::CloudWatch::Alarm").values()
        if "/Endpoint/" in found["Properties"]["AlarmName"]
    ]
    assert len(alarms) == 6
    for alarm in alarms:
        (topic,) = alarm["AlarmActions"]
        assert text_of(topic).endswith(":switchyard-prod-Alarms")
        # The topic lets alarms below this prefix speak, and no release has an alarm of such a name.
        assert re.match("switchyard/prod/bert/Endpoint/[34]-[0-9a-f]{8}/[a-z]+", alarm["AlarmName"])


@pytest.fixture(scope="module")
def synth(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory, node_of_the_project: None) -> Any:
    """Synthesise ``bert`` with something changed, and return the resources by their type. Once for each change."""
    tmp_path = tmp_path_factory.mktemp("synth")
    made: dict[str, Any] = {}
    for name in ("code", "layer", "endpoint/functions/endpoint"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "layer.json").write_text('{"target": "local"}')
    (tmp_path / "endpoint" / "functions" / "endpoint" / "Dockerfile").write_text("FROM scratch\n")

    def synth(
        *, endpoint: str = "e0", code: str = "c0", stage: dict[str, Any] | None = None, **changes: object
    ) -> dict[str, dict[str, Any]]:
        asked = repr((endpoint, code, stage, changes))
        if asked in made:
            return dict(made[asked])
        app = cdk.App()
        stack = SageMakerStack(
            app,
            stage=catalog.stage("prod").model_copy(update=stage or {}),
            model=catalog.models_for("prod")["bert"].model_copy(update=changes),
            code=Tree(tmp_path / "code", code * 32, {}),
            runtime_layer=Tree(tmp_path / "layer", "1a" * 32, {}),
            endpoint_code=Tree(tmp_path / "endpoint", endpoint * 32, {}),
            lock=LOCK,
        )
        template = app.synth().get_stack_by_name(stack.stack_name).template
        made[asked] = {
            type_: {
                id_: found["Properties"]
                for id_, found in template["Resources"].items()
                if found["Type"] == type_
            }
            for type_ in (*MADE_ONCE, "Custom::SwitchyardModel")
        }
        return dict(made[asked])

    return synth


@pytest.mark.parametrize(
    "change",
    [
        {"min_instances": 2},
        {"max_instances": 9},
        {"target_invocations_per_instance": 60},
        {"keep_warm": "1h"},
        {"memory_mb": 512},
        {"timeout_s": 9},
        {"aliases": ("live", "candidate")},
        {"code": "c1"},
        {"stage": {"log_retention_days": 7}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_change_on_a_model_changes_no_endpoint(synth: Any, change: dict[str, object]) -> None:
    """ADR 3: an endpoint is never updated. CloudFormation updates what keeps its id and differs."""
    before, after = synth(), synth(**change)
    for type_ in MADE_ONCE:
        assert after[type_] == before[type_]


@pytest.mark.parametrize(("floor", "told"), [(1, None), (2, "2")])
def test_a_gateway_knows_how_many_machines_a_release_waits_for(
    synth: Any, floor: int, told: str | None
) -> None:
    (model,) = synth(min_instances=floor)["Custom::SwitchyardModel"].values()
    assert model["Base"]["Environment"].get("SWITCHYARD_ENDPOINT_FLOOR") == told


def test_the_rollout_comes_after_what_lifts_an_endpoint_to_its_floor(prod: Deployed) -> None:
    """Else it would wait for machines that nobody has been told to add."""
    rollout = prod.only(BERT, "Custom::SwitchyardRollout")
    targets = prod.resources(BERT, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert targets
    assert set(targets) <= set(rollout["DependsOn"])


@pytest.mark.parametrize(
    "change",
    [
        {"instance_type": "ml.g5.2xlarge"},
        {"max_batch": 8},
        {"tracing": True},
        {"explain": True},
        {"endpoint": "e1"},
        {"stage": {"endpoint_image": "registry/endpoint:2"}},
        {"stage": {"vpc_subnets": (), "vpc_security_groups": ()}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_an_endpoint_is_made_with_makes_another_endpoint_and_another_base(
    synth: Any, change: dict[str, object]
) -> None:
    """Law 4: the live version is released on the new endpoint as on any changed base."""
    before, after = synth(), synth(**change)
    for type_ in MADE_ONCE:
        assert not set(after[type_]) & set(before[type_])
    (old,), (new,) = (found["Custom::SwitchyardModel"].values() for found in (before, after))
    assert new["Fingerprint"] != old["Fingerprint"]


def test_the_container_of_a_traced_model_is_told_and_another_s_image_is_not(synth: Any) -> None:
    def told(**changes: object) -> set[str | None]:
        models = synth(**changes)["AWS::SageMaker::Model"].values()
        return {model["PrimaryContainer"]["Environment"].get("SWITCHYARD_TRACING") for model in models}

    assert told(tracing=True) == {"on"}
    assert told() == {None}
    assert told(tracing=True, image="registry/own:1") == {None}


def test_the_container_and_the_gateway_of_a_model_that_explains_are_told(synth: Any) -> None:
    def told(**changes: object) -> tuple[set[str | None], bool]:
        found = synth(**changes)
        containers = {
            one["PrimaryContainer"]["Environment"].get("SWITCHYARD_EXPLAIN")
            for one in found["AWS::SageMaker::Model"].values()
        }
        (release,) = found["Custom::SwitchyardModel"].values()
        return containers, "SWITCHYARD_EXPLAIN" in json.dumps(release)

    assert told(explain=True) == ({"1"}, True)
    assert told() == ({None}, False)


def test_another_version_leaves_the_endpoints_that_are_there_and_the_base_alone(synth: Any) -> None:
    one, two = synth(versions=(3,)), synth(versions=(3, 4))
    for type_ in MADE_ONCE:
        assert two[type_].items() > one[type_].items()
    (old,), (new,) = (found["Custom::SwitchyardModel"].values() for found in (one, two))
    assert new["Fingerprint"] == old["Fingerprint"]


def test_a_model_without_versions_has_a_gateway_and_no_endpoint(synth: Any) -> None:
    found = synth(versions=())
    assert not any(found[type_] for type_ in MADE_ONCE)
    assert found["Custom::SwitchyardModel"]


def test_a_version_that_nobody_locked_is_refused_at_synth(synth: Any) -> None:
    """Law 8."""
    with pytest.raises(CatalogError, match="lists `bert:5` on stage `prod`") as caught:
        synth(versions=(3, 5))
    assert caught.value.hint == "Run `yard lock --stage prod`."


def test_a_key_encrypts_the_disk_where_the_machine_brings_none_of_its_own(synth: Any) -> None:
    """SageMaker refuses a key, and a size, for machines with a disk of their own."""
    for instance_type, has_key in (("ml.g5.xlarge", False), ("ml.m5.xlarge", True)):
        configs = synth(instance_type=instance_type)["AWS::SageMaker::EndpointConfig"]
        for config in configs.values():
            assert ("KmsKeyId" in config) is has_key
            (variant,) = config["ProductionVariants"]
            assert variant.get("VolumeSizeInGB") == (31 if has_key else None)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/vllm@sha256:" + "0" * 64,
            "123456789012:repository/team/vllm",
        ),
        ("docker.io/library/vllm:1", None),
    ],
)
def test_a_named_image_may_be_pulled_from_its_own_repository(image: str, repository: str | None) -> None:
    found = repository_of(image)
    assert (f"{found[0]}:repository/{found[2]}" if found else None) == repository


@pytest.fixture(scope="module")
def examples(node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The catalog of examples, as it stands and synthesised."""
    path = ROOT / "examples" / "heavy" / "models.toml"
    folder = tmp_path_factory.mktemp("examples")
    catalog, _ = checks.with_stand_ins(load_catalog(path), ROOT, folder)
    return deployed_in(
        "prod",
        checks.synthesise(catalog, "prod", root=ROOT, out=folder / "out", lock=load_lock(lock_path(path))),
    )


def test_the_examples_pass_every_check(examples: Deployed) -> None:
    found = [
        *checks.findings_of_cdk("prod", examples.out),
        *checks.findings_of_cfn_lint("prod", examples.out),
    ]
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize("model", ["chat", "faces"])
def test_another_s_container_gets_the_artifact_s_own_files_and_is_told_what_it_wants(
    examples: Deployed, model: str
) -> None:
    resources = examples.templates[f"Model-{model}"]["Resources"]
    by_type = {found["Type"]: found["Properties"] for found in resources.values()}
    container = by_type["AWS::SageMaker::Model"]["PrimaryContainer"]
    assert ".dkr.ecr.eu-central-1.amazonaws.com/" in container["Image"]
    assert text_of(container["ModelDataSource"]["S3DataSource"]["S3Uri"]).endswith("/files/")
    wanted = {"chat": "SM_VLLM_MODEL", "faces": "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME"}[model]
    assert wanted in container["Environment"]
    assert "SWITCHYARD_GRPC_PORT" not in container["Environment"]
    gateway = by_type["AWS::Lambda::Function"]["Environment"]["Variables"]
    assert gateway["SWITCHYARD_OWN_IMAGE"] == "on"


def test_what_a_container_is_told_is_part_of_what_its_endpoint_is(synth: Any) -> None:
    before, after = synth(), synth(environment={"MAX_MODEL_LEN": "8192"})
    assert not set(after["AWS::SageMaker::Endpoint"]) & set(before["AWS::SageMaker::Endpoint"])
    (model, *_) = after["AWS::SageMaker::Model"].values()
    assert model["PrimaryContainer"]["Environment"]["MAX_MODEL_LEN"] == "8192"


SCENES = "Model-scenes"


def test_an_asynchronous_endpoint_answers_into_the_hand_off_bucket_and_says_so(examples: Deployed) -> None:
    config = examples.only(SCENES, "AWS::SageMaker::EndpointConfig")["Properties"]["AsyncInferenceConfig"]
    assert config["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 2}
    output = config["OutputConfig"]
    assert text_of(output["S3OutputPath"]).endswith("/scenes/answers")
    assert text_of(output["S3FailurePath"]).endswith("/scenes/failures")
    assert "handoffbucketkey" in text_of(output["KmsKeyId"])
    topics = examples.resources(SCENES, "AWS::SNS::Topic")
    told = output["NotificationConfig"]
    assert [
        topics[told[key]["Ref"]]["Properties"]["TopicName"] for key in ("SuccessTopic", "ErrorTopic")
    ] == [
        "switchyard-prod-scenes-answered",
        "switchyard-prod-scenes-failed",
    ]


def test_its_gateway_asks_through_the_queue_and_knows_how_long_that_may_take(examples: Deployed) -> None:
    (asks,) = (found for found in examples.statements(SCENES) if found.get("Sid") == "AskEndpoints")
    assert set(asks["Action"]) == {"sagemaker:InvokeEndpointAsync", "sagemaker:DescribeEndpoint"}
    told = examples.only(SCENES, "AWS::Lambda::Function")["Properties"]["Environment"]["Variables"]
    assert json.loads(told["SWITCHYARD_ASYNCHRONOUS"]) == {"timeout_s": 1800, "expires_s": 3600}
    assert told["SWITCHYARD_HANDOFF_BUCKET"]
    assert "Handoff" in examples.depends_on(SCENES)


def test_its_execution_role_reads_requests_and_writes_answers_of_its_own_model(examples: Deployed) -> None:
    own = {found["Sid"]: found for found in examples.statements(SCENES) if "Sid" in found}
    for sid, actions, ends in (
        ("ReadRequests", ["s3:GetObject"], ["/scenes/*/in/*"]),
        ("WriteAnswers", ["s3:AbortMultipartUpload", "s3:PutObject"], ["/answers/*", "/failures/*"]),
        ("TellOfAnswers", ["sns:Publish"], ["Answered", "Failed"]),
    ):
        resources = own[sid]["Resource"]
        found = [text_of(item) for item in (resources if isinstance(resources, list) else [resources])]
        assert own[sid]["Action"] == actions
        assert all(end in text for end, text in zip(ends, found, strict=True))


def test_machines_follow_what_waits_and_the_first_comes_when_anything_does(examples: Deployed) -> None:
    (target,) = examples.resources(SCENES, "AWS::ApplicationAutoScaling::ScalableTarget")
    bounds = examples.only(SCENES, "AWS::ApplicationAutoScaling::ScalableTarget")["Properties"]
    assert (bounds["MinCapacity"], bounds["MaxCapacity"]) == (0, 3)
    policies = {
        found["Properties"]["PolicyType"]: (id_, found["Properties"])
        for id_, found in examples.resources(SCENES, "AWS::ApplicationAutoScaling::ScalingPolicy").items()
    }
    _, tracking = policies["TargetTrackingScaling"]
    settings = tracking["TargetTrackingScalingPolicyConfiguration"]
    metric = settings["CustomizedMetricSpecification"]
    assert (settings["TargetValue"], metric["MetricName"]) == (4, "ApproximateBacklogSizePerInstance")
    (endpoint,) = examples.resources(SCENES, "AWS::SageMaker::Endpoint").values()
    named = [{"Name": "EndpointName", "Value": endpoint["Properties"]["EndpointName"]}]
    assert metric["Dimensions"] == named
    wakes, stepping = policies["StepScaling"]
    (step,) = stepping["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert step == {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    assert stepping["ScalingTargetId"] == tracking["ScalingTargetId"] == {"Ref": target}
    (asleep,) = (
        alarm["Properties"]
        for alarm in examples.resources(SCENES, "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("MetricName") == "HasBacklogWithoutCapacity"
    )
    assert asleep["AlarmActions"] == [{"Ref": wakes}]
    assert (asleep["Dimensions"], asleep["Threshold"]) == (named, 1)


CAPTIONS = "Model-captions"


def test_a_component_has_its_endpoint_s_name_and_the_machines_come_and_go_with_it(examples: Deployed) -> None:
    """ADR 36."""
    component = examples.only(CAPTIONS, "AWS::SageMaker::InferenceComponent")
    properties = component["Properties"]
    (endpoint,) = examples.resources(CAPTIONS, "AWS::SageMaker::Endpoint")
    name = examples.only(CAPTIONS, "AWS::SageMaker::Endpoint")["Properties"]["EndpointName"]
    assert endpoint in component["DependsOn"]
    assert (properties["InferenceComponentName"], properties["EndpointName"]) == (name, name)
    assert properties["Specification"]["ModelName"] == name
    assert properties["Specification"]["ComputeResourceRequirements"] == {
        "MinMemoryRequiredInMb": 12000,
        "NumberOfAcceleratorDevicesRequired": 1,
        "NumberOfCpuCoresRequired": 2,
    }
    config = examples.only(CAPTIONS, "AWS::SageMaker::EndpointConfig")["Properties"]
    (variant,) = config["ProductionVariants"]
    assert "ModelName" not in variant
    assert variant["ManagedInstanceScaling"] == {
        "Status": "ENABLED",
        "MinInstanceCount": 0,
        "MaxInstanceCount": 2,
    }
    assert config["EnableNetworkIsolation"] is True
    assert config["ExecutionRoleArn"]
    model = examples.only(CAPTIONS, "AWS::SageMaker::Model")["Properties"]
    assert not {"VpcConfig", "EnableNetworkIsolation"} & model.keys()


def test_a_base_is_recorded_when_its_components_stand(examples: Deployed) -> None:
    """Law 5."""
    made = set(examples.resources(CAPTIONS, "AWS::SageMaker::InferenceComponent"))
    assert made <= set(examples.only(CAPTIONS, "Custom::SwitchyardModel")["DependsOn"])
    assert made <= set(examples.only(CAPTIONS, "Custom::SwitchyardRollout")["DependsOn"])


def test_copies_follow_requests_and_the_first_comes_when_somebody_was_refused(examples: Deployed) -> None:
    name = examples.only(CAPTIONS, "AWS::SageMaker::Endpoint")["Properties"]["EndpointName"]
    target = examples.only(CAPTIONS, "AWS::ApplicationAutoScaling::ScalableTarget")["Properties"]
    assert target["ResourceId"] == f"inference-component/{name}"
    assert target["ScalableDimension"] == "sagemaker:inference-component:DesiredCopyCount"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 2)
    policies = {
        found["Properties"]["PolicyType"]: (id_, found["Properties"])
        for id_, found in examples.resources(CAPTIONS, "AWS::ApplicationAutoScaling::ScalingPolicy").items()
    }
    _, tracking = policies["TargetTrackingScaling"]
    metric = tracking["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
    assert metric["PredefinedMetricType"] == "SageMakerInferenceComponentInvocationsPerCopy"
    wakes, _ = policies["StepScaling"]
    (asleep,) = (
        alarm["Properties"]
        for alarm in examples.resources(CAPTIONS, "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("MetricName") == "NoCapacityInvocationFailures"
    )
    assert asleep["AlarmActions"] == [{"Ref": wakes}]
    assert asleep["Dimensions"] == [{"Name": "InferenceComponentName", "Value": name}]


def test_its_gateway_may_ask_the_component_and_knows_that_there_is_one(examples: Deployed) -> None:
    (asks,) = (found for found in examples.statements(CAPTIONS) if found.get("Sid") == "AskEndpoints")
    kinds = {text_of(resource).split(":")[-1].partition("/")[0] for resource in asks["Resource"]}
    assert kinds == {"endpoint", "inference-component"}
    told = examples.only(CAPTIONS, "AWS::Lambda::Function")["Properties"]["Environment"]["Variables"]
    assert told["SWITCHYARD_COMPONENT"] == "on"
