"""``infra.stacks.api`` with a REST API: the same addresses behind another door, and what only that door has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
import pytest

from infra.bundles import Tree
from infra.preflight import parts_of_rest_api
from infra.stacks.api import ApiStack
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from catalog import Catalog, Model, Stage
    from tests.infrastructure.conftest import Deployed


@pytest.fixture(params=["keyed", "inner"])
def door(request: pytest.FixtureRequest) -> Deployed:
    found: Deployed = request.getfixturevalue(request.param)
    return found


def paths(stage: Deployed) -> dict[str, str]:
    """Every path by the id of its resource."""
    found = stage.resources("Api", "AWS::ApiGateway::Resource")

    def path(id_: str) -> str:
        properties = found[id_]["Properties"]
        above = text_of(properties["ParentId"])[1:-1]
        return f"{path(above) if above in found else ''}/{properties['PathPart']}"

    return {f"<{id_}>": path(id_) for id_ in found}


def methods(stage: Deployed) -> dict[str, dict[str, Any]]:
    at = paths(stage)
    found = stage.resources("Api", "AWS::ApiGateway::Method").values()
    return {
        f"{one['Properties']['HttpMethod']} {at.get(text_of(one['Properties']['ResourceId']), '/')}": one[
            "Properties"
        ]
        for one in found
    }


def test_every_alias_of_every_model_has_the_paths_that_an_http_api_gives_it(door: Deployed) -> None:
    assert set(methods(door)) == {
        "GET /v2",
        "GET /v2/health/{proxy+}",
        "ANY /",
        "ANY /{proxy+}",
        "ANY /v2/models/digits",
        "ANY /v2/models/digits/{proxy+}",
        "ANY /v2/models/fraud-eu",
        "ANY /v2/models/fraud-eu/{proxy+}",
        "ANY /candidate/v2/models/fraud-eu",
        "ANY /candidate/v2/models/fraud-eu/{proxy+}",
    }


def test_every_path_of_a_model_leads_to_its_alias_and_no_flip_changes_the_template(door: Deployed) -> None:
    """Law 4: the integration names the alias; what that points at stands in no template."""
    for path, method in methods(door).items():
        if "/v2/models/" not in path:
            continue
        model = path.split("/v2/models/")[1].split("/")[0]
        alias = "candidate" if "/candidate/" in path else "live"
        uri = text_of(method["Integration"]["Uri"])
        assert uri.endswith(f":function:switchyard-{door.stage}-{model}:{alias}/invocations")
        assert method["Integration"]["Type"] == "AWS_PROXY"
    (api,) = door.resources("Api", "AWS::ApiGateway::RestApi")
    allowed = {
        text_of(found["Properties"]["FunctionName"]).rpartition(f"switchyard-{door.stage}-")[2]: text_of(
            found["Properties"]["SourceArn"]
        )
        for found in door.resources("Api", "AWS::Lambda::Permission").values()
    }
    assert {"digits:live", "fraud-eu:live", "fraud-eu:candidate"} <= set(allowed)
    assert allowed["digits:live"].endswith(f":<{api}>/*/*")


def test_the_function_gives_up_before_the_api_does(door: Deployed) -> None:
    for model, milliseconds in (("digits", 11_000), ("fraud-eu", 29_000)):
        integration = methods(door)[f"ANY /v2/models/{model}/{{proxy+}}"]["Integration"]
        assert integration["TimeoutInMillis"] == milliseconds


def test_bodies_are_bytes_and_tls_is_of_today(door: Deployed) -> None:
    api = door.only("Api", "AWS::ApiGateway::RestApi")["Properties"]
    assert api["BinaryMediaTypes"] == ["*/*"]
    assert api["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_2021_06"
    assert api["EndpointAccessMode"] == "STRICT"


def test_api_gateway_answers_in_the_protocol_s_form_whatever_it_refuses(door: Deployed) -> None:
    found = [one["Properties"] for one in door.resources("Api", "AWS::ApiGateway::GatewayResponse").values()]
    statuses = {one["ResponseType"]: one.get("StatusCode") for one in found}
    assert statuses["UNAUTHORIZED"] == "401"
    assert statuses["INVALID_API_KEY"] == statuses["WAF_FILTERED"] == statuses["ACCESS_DENIED"] == "403"
    assert statuses["THROTTLED"] == statuses["QUOTA_EXCEEDED"] == "429"
    assert (statuses["REQUEST_TOO_LARGE"], statuses["INTEGRATION_TIMEOUT"]) == ("413", "504")
    assert statuses["DEFAULT_4XX"] is statuses["DEFAULT_5XX"] is None  # whichever it is
    for one in found:
        template = one["ResponseTemplates"]["application/json"]
        assert set(json.loads(template.replace("$context.error.messageString", '"x"'))) == {"error"}


def test_every_path_asks_for_a_token_and_for_the_key_of_a_caller(keyed: Deployed) -> None:
    ((id_, authorizer),) = keyed.resources("Api", "AWS::ApiGateway::Authorizer").items()
    properties = authorizer["Properties"]
    assert (properties["Type"], properties["AuthorizerResultTtlInSeconds"]) == ("TOKEN", 60)
    assert properties["IdentitySource"] == "method.request.header.Authorization"
    for method in methods(keyed).values():
        assert (method["AuthorizationType"], method["ApiKeyRequired"]) == ("CUSTOM", True)
        assert text_of(method["AuthorizerId"]) == f"<{id_}>"
    (function,) = (
        one["Properties"]
        for one in keyed.resources("Api", "AWS::Lambda::Function").values()
        if one["Properties"]["Handler"] == "functions.authorizer.handler.handler"
    )
    assert json.loads(function["Environment"]["Variables"]["SWITCHYARD_JWT"]) == {
        "issuer": "https://login.example/tenant",
        "audience": ["models", "reports"],
        "scopes": ["models/infer"],
    }


def test_every_path_asks_for_iam_where_the_catalog_says_nothing(inner: Deployed) -> None:
    assert {
        (method["AuthorizationType"], method["ApiKeyRequired"]) for method in methods(inner).values()
    } == {("AWS_IAM", False)}
    assert not inner.resources("Api", "AWS::ApiGateway::Authorizer")


def test_a_caller_has_a_plan_and_keys_whose_values_no_template_knows(keyed: Deployed) -> None:
    plans = {
        one["Properties"]["UsagePlanName"]: (id_, one["Properties"])
        for id_, one in keyed.resources("Api", "AWS::ApiGateway::UsagePlan").items()
    }
    shop_id, shop = plans["switchyard.open.shop.plan"]
    assert shop["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    assert shop["Quota"] == {"Limit": 100_000, "Period": "WEEK"}
    assert "Quota" not in plans["switchyard.open.nightly-batch.plan"][1]
    keys = keyed.resources("Api", "AWS::ApiGateway::ApiKey")
    assert {one["Properties"]["Name"] for one in keys.values()} == {
        "switchyard.open.shop.2026-11",
        "switchyard.open.shop.2026-12",
        "switchyard.open.nightly-batch.first",
    }
    assert not [one for one in keys.values() if "Value" in one["Properties"]]
    of_shop = [
        text_of(one["Properties"]["KeyId"])
        for one in keyed.resources("Api", "AWS::ApiGateway::UsagePlanKey").values()
        if text_of(one["Properties"]["UsagePlanId"]) == f"<{shop_id}>"
    ]
    assert len(of_shop) == 2
    assert "Outputs" in keyed.templates["Api"]
    assert not [name for name in keyed.templates["Api"]["Outputs"] if "Key" in name]


def test_a_stage_and_a_model_have_their_throttles(keyed: Deployed) -> None:
    stage = keyed.only("Api", "AWS::ApiGateway::Stage")["Properties"]
    limits = {
        f"{one['HttpMethod']} {one['ResourcePath']}": (
            one["ThrottlingRateLimit"],
            one["ThrottlingBurstLimit"],
        )
        for one in stage["MethodSettings"]
    }
    assert limits.pop("* /*") == (50, 70)
    assert limits == {
        f"{method} /{prefix}~1v2~1models~1fraud-eu{rest}": (5, 70)
        for method in ("GET", "POST")
        for prefix in ("", "~1candidate")
        for rest in ("", "~1{proxy+}")
    }


def test_nothing_of_a_request_is_logged_but_where_it_went_and_what_came_of_it(door: Deployed) -> None:
    stage = door.only("Api", "AWS::ApiGateway::Stage")["Properties"]
    for one in stage["MethodSettings"]:
        assert (one["LoggingLevel"], one["DataTraceEnabled"]) == ("ERROR", False)
    fields = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "route", "status", "error", "caller", "key", "firewall"} <= set(fields)
    assert fields["key"] == "$context.identity.apiKeyId"
    carried = ("querystring", "header", "body", "apiKey", "requestOverride", "accessKey")
    assert not [field for field in fields.values() for word in carried if field.endswith(word)]


def test_the_account_s_log_writer_stays_when_the_stack_goes(keyed: Deployed, inner: Deployed) -> None:
    account = keyed.only("Api", "AWS::ApiGateway::Account")
    assert (account["DeletionPolicy"], account["UpdateReplacePolicy"]) == ("Retain", "Retain")
    stage = keyed.only("Api", "AWS::ApiGateway::Stage")
    (id_,) = keyed.resources("Api", "AWS::ApiGateway::Account")
    assert id_ in stage["DependsOn"]
    assert not inner.resources("Api", "AWS::ApiGateway::Account")


def test_the_firewall_stands_before_the_stage_and_leaves_bodies_to_the_parser(keyed: Deployed) -> None:
    acl = keyed.only("Api", "AWS::WAFv2::WebACL")["Properties"]
    assert acl["Scope"] == "REGIONAL"
    by_name = {rule["Name"]: rule for rule in acl["Rules"]}
    rate = by_name["rate-per-address"]
    assert rate["Statement"]["RateBasedStatement"] == {"Limit": 2000, "AggregateKeyType": "IP"}
    assert "Block" in rate["Action"]
    common = by_name["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]
    counted = {one["Name"] for one in common["RuleActionOverrides"] if "Count" in one["ActionToUse"]}
    assert {"SizeRestrictions_BODY", "CrossSiteScripting_BODY"} <= counted
    assert all(name.endswith("_BODY") for name in counted)
    seen = [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]
    assert {one["SampledRequestsEnabled"] for one in seen} == {False}  # samples hold headers, tokens too
    (api,) = keyed.resources("Api", "AWS::ApiGateway::RestApi")
    (stage,) = keyed.resources("Api", "AWS::ApiGateway::Stage")
    before = keyed.only("Api", "AWS::WAFv2::WebACLAssociation")["Properties"]["ResourceArn"]
    assert text_of(before).endswith(f"::/restapis/<{api}>/stages/<{stage}>")


def test_a_private_api_is_reached_through_its_endpoints_and_by_nobody_else(inner: Deployed) -> None:
    api = inner.only("Api", "AWS::ApiGateway::RestApi")["Properties"]
    endpoints = ["vpce-0123456789abcdef0", "vpce-0123456789abcdef1"]
    assert api["EndpointConfiguration"] == {"Types": ["PRIVATE"], "VpcEndpointIds": endpoints}
    deny, allow = api["Policy"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Resource"]) == ("Deny", "*", "execute-api:/*")
    assert deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": endpoints}}
    assert allow["Effect"] == "Allow"
    assert not inner.resources("Api", "AWS::WAFv2::WebACL")


def test_the_address_says_its_stage_and_a_private_one_its_endpoint(keyed: Deployed, inner: Deployed) -> None:
    for stage, through in ((keyed, ""), (inner, "-vpce-0123456789abcdef0")):
        (api,) = stage.resources("Api", "AWS::ApiGateway::RestApi")
        values = {
            found["Properties"]["Name"].rpartition("/")[2]: text_of(found["Properties"]["Value"])
            for found in stage.resources("Api", "AWS::SSM::Parameter").values()
        }
        host = f"<{api}>{through}.execute-api.<AWS::Region>.<AWS::URLSuffix>"
        assert values["api-url"] == f"https://{host}/{stage.stage}"
        assert (values["api-kind"], values["api-id"]) == ("rest", f"<{api}>")
    assert values["api-key"] == "none"


def deployment_of(stage: Stage, models: dict[str, Model], code: Tree) -> str:
    """The logical id of what is deployed when these are served."""
    app = cdk.App()
    stack = ApiStack(app, stage=stage, models=models, code=code)
    template = app.synth().get_stack_by_name(stack.stack_name).template
    (found,) = (id_ for id_, one in template["Resources"].items() if one["Type"].endswith("::Deployment"))
    return str(found)


def test_what_an_api_shows_is_deployed_anew_when_it_changes_and_only_then(
    doors: Catalog, tmp_path: Path
) -> None:
    """A REST API goes on showing its last deployment, so a new route without a new one would be nowhere."""
    (tmp_path / "code").mkdir()
    code = Tree(tmp_path / "code", "0" * 64, {})
    stage, digits = doors.stage("inner"), doors.models["digits"]
    before = deployment_of(stage, {"digits": digits}, code)
    for changed, same in (
        ({"memory_mb": 2048}, True),
        ({"timeout_s": 11}, False),
        ({"aliases": ("live", "candidate")}, False),
    ):
        after = deployment_of(stage, {"digits": digits.model_copy(update=changed)}, code)
        assert (after == before) is same, changed
    keyed = stage.model_copy(update={"callers": doors.stage("open").callers})
    assert deployment_of(keyed, {"digits": digits}, code) != before


def test_synth_counts_no_fewer_parts_than_there_are(keyed: Deployed, inner: Deployed, doors: Catalog) -> None:
    """Law 8: the estimate behind the refusal of too many aliases and callers."""
    for each in (keyed, inner):
        counted = parts_of_rest_api(doors.models_for(each.stage), doors.stage(each.stage).callers)
        there = len(each.templates["Api"]["Resources"])
        assert there <= counted <= there + 20
