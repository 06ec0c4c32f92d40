"""``infra.stacks.operations``: what the operations function may do, and the guard's word list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from model_store.contract import errors as store_errors
from releases import errors
from releases.shifting import NEXT
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def said(stage: Deployed, sid: str) -> dict[str, Any]:
    (found,) = (found for found in stage.statements("Operations") if found.get("Sid") == sid)
    return found


def the_function(stage: Deployed) -> str:
    """Which of the stack's functions is the operations function; the others tell people and draw."""
    found = stage.resources("Operations", "AWS::Lambda::Function")
    (id_,) = (id_ for id_, one in found.items() if one["Properties"]["FunctionName"].endswith("-Operations"))
    return id_


def the_topic(stage: Deployed) -> str:
    """Which of the stack's topics is the one that hears alarms."""
    found = stage.resources("Operations", "AWS::SNS::Topic")
    (id_,) = (id_ for id_, one in found.items() if one["Properties"]["TopicName"].endswith("-Alarms"))
    return id_


def permission_of(stage: Deployed, principal: str) -> dict[str, Any]:
    """The one permission that lets ``principal`` call the operations function."""
    found = [item["Properties"] for item in stage.resources("Operations", "AWS::Lambda::Permission").values()]
    called = f"<{the_function(stage)}.Arn>"
    (permission,) = (
        item for item in found if item["Principal"] == principal and text_of(item["FunctionName"]) == called
    )
    return dict(permission)


def resources(statement: dict[str, Any]) -> list[str]:
    found = statement["Resource"]
    return [text_of(resource) for resource in (found if isinstance(found, list) else [found])]


def test_it_releases_models_of_its_own_stage_only(stage: Deployed) -> None:
    (resource,) = resources(said(stage, "ReleaseModels"))
    assert resource.endswith(f":function:switchyard-{stage.stage}-*")


def test_it_never_changes_itself_or_the_front(stage: Deployed) -> None:
    statement = said(stage, "NeverItself")
    assert statement["Effect"] == "Deny"
    assert {"lambda:UpdateFunctionConfiguration", "lambda:UpdateAlias"} <= set(statement["Action"])
    prefix = f":function:switchyard-{stage.stage}-"
    assert {resource.split(prefix)[1] for resource in resources(statement)} == {
        "Front",
        "Front:*",
        "Operations",
        "Operations:*",
    }


def test_it_can_do_neither_deletes_nor_code_changes(stage: Deployed) -> None:
    """Law 10: nothing live is deleted, because nobody here can."""
    allowed = {
        action
        for found in stage.statements("Operations")
        if found["Effect"] == "Allow"
        for action in found["Action"]
    }
    forbidden = {action for action in allowed if "Delete" in action or "UpdateFunctionCode" in action}
    # A rule of gRPC calls goes when its alias is taken out of service; the fleets behind it stay.
    assert forbidden - {"elasticloadbalancing:DeleteRule"} == {
        "cloudwatch:DeleteAlarms",  # of past releases, which serve nothing
        "lambda:DeleteProvisionedConcurrencyConfig",  # the version stays and answers, from cold
    }


def test_it_writes_ledgers_and_never_blobs(stage: Deployed) -> None:
    written = {resource.rsplit("/", 2)[1] for resource in resources(said(stage, "WriteLedgers"))}
    assert written == {"models", "layers"}


def test_it_uses_the_key_through_s3_only(stage: Deployed) -> None:
    statement = said(stage, "UseTheKeyThroughS3")
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    service = text_of(statement["Condition"]["StringEquals"]["kms:ViaService"])
    assert service == "s3.<AWS::Region>.<AWS::URLSuffix>"


def test_it_attaches_model_and_runtime_layers_of_its_stage(stage: Deployed) -> None:
    prefix = f":layer:switchyard-{stage.stage}-"
    names = {resource.split(prefix)[1] for resource in resources(said(stage, "AttachLayers"))}
    assert names == {"*-model:*", "*-runtime:*"}


def test_the_store_is_found_through_parameters_at_deploy_time(stage: Deployed) -> None:
    parameters = stage.templates["Operations"]["Parameters"].values()
    found = {parameter["Default"] for parameter in parameters if parameter["Type"].startswith("AWS::SSM::")}
    assert {f"/switchyard/{stage.stage}/bucket", f"/switchyard/{stage.stage}/bucket-key"} <= found


def test_the_function_has_lambda_s_longest_time(stage: Deployed) -> None:
    function = stage.templates["Operations"]["Resources"][the_function(stage)]["Properties"]
    assert (function["Timeout"], function["MemorySize"]) == (900, 1024)
    assert function["Handler"] == "functions.operations.handler.handler"
    assert set(function["Environment"]["Variables"]) == {
        "SWITCHYARD_STAGE",
        "SWITCHYARD_BUCKET",
        "SWITCHYARD_ALARM_TOPIC",
        "SWITCHYARD_ALARM_PERIOD_S",
        "SWITCHYARD_LEASE_S",
        # Where a model has a pipeline, whose shifts it begins.
        "SWITCHYARD_SHIFTS",
    }


def test_the_guard_is_told_every_declared_alias(stage: Deployed) -> None:
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    assert guard["Properties"]["Stage"] == stage.stage
    told = [(item["Model"], item["Aliases"]) for item in guard["Properties"]["Models"]]
    assert told == [
        ("digits", ["live"]),
        ("fraud-eu", ["live", "candidate"]),
        ("bert", ["live"]),
        ("clip", ["live"]),
    ]


def test_the_guard_is_told_who_may_read_the_store_at_start(stage: Deployed) -> None:
    """Law 10: a permission that something live starts with is not taken away."""
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    told = {item["Model"]: item["ReadsStore"] for item in guard["Properties"]["Models"]}
    assert told == {"digits": "false", "fraud-eu": "true", "bert": "false", "clip": "false"}


def test_the_guard_is_asked_whenever_a_base_changes(stage: Deployed) -> None:
    """A resource whose properties stay the same is not asked; a deploy during a shift must be refused."""
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    rollout = stage.only("Rollout", "Custom::SwitchyardRollout")
    heavy = [stage.only(f"Model-{name}", "Custom::SwitchyardRollout") for name in ("bert", "clip")]
    rolled_out = [model for found in (rollout, *heavy) for model in found["Properties"]["Models"]]
    prints = [item["Fingerprint"] for item in guard["Properties"]["Models"]]
    assert prints == [item["Fingerprint"] for item in rolled_out]


def test_the_guard_is_told_which_versions_have_an_endpoint_and_for_how_long(prod: Deployed) -> None:
    """Law 10: it must see that a version left the list, before anything is deleted."""
    told = {
        item["Model"]: item
        for item in prod.only("Operations", "Custom::SwitchyardGuard")["Properties"]["Models"]
    }
    bert = told["bert"]
    assert (bert["Target"], bert["Versions"], bert["KeepWarmS"], bert["RollbackDepth"]) == (
        "sagemaker",
        [3, 4],
        2 * 86_400,
        2,
    )
    assert set(told["digits"]) == {"Model", "Aliases", "Fingerprint", "ReadsStore"}


def test_the_controller_may_look_at_this_stage_s_endpoints_and_change_none(stage: Deployed) -> None:
    about = [
        found
        for found in stage.statements("Operations")
        if any(action.startswith("sagemaker:") for action in found["Action"])
        and found["Sid"] != "LookAtAdopted"
    ]
    looks = [
        f"sagemaker:Describe{what}" for what in ("Endpoint", "EndpointConfig", "InferenceComponent", "Model")
    ]
    assert [found["Action"] for found in about] == [looks]
    places = sorted(text_of(resource).rsplit(":", 1)[1] for resource in about[0]["Resource"])
    kinds = ("endpoint-config", "endpoint", "inference-component", "model")
    assert places == [f"{kind}/switchyard-{stage.stage}-*" for kind in kinds]


def test_the_controller_may_look_at_fleets_and_change_rules_of_this_stage_s_load_balancers_only(
    prod: Deployed, local: Deployed
) -> None:
    """And none where no load balancer carries gRPC."""
    look = said(prod, "LookAtFleets")
    assert all(action.split(":")[1].startswith("Describe") for action in look["Action"])
    begin, lead = said(prod, "BeginToLeadCalls"), said(prod, "LeadCalls")
    assert begin["Action"] == ["elasticloadbalancing:CreateRule"]
    assert resources(begin)[0].endswith(":listener/app/switchyard-prod-*/*")
    assert set(lead["Action"]) == {"elasticloadbalancing:ModifyRule", "elasticloadbalancing:DeleteRule"}
    assert resources(lead)[0].endswith(":listener-rule/app/switchyard-prod-*/*")
    assert not [found for found in local.statements("Operations") if "Lead" in found.get("Sid", "")]


def test_the_guard_waits_until_the_function_has_its_permissions(stage: Deployed) -> None:
    guard = stage.only("Operations", "Custom::SwitchyardGuard")
    policies = stage.resources("Operations", "AWS::IAM::Policy")
    assert {name for name in policies if name.startswith("Operations")} <= set(guard["DependsOn"])


def definition(stage: Deployed) -> dict[str, Any]:
    machine = stage.only("Operations", "AWS::StepFunctions::StateMachine")["Properties"]
    found: dict[str, Any] = json.loads(machine["DefinitionString"])
    return found


def test_the_machine_has_a_way_for_everything_a_state_may_ask_for(stage: Deployed) -> None:
    states = definition(stage)["States"]
    ways = {choice["StringEquals"]: choice["Next"] for choice in states["Next"]["Choices"]}
    assert set(ways) | {"taken-back"} == set(NEXT)
    assert states["Next"]["Default"] == "TakenBack"
    assert set(ways.values()) <= set(states)


def test_every_task_is_repeated_on_trouble_and_takes_the_way_back_when_it_fails(stage: Deployed) -> None:
    """Law 3: whatever happens, the alias ends on a version that passed its checks."""
    tasks = {name: state for name, state in definition(stage)["States"].items() if state["Type"] == "Task"}
    assert set(tasks) == {"Prepare", "Weigh", "Look", "Flip", "TakeBack"}
    assert {state["Parameters"]["do"] for state in tasks.values()} == {
        "prepare",
        "weigh",
        "look",
        "flip",
        "back",
    }
    for name, state in tasks.items():
        (retry,) = state["Retry"]
        if name == "TakeBack":
            assert (retry["ErrorEquals"], retry["MaxAttempts"]) == (["States.ALL"], 60)
            assert "Catch" not in state
        else:
            assert {"Lambda.TooManyRequestsException", "ServiceError", "LostRaceError"} <= set(
                retry["ErrorEquals"]
            )
            assert state["Catch"] == [
                {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "TakeBack"}
            ]


def test_the_errors_that_are_repeated_are_errors_of_ours(stage: Deployed) -> None:
    repeated = definition(stage)["States"]["Look"]["Retry"][0]["ErrorEquals"]
    ours = {name for name in repeated if not name.startswith("Lambda.")}
    assert all(hasattr(errors, name) or hasattr(store_errors, name) for name in ours)


def test_the_machine_may_invoke_the_operations_function_and_nothing_else(stage: Deployed) -> None:
    statement = said(stage, "TakeSteps")
    assert statement["Action"] == ["lambda:InvokeFunction"]
    assert resources(statement) == [f"<{the_function(stage)}.Arn>"]


def test_only_alarms_of_this_stage_s_releases_may_speak_to_the_topic(stage: Deployed) -> None:
    policies = stage.resources("Operations", "AWS::SNS::TopicPolicy").values()
    statements = [one for found in policies for one in found["Properties"]["PolicyDocument"]["Statement"]]
    (allowed,) = [found for found in statements if found["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert text_of(allowed["Condition"]["ArnLike"]["aws:SourceArn"]).endswith(
        f":alarm:switchyard/{stage.stage}/*"
    )


def test_the_operations_function_hears_the_topic(stage: Deployed) -> None:
    topic, function = the_topic(stage), the_function(stage)
    subscriptions = stage.resources("Operations", "AWS::SNS::Subscription").values()
    heard = [
        found["Properties"]["Protocol"]
        for found in subscriptions
        if text_of(found["Properties"]["Endpoint"]) == f"<{function}.Arn>"
        and text_of(found["Properties"]["TopicArn"]) == f"<{topic}>"
    ]
    assert heard == ["lambda"]
    permission = permission_of(stage, "sns.amazonaws.com")
    assert (permission["Principal"], text_of(permission["SourceArn"])) == ("sns.amazonaws.com", f"<{topic}>")


def test_it_changes_alarms_of_its_own_stage_s_releases_only(stage: Deployed) -> None:
    statement = said(stage, "WatchReleases")
    assert all(resource.endswith(f":alarm:switchyard/{stage.stage}/*") for resource in resources(statement))
    assert set(said(stage, "LookAround")["Action"]) == {
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
    }


def test_where_shifts_and_alarms_are_can_be_looked_up(stage: Deployed) -> None:
    names = {
        found["Properties"]["Name"] for found in stage.resources("Operations", "AWS::SSM::Parameter").values()
    }
    assert names == {
        f"/switchyard/{stage.stage}/{name}" for name in ("shifts", "alarm-topic", "alarm-period-s", "lease-s")
    }


def test_once_a_day_it_asks_whether_all_can_answer_and_an_alarm_of_each_model_tells_who_cannot(
    stage: Deployed,
) -> None:
    """Law 6: predecessors are kept able to answer."""
    rule = stage.only("Operations", "AWS::Events::Rule")["Properties"]
    assert (rule["Name"], rule["ScheduleExpression"]) == (
        f"switchyard-{stage.stage}-KeepAwake",
        "rate(1 day)",
    )
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == {"action": "keep-awake"}
    assert "KeepAwake" in text_of(permission_of(stage, "events.amazonaws.com")["SourceArn"])
    alarms = [
        found["Properties"] for found in stage.resources("Operations", "AWS::CloudWatch::Alarm").values()
    ]
    assert {alarm["AlarmName"] for alarm in alarms} == {
        f"switchyard/{stage.stage}/{model}/cannot-answer" for model in ("digits", "fraud-eu", "bert", "clip")
    }
    for alarm in alarms:
        assert (alarm["MetricName"], alarm["Period"], alarm["Threshold"]) == ("CannotAnswer", 86_400, 1)
        assert [item["Name"] for item in alarm["Dimensions"]] == ["model"]


def test_it_verifies_signatures_where_the_stage_has_a_key_and_signs_nowhere(
    partner: Deployed, prod: Deployed
) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/89abcdef-0123-4567-89ab-cdef01234567"
    statement = said(partner, "VerifySignatures")
    assert (statement["Action"], statement["Resource"]) == (["kms:Verify"], key)
    parameters = {
        item["Properties"]["Name"]: item["Properties"]["Value"]
        for item in partner.resources("Operations", "AWS::SSM::Parameter").values()
    }
    assert parameters["/switchyard/partner/signed-by"] == key
    (function,) = (
        item["Properties"]
        for item in partner.resources("Operations", "AWS::Lambda::Function").values()
        if item["Properties"]["FunctionName"] == "switchyard-partner-Operations"
    )
    assert function["Environment"]["Variables"]["SWITCHYARD_SIGNED_BY"] == key
    assert "signed-by" not in json.dumps(prod.templates["Operations"])
