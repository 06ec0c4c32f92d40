"""``infra.stacks.model``: the base of a model, and nothing about which version is live."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match, Template

from catalog import Catalog
from infra.bundles import Tree
from infra.constructs.saved_queries import QUERIES
from infra.stacks.model import ANSWERS, REQUESTS, ModelStack
from model_store.contract.environment import METRICS
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def base_of(stage: Deployed, model: str) -> dict[str, Any]:
    return dict(stage.only(f"Model-{model}", "Custom::SwitchyardModel")["Properties"])


def test_the_function_is_what_the_catalog_says(prod: Deployed, local: Deployed) -> None:
    function = prod.only("Model-digits", "AWS::Lambda::Function")["Properties"]
    assert function["FunctionName"] == "switchyard-prod-digits"
    assert (function["MemorySize"], function["Timeout"]) == (1024, 10)
    assert function["Architectures"] == ["x86_64"]
    assert local.only("Model-digits", "AWS::Lambda::Function")["Properties"]["MemorySize"] == 512


def test_the_environment_holds_the_variables_of_the_base_exactly(stage: Deployed) -> None:
    function = stage.only("Model-fraud-eu", "AWS::Lambda::Function")["Properties"]
    variables = dict(function["Environment"]["Variables"])
    # Known at deploy time only.
    names = ("HANDOFF_BUCKET", "ANSWERS_QUEUE", "BUCKET", "CAPTURE_BUCKET")
    bucket, queue, store, captured = (variables.pop(f"SWITCHYARD_{name}") for name in names)
    assert "switchyard" in text_of(store)
    assert "handoffbucket" in text_of(bucket)
    assert "capturebucket" in text_of(captured)
    assert "QueuesAnswers" in text_of(queue)
    assert variables == {
        "SWITCHYARD_MODEL": "fraud-eu",
        "SWITCHYARD_STAGE": stage.stage,
        "SWITCHYARD_TIMEOUT_S": "29",
        "SWITCHYARD_EXPLAIN": "1",
        "SWITCHYARD_MAX_BATCH": "64",
        "SWITCHYARD_CAPTURE": '{"rate":0.05,"rows_per_hour":500,"drop":["iban"]}',
    }
    unbounded = stage.only("Model-digits", "AWS::Lambda::Function")["Properties"]["Environment"]["Variables"]
    assert set(unbounded) == {"SWITCHYARD_MODEL", "SWITCHYARD_STAGE", "SWITCHYARD_TIMEOUT_S"}


def test_the_stack_says_how_much_room_is_left_for_a_model(stage: Deployed) -> None:
    """Law 8: what runtime layer and code leave of Lambda's 250 MB."""
    outputs = stage.templates["Model-digits"]["Outputs"]
    assert 130_000_000 < int(outputs["ModelBytes"]["Value"]) < 262_144_000


def test_snapstart_is_on_unless_the_catalog_says_no(stage: Deployed) -> None:
    assert stage.only("Model-digits", "AWS::Lambda::Function")["Properties"]["SnapStart"] == {
        "ApplyOn": "PublishedVersions"
    }
    assert "SnapStart" not in stage.only("Model-fraud-eu", "AWS::Lambda::Function")["Properties"]


def test_a_model_s_role_may_write_its_own_log_and_ask_its_own_versions_and_nothing_else(
    stage: Deployed,
) -> None:
    (group,) = stage.resources("Model-digits", "AWS::Logs::LogGroup")
    allowed = {
        text_of(statement["Resource"]).rpartition(":function:")[2]: set(statement["Action"])
        for statement in stage.statements("Model-digits")
    }
    assert allowed == {
        f"<{group}.Arn>": {"logs:CreateLogStream", "logs:PutLogEvents"},
        f"switchyard-{stage.stage}-digits:v*": {"lambda:InvokeFunction"},
        f"switchyard-{stage.stage}-digits:shadow_*": {"lambda:InvokeFunction"},
        f"switchyard-{stage.stage}-digits": {"lambda:ListAliases"},
    }


def test_a_model_that_hands_off_may_touch_its_own_prefix_of_the_hand_off_bucket_only(
    stage: Deployed,
) -> None:
    own = {found["Sid"]: found for found in stage.statements("Model-fraud-eu") if "Sid" in found}
    payloads = own["PassPayloads"]
    assert set(payloads["Action"]) == {"s3:GetObject", "s3:PutObject"}
    assert text_of(payloads["Resource"]).endswith("/fraud-eu/*")
    assert "handoffbucket" in text_of(payloads["Resource"])
    key = own["UseTheKeyThroughS3"]
    assert set(key["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert list(key["Condition"]["StringEquals"]) == ["kms:ViaService"]
    touched = {action for found in own.values() for action in found["Action"] if action.startswith("s3:")}
    assert touched == {"s3:GetObject", "s3:PutObject"}


def test_a_model_with_an_inbox_reads_its_own_requests_and_writes_its_own_answers(stage: Deployed) -> None:
    own = {found["Sid"]: found for found in stage.statements("Model-fraud-eu") if "Sid" in found}
    for sid, action, prefix in (
        ("ReadRequests", "s3:GetObject", REQUESTS),
        ("WriteAnswers", "s3:PutObject", ANSWERS),
    ):
        assert own[sid]["Action"] == [action]
        resource = text_of(own[sid]["Resource"])
        assert resource.endswith(f"/{prefix}fraud-eu/*")
        assert "inboxbucket" in resource
    assert set(own["UseTheInboxKeyThroughS3"]["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_an_object_under_the_model_s_prefix_becomes_a_message_of_its_queue(stage: Deployed) -> None:
    ((id_, rule),) = stage.resources("Model-fraud-eu", "AWS::Events::Rule").items()
    pattern = rule["Properties"]["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    (bucket,) = pattern["detail"]["bucket"]["name"]
    assert "inboxbucket" in text_of(bucket)
    assert pattern["detail"]["object"]["key"] == [{"prefix": f"{REQUESTS}fraud-eu/"}]
    (target,) = rule["Properties"]["Targets"]
    (mapping,) = stage.resources("Model-fraud-eu", "AWS::Lambda::EventSourceMapping").values()
    assert target["Arn"] == mapping["Properties"]["EventSourceArn"]
    may_send = {
        text_of(statement["Resource"])
        for statement in stage.statements("Model-fraud-eu", "AWS::SQS::QueuePolicy")
        if statement.get("Sid") == "HearOfObjects"
        and statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [id_, "Arn"]}}}
    }
    assert may_send == {text_of(target["Arn"]), text_of(target["DeadLetterConfig"]["Arn"])}
    assert not stage.resources("Model-digits", "AWS::Events::Rule")


PASSING = {
    *("PassPayloads", "UseTheKeyThroughS3"),
    *("ReadRequests", "WriteAnswers", "UseTheInboxKeyThroughS3"),
    *("KeepRequests", "EncryptRequestsThroughS3"),
}
"""What a model may besides because it hands off, has an inbox, or keeps a sample of its requests."""


def test_a_model_that_is_read_at_start_may_read_its_manifests_and_blobs_and_nothing_else(
    stage: Deployed,
) -> None:
    own = {found["Sid"]: found for found in stage.statements("Model-fraud-eu") if "Sid" in found}
    reading = own["ReadVersions"]
    assert reading["Action"] == ["s3:GetObject"]
    blobs, manifests = (text_of(resource) for resource in reading["Resource"])
    assert blobs.endswith("/blobs/*")
    assert manifests.endswith("/models/fraud-eu/versions/*")
    assert all("switchyard" in resource and "bucket" in resource for resource in (blobs, manifests))
    key = own["DecryptVersionsThroughS3"]
    assert key["Action"] == ["kms:Decrypt"]
    assert list(key["Condition"]["StringEquals"]) == ["kms:ViaService"]
    touched = {
        action
        for found in stage.statements("Model-fraud-eu")
        for action in found["Action"]
        if found.get("Sid") not in PASSING and action.startswith(("s3:", "kms:"))
    }
    assert touched == {"s3:GetObject", "kms:Decrypt"}


def test_the_tmp_of_a_function_is_what_the_catalog_says_and_lambda_s_own_where_it_says_nothing(
    stage: Deployed,
) -> None:
    function = stage.only("Model-fraud-eu", "AWS::Lambda::Function")["Properties"]
    assert function["EphemeralStorage"] == {"Size": 2048}
    assert "bucket" in text_of(function["Environment"]["Variables"]["SWITCHYARD_BUCKET"])
    assert base_of(stage, "fraud-eu")["Base"]["EphemeralStorage"] == 2048
    assert base_of(stage, "fraud-eu")["Base"]["Environment"] == function["Environment"]["Variables"]
    digits = stage.only("Model-digits", "AWS::Lambda::Function")["Properties"]
    assert "EphemeralStorage" not in digits
    assert "EphemeralStorage" not in base_of(stage, "digits")["Base"]


def test_queued_requests_reach_the_live_alias_and_failures_are_kept(stage: Deployed) -> None:
    mapping = stage.only("Model-fraud-eu", "AWS::Lambda::EventSourceMapping")
    properties = mapping["Properties"]
    assert text_of(properties["FunctionName"]).endswith(f":function:switchyard-{stage.stage}-fraud-eu:live")
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # Neither the alias nor the permission to read the queue is there before.
    before = set(mapping["DependsOn"])
    assert set(stage.resources("Model-fraud-eu", "Custom::SwitchyardModel")) <= before
    assert set(stage.resources("Model-fraud-eu", "AWS::IAM::Policy")) <= before
    queues = stage.resources("Model-fraud-eu", "AWS::SQS::Queue")
    assert len(queues) == 3
    assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in queues.values())
    (requests,) = (queue["Properties"] for queue in queues.values() if "RedrivePolicy" in queue["Properties"])
    assert requests["RedrivePolicy"]["maxReceiveCount"] == 3
    assert requests["VisibilityTimeout"] == 29 * 6
    own = {found["Sid"]: found for found in stage.statements("Model-fraud-eu") if "Sid" in found}
    assert own["SendAnswers"]["Action"] == ["sqs:SendMessage"]
    assert "QueuesAnswers" in text_of(own["SendAnswers"]["Resource"])
    assert "QueuesRequests" in text_of(own["TakeRequests"]["Resource"])


def test_questions_to_the_log_are_kept_and_ask_for_what_a_line_has(stage: Deployed) -> None:
    definitions = stage.resources("Model-digits", "AWS::Logs::QueryDefinition").values()
    log = next(iter(stage.resources("Model-digits", "AWS::Logs::LogGroup")))
    found = {one["Properties"]["Name"]: one["Properties"] for one in definitions}
    prefix = f"switchyard/{stage.stage}/digits/"
    assert set(found) == {f"{prefix}{name}" for name in QUERIES}
    for properties in found.values():
        assert properties["LogGroupNames"] == [{"Ref": log}]
    written = json.dumps([properties["QueryString"] for properties in found.values()])
    named = set(re.findall(r"\b[A-Z][A-Za-z]+\b", written))
    assert (
        named == {"Faults", "Latency", "ModelLatency", "Rows", "PayloadBytes", "ColdStarts"} <= set(METRICS)
    )


def test_a_model_without_a_queue_has_none(stage: Deployed) -> None:
    assert not stage.resources("Model-digits", "AWS::SQS::Queue")
    assert not stage.resources("Model-digits", "AWS::Lambda::EventSourceMapping")


def test_older_runtime_layers_stay_for_rollbacks(stage: Deployed) -> None:
    """Law 6: a rollback may publish on a base that names the layer before."""
    layer = stage.only("Model-digits", "AWS::Lambda::LayerVersion")
    assert layer["UpdateReplacePolicy"] == "Retain"
    assert layer["Properties"]["LayerName"] == f"switchyard-{stage.stage}-digits-runtime"


def test_the_base_says_everything_the_function_is(stage: Deployed) -> None:
    """Law 4: what a deploy changes reaches the controller, which re-releases the live version on it."""
    for model in ("digits", "fraud-eu"):
        function = stage.only(f"Model-{model}", "AWS::Lambda::Function")["Properties"]
        base = base_of(stage, model)["Base"]
        for name in ("MemorySize", "Timeout", "Runtime", "Handler", "Layers", "Role"):
            assert base[name] == function[name], name
        assert base["Environment"] == function["Environment"]["Variables"]
        assert [base["Architecture"]] == function["Architectures"]
        assert base["SnapStart"] is ("SnapStart" in function)
        assert re.fullmatch("[0-9a-f]{64}", base["Code"])


def test_the_custom_resource_names_what_the_controller_needs(prod: Deployed) -> None:
    properties = base_of(prod, "fraud-eu")
    assert properties["Stage"] == "prod"
    assert properties["Model"] == "fraud-eu"
    assert properties["FunctionName"] == "switchyard-prod-fraud-eu"
    assert properties["Aliases"] == ["live", "candidate"]
    assert base_of(prod, "digits")["RollbackDepth"] == 3
    assert properties["ProvisionedConcurrency"] == 4
    assert base_of(prod, "digits")["ProvisionedConcurrency"] == 0
    assert text_of(properties["ServiceToken"]).endswith(":function:switchyard-prod-Operations")


def test_the_controller_is_asked_after_the_function_exists(stage: Deployed) -> None:
    released = stage.only("Model-digits", "Custom::SwitchyardModel")
    assert set(stage.resources("Model-digits", "AWS::Lambda::Function")) <= set(released["DependsOn"])


@pytest.fixture
def made(catalog: Catalog, tmp_path: Path, node_of_the_project: None) -> Any:
    """Make the stack of ``digits`` with something changed."""
    for name in ("code", "layer"):
        (tmp_path / name).mkdir()
    (tmp_path / "layer.json").write_text('{"target": "local"}')

    def make(*, code: str = "c0", layer: str = "1a", **changes: object) -> ModelStack:
        model = catalog.models_for("prod")["digits"].model_copy(update=changes)
        return ModelStack(
            cdk.App(),
            stage=catalog.stage("prod"),
            model=model,
            code=Tree(tmp_path / "code", code * 32, {}),
            runtime_layer=Tree(tmp_path / "layer", layer * 32, {}),
        )

    return make


@pytest.fixture
def fingerprint(made: Any) -> Any:
    """Ask for the fingerprint of ``digits`` with something changed."""
    return lambda **changes: made(**changes).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"memory_mb": 2048},
        {"timeout_s": 11},
        {"snapstart": False},
        {"ephemeral_mb": 512},
        {"architecture": "arm64"},
        {"handoff": True},
        {"queue": True},
        {"inbox": True},
        {"runtime": "text"},
        {"tracing": True},
        {"code": "c1"},
        {"layer": "1b"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_changes_with_the_base(fingerprint: Any, change: dict[str, object]) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint())
    assert fingerprint(**change) != fingerprint()


def test_the_fingerprint_stays_when_the_base_does(fingerprint: Any) -> None:
    assert (
        fingerprint(rollback_depth=7, aliases=("live", "candidate"), provisioned_concurrency=3)
        == fingerprint()
    )


def test_a_traced_function_may_hand_in_segments_and_another_may_not(made: Any) -> None:
    for tracing in (True, False):
        template = Template.from_stack(made(tracing=tracing)).to_json()
        (function,) = [
            found["Properties"]
            for found in template["Resources"].values()
            if found["Type"] == "AWS::Lambda::Function"
        ]
        assert function.get("TracingConfig") == ({"Mode": "Active"} if tracing else None)
        assert ("xray:PutTraceSegments" in json.dumps(template)) is tracing
        assert ("xray:PutTelemetryRecords" in json.dumps(template)) is tracing


def test_a_start_that_may_be_too_slow_is_said_at_synth(made: Any) -> None:
    """Law 8, as a warning: how large the versions will be nobody knows yet."""
    slow = made(ephemeral_mb=2048, snapstart=False, timeout_s=29)
    (warning,) = Annotations.from_stack(slow).find_warning("*", Match.string_like_regexp("takes some"))
    said = str(warning.entry.data)
    assert "`ephemeral_mb = 2048` takes some 36 s to be read from S3, by estimate" in said
    assert "a start has 10 s and then the 29 s time limit of the first request, enough for 600 MB" in said
    quick = made(ephemeral_mb=512)
    assert not Annotations.from_stack(quick).find_warning("*", Match.string_like_regexp("takes some"))
