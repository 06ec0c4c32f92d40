"""``infra.stacks.roles``: what each role may do, action by action. A new one is a decision, made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra.stacks.roles import POLICY_LIMIT, RolesStack
from tests.infrastructure.conftest import ROOT, text_of

if TYPE_CHECKING:
    from catalog import Catalog
    from tests.infrastructure.conftest import Deployed

FIND = {"ssm:GetParametersByPath", "s3:ListBucket", "s3:GetObject", "kms:Decrypt"}
LOOK = FIND | {
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetDashboard",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "lambda:GetAccountSettings",
    "lambda:GetAlias",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetLayerVersion",
    "lambda:InvokeFunction",
    "lambda:ListAliases",
    "lambda:ListLayerVersions",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:ListVersionsByFunction",
    "logs:FilterLogEvents",
    "logs:GetQueryResults",
    "logs:StartQuery",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
    "states:DescribeExecution",
}
LOOK_AT_HEAVY = {
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeLaunchTemplateVersions",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetHealth",
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:DescribeModel",
    "sagemaker:ListEndpoints",
}
MOVE = {
    "cloudwatch:DeleteAlarms",
    "cloudwatch:PutMetricAlarm",
    "execute-api:Invoke",
    "kms:GenerateDataKey",
    "lambda:CreateAlias",
    "lambda:DeleteProvisionedConcurrencyConfig",
    "lambda:InvokeFunction",
    "lambda:PutProvisionedConcurrencyConfig",
    "lambda:UpdateAlias",
    "s3:PutObject",
    "states:StopExecution",
}
LEAD_CALLS = {
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:DeleteRule",
    "elasticloadbalancing:ModifyRule",
}
PREPARE = {
    "lambda:PublishLayerVersion",
    "lambda:PublishVersion",
    "lambda:UpdateFunctionConfiguration",
    "states:StartExecution",
    "sts:AssumeRole",
}
ALLOWED = {
    "Publisher": FIND
    | {
        "kms:GenerateDataKey",
        "s3:AbortMultipartUpload",
        "s3:ListBucketMultipartUploads",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    },
    "Releaser": LOOK | LOOK_AT_HEAVY | MOVE | LEAD_CALLS | PREPARE,
    "OnCall": LOOK | LOOK_AT_HEAVY | MOVE | LEAD_CALLS,
    "Reader": LOOK | LOOK_AT_HEAVY,
    "Restorer": LOOK | LOOK_AT_HEAVY | MOVE | LEAD_CALLS | PREPARE | {"s3:AbortMultipartUpload"},
    "Deployer": FIND | {"sts:AssumeRole"},
}
"""Every action that a role of people or pipelines has in a stage with models of every kind."""

UNBOUND = {
    "autoscaling:DescribeAutoScalingGroups",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "ec2:DescribeLaunchTemplateVersions",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetHealth",
    "lambda:GetAccountSettings",
    "lambda:ListLayerVersions",
    "logs:GetQueryResults",
    "sagemaker:ListEndpoints",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
}
"""Actions for which AWS knows no resource, or which look for one by its name. All of them read."""


def policies(stage: Deployed) -> dict[str, dict[str, Any]]:
    found = stage.resources("Roles", "AWS::IAM::ManagedPolicy")
    return {
        text_of(policy["Properties"]["ManagedPolicyName"]).split("-")[2]: policy["Properties"]
        for policy in found.values()
    }


def carried(stage: Deployed) -> dict[str, set[str]]:
    """The policies of each role, by their names."""
    names = {
        id_: text_of(policy["Properties"]["ManagedPolicyName"]).split("-")[2]
        for id_, policy in stage.resources("Roles", "AWS::IAM::ManagedPolicy").items()
    }
    return {
        text_of(role["Properties"]["RoleName"]).split("-")[2]: {
            names[policy["Ref"]] for policy in role["Properties"]["ManagedPolicyArns"]
        }
        for role in stage.resources("Roles", "AWS::IAM::Role").values()
    }


def statements(policy: dict[str, Any], effect: str = "Allow") -> list[dict[str, Any]]:
    found = [item for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == effect]
    return [
        {**item, "Action": listed(item["Action"]), "Resource": listed(item["Resource"])} for item in found
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(policy: dict[str, Any], effect: str = "Allow") -> set[str]:
    return {action for item in statements(policy, effect) for action in item["Action"]}


@pytest.mark.parametrize("who", ALLOWED)
def test_a_role_has_these_actions_and_no_other(prod: Deployed, who: str) -> None:
    found = policies(prod)
    assert set().union(*(actions(found[name]) for name in carried(prod)[who])) == ALLOWED[who]


def test_there_are_these_roles_and_no_other(stage: Deployed) -> None:
    assert set(policies(stage)) == set(ALLOWED)
    roles = stage.resources("Roles", "AWS::IAM::Role").values()
    assert {text_of(role["Properties"]["RoleName"]) for role in roles} == {
        f"switchyard-{stage.stage}-{who}-<AWS::Region>" for who in ALLOWED
    }
    assert {role["Properties"]["Path"] for role in roles} == {"/switchyard/"}
    besides = {
        "Releaser": {"Reader"},
        "OnCall": {"Reader"},
        "Restorer": {"Reader", "Publisher", "Releaser"},
    }
    assert carried(stage) == {who: {who} | besides.get(who, set()) for who in ALLOWED}


@pytest.mark.parametrize("who", ALLOWED)
def test_only_what_reads_is_allowed_everywhere(prod: Deployed, who: str) -> None:
    anywhere = [item for item in statements(policies(prod)[who]) if "*" in item["Resource"]]
    assert {action for item in anywhere for action in item["Action"]} <= UNBOUND


@pytest.mark.parametrize("who", ALLOWED)
def test_what_is_bound_is_bound_to_this_stage(prod: Deployed, who: str) -> None:
    """A stage shares its account with others. Endpoints that it adopted are none of its own, and named."""
    for item in statements(policies(prod)[who]):
        if item["Sid"] == "SeeAdoptedEndpoints":
            assert [text_of(name).rpartition(":")[2] for name in item["Resource"]] == ["endpoint/their-bert"]
            continue
        for resource in item["Resource"]:
            text = text_of(resource)
            own = "prod" in text or "SsmParameter" in text or "cdk-hnb659fds" in text
            assert own or text == "*", (item["Sid"], text)


def test_nobody_who_moves_aliases_touches_the_platform_s_own_functions(prod: Deployed) -> None:
    for who in ("Releaser", "OnCall"):
        denied, drawing = statements(policies(prod)[who], "Deny")
        assert {
            "lambda:UpdateAlias",
            "lambda:InvokeFunction",
            "lambda:UpdateFunctionConfiguration",
        } <= set(denied["Action"])
        assert {text_of(name).rpartition("function:")[2] for name in denied["Resource"]} == {
            f"switchyard-prod-{name}{suffix}"
            for name in ("Operations", "Front", "Messenger", "Monitor")
            for suffix in ("", ":*")
        }
        # What a page asks is asked in the name of who looks at it, and changed by nobody.
        assert set(denied["Action"]) - set(drawing["Action"]) == {"lambda:InvokeFunction"}
        assert {text_of(name).rpartition("function:")[2] for name in drawing["Resource"]} == MARKS


MARKS = {"switchyard-prod-Marks", "switchyard-prod-Marks:*"}


def test_who_looks_may_have_a_page_s_marks_drawn_and_call_nothing_else(prod: Deployed) -> None:
    calling = [
        item for item in statements(policies(prod)["Reader"]) if "lambda:InvokeFunction" in item["Action"]
    ]
    named = {text_of(name).rpartition("function:")[2] for item in calling for name in item["Resource"]}
    assert named == MARKS


def test_a_role_writes_its_own_part_of_the_store(prod: Deployed) -> None:
    """Law 3: who publishes cannot write a ledger, and who moves an alias cannot write a manifest."""

    def written(who: str) -> set[str]:
        writing = [item for item in statements(policies(prod)[who]) if "s3:PutObject" in item["Action"]]
        return {text_of(name).partition(">/")[2] for item in writing for name in item["Resource"]}

    published = {
        f"models/*/{name}/*"
        for name in ("baselines", "digests", "edge", "indexed", "reports", "signatures", "versions", "pins")
    }
    moved = {f"models/*/{name}/*" for name in ("pages", "plans", "releases")} | {"models/*/shifts/*.ended"}
    prepared = {f"models/*/{name}/*" for name in ("lease", "prepared", "shifts", "unfit", "pins")}
    assert written("Publisher") == published | {"blobs/*"}
    assert written("OnCall") == moved
    waved = {"models/*/bases/*.accepted", "rebases/*", "waves/*"}
    assert written("Releaser") == moved | prepared | waved | {"layers/*"}
    assert written("Restorer") == {"models/*/removed/*"}
    assert written("Reader") == written("Deployer") == set()


def test_the_key_is_used_through_s3_only(prod: Deployed) -> None:
    for policy in policies(prod).values():
        for item in statements(policy):
            if any(action.startswith("kms:") for action in item["Action"]):
                ((condition, via),) = item["Condition"].items()
                assert (condition, set(via)) == ("StringEquals", {"kms:ViaService"})


@pytest.mark.parametrize("who", ALLOWED)
def test_a_policy_fits_into_aws_s_limit(prod: Deployed, who: str) -> None:
    """Law 8: with names as long as they may be."""
    names = {
        "<AWS::Partition>": "aws-us-gov",
        "<AWS::Region>": "ap-southeast-2",
        "<AWS::AccountId>": "1" * 12,
    }
    text = json.dumps(resolved(policies(prod)[who]["PolicyDocument"]), separators=(",", ":"))
    for name, value in names.items():
        text = text.replace(name, value)
    assert len(text.replace("prod", "p" * 12).replace(" ", "")) <= POLICY_LIMIT


def resolved(part: Any) -> Any:
    """The document with every intrinsic as text; a parameter's value is 63 characters, as a bucket's name is."""
    if isinstance(part, list):
        return [resolved(item) for item in part]
    if not isinstance(part, dict):
        return part
    if set(part) & {"Ref", "Fn::Join", "Fn::GetAtt", "Fn::Sub"}:
        text = text_of(part)
        begin = text.find("<Ssm")
        while begin >= 0:
            text = text[:begin] + "b" * 63 + text[text.index(">", begin) + 1 :]
            begin = text.find("<Ssm")
        return text
    return {key: resolved(value) for key, value in part.items()}


def test_whoever_the_account_allows_may_assume_them_unless_the_catalog_names_some(
    catalog: Catalog, prod: Deployed, node_of_the_project: None
) -> None:
    for role in prod.resources("Roles", "AWS::IAM::Role").values():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert text_of(statement["Principal"]["AWS"]).endswith(":root")
    people = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Night_0a1b2c"
    stage = catalog.stage("prod").model_copy(update={"on_call": (people,)})
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    template = Template.from_stack(RolesStack(app, stage=stage, models=catalog.models_for("prod")))
    named = [
        role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
        for role in template.find_resources("AWS::IAM::Role").values()
    ]
    assert [who for who in named if who == people] == [people]


def test_a_stage_without_heavy_models_lets_nobody_see_endpoints(
    catalog: Catalog, node_of_the_project: None
) -> None:
    light = {name: model for name, model in catalog.models_for("prod").items() if not model.is_heavy}
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    found = Template.from_stack(RolesStack(app, stage=catalog.stage("prod"), models=light))
    text = json.dumps(found.to_json())
    assert not [word for word in ("sagemaker:", "elasticloadbalancing:", "autoscaling:") if word in text]


def test_a_stage_with_a_key_lets_publishers_sign_and_everybody_verify(
    catalog: Catalog, prod: Deployed, node_of_the_project: None
) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    stage = catalog.stage("prod").model_copy(update={"signed_by": key})
    app = cdk.App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    template = Template.from_stack(RolesStack(app, stage=stage, models=catalog.models_for("prod")))
    found = {
        text_of(policy["Properties"]["ManagedPolicyName"]).split("-")[2]: {
            action
            for item in statements(policy["Properties"])
            if key in item["Resource"]
            for action in item["Action"]
        }
        for policy in template.find_resources("AWS::IAM::ManagedPolicy").values()
    }
    assert found == {
        "Publisher": {"kms:DescribeKey", "kms:Sign", "kms:Verify"},
        "Reader": {"kms:Verify"},
        "Deployer": {"kms:Verify"},
        "Releaser": set(),
        "OnCall": set(),
        "Restorer": set(),
    }
    without = {item["Sid"] for policy in policies(prod).values() for item in statements(policy)}
    assert without.isdisjoint({"Sign", "VerifySignatures"})
