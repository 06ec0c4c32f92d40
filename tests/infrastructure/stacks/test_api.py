"""``infra.stacks.api``: one address, every route to an alias, nobody in without leave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed


def routes(stage: Deployed) -> dict[str, dict[str, Any]]:
    found = stage.resources("Api", "AWS::ApiGatewayV2::Route").values()
    return {route["Properties"]["RouteKey"]: route["Properties"] for route in found}


def integration_of(stage: Deployed, route: str) -> dict[str, Any]:
    target = text_of(routes(stage)[route]["Target"])
    id_ = target.removeprefix("integrations/<").removesuffix(">")
    return dict(stage.resources("Api", "AWS::ApiGatewayV2::Integration")[id_]["Properties"])


def test_every_alias_of_every_model_has_its_routes(stage: Deployed) -> None:
    assert set(routes(stage)) == {
        "GET /v2",
        "GET /v2/health/{proxy+}",
        "$default",
        "ANY /v2/models/digits",
        "ANY /v2/models/digits/{proxy+}",
        "ANY /v2/models/fraud-eu",
        "ANY /v2/models/fraud-eu/{proxy+}",
        "ANY /candidate/v2/models/fraud-eu",
        "ANY /candidate/v2/models/fraud-eu/{proxy+}",
        # A heavy model's are the same: whoever calls does not see what is behind.
        "ANY /v2/models/bert",
        "ANY /v2/models/bert/{proxy+}",
        "ANY /v2/models/clip",
        "ANY /v2/models/clip/{proxy+}",
    }


def test_every_route_of_a_model_leads_to_its_alias_and_never_to_the_latest_code(stage: Deployed) -> None:
    for route in routes(stage):
        if "/v2/models/" not in route:
            continue
        model = route.split("/v2/models/")[1].split("/")[0]
        alias = "candidate" if "/candidate/" in route else "live"
        uri = text_of(integration_of(stage, route)["IntegrationUri"])
        assert uri.endswith(f":function:switchyard-{stage.stage}-{model}:{alias}")


def test_the_front_answers_what_no_model_can(stage: Deployed) -> None:
    (front,) = stage.resources("Api", "AWS::Lambda::Function")
    for route in ("GET /v2", "GET /v2/health/{proxy+}", "$default"):
        assert text_of(integration_of(stage, route)["IntegrationUri"]) == f"<{front}.Arn>"


def test_the_function_gives_up_before_the_api_does(stage: Deployed) -> None:
    for route, milliseconds in (("ANY /v2/models/digits", 11_000), ("ANY /v2/models/fraud-eu", 30_000)):
        integration = integration_of(stage, route)
        assert integration["TimeoutInMillis"] == milliseconds
        assert integration["PayloadFormatVersion"] == "2.0"


def test_every_route_asks_for_iam_unless_the_catalog_says_none(prod: Deployed, local: Deployed) -> None:
    assert {route["AuthorizationType"] for route in routes(prod).values()} == {"AWS_IAM"}
    assert {route["AuthorizationType"] for route in routes(local).values()} == {"NONE"}


def test_every_route_asks_for_a_token_where_the_catalog_says_whose(partner: Deployed, prod: Deployed) -> None:
    """Law 7: API Gateway checks tokens by itself, and a standard client only has to send one."""
    ((id_, authorizer),) = partner.resources("Api", "AWS::ApiGatewayV2::Authorizer").items()
    properties = authorizer["Properties"]
    assert properties["AuthorizerType"] == "JWT"
    assert properties["IdentitySource"] == ["$request.header.Authorization"]
    assert properties["JwtConfiguration"] == {
        "Issuer": "https://login.example/tenant",
        "Audience": ["models", "reports"],
    }
    for route in routes(partner).values():
        assert route["AuthorizationType"] == "JWT"
        assert text_of(route["AuthorizerId"]) == f"<{id_}>"
        assert route["AuthorizationScopes"] == ["models/infer"]
    assert not prod.resources("Api", "AWS::ApiGatewayV2::Authorizer")
    values = [found["Properties"] for found in partner.resources("Api", "AWS::SSM::Parameter").values()]
    assert {found["Name"]: found["Value"] for found in values}["/switchyard/partner/api-auth"] == "jwt"


def test_the_permission_stands_on_the_alias_and_for_this_api_only(stage: Deployed) -> None:
    (api,) = stage.resources("Api", "AWS::ApiGatewayV2::Api")
    permissions = [
        found["Properties"] for found in stage.resources("Api", "AWS::Lambda::Permission").values()
    ]
    for permission in permissions:
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["Action"] == "lambda:InvokeFunction"
        assert text_of(permission["SourceArn"]).endswith(f":<{api}>/*/*")
    allowed = {text_of(found["FunctionName"]).split(":function:")[-1] for found in permissions}
    prefix = f"switchyard-{stage.stage}-"
    assert {f"{prefix}digits:live", f"{prefix}fraud-eu:live", f"{prefix}fraud-eu:candidate"} < allowed
    assert f"{prefix}bert:live" in allowed
    assert len(allowed) == 6


def test_a_model_s_routes_may_have_a_throttle_of_their_own(prod: Deployed) -> None:
    """What the model does not say is the stage's; settings of a route replace the stage's altogether."""
    stage = prod.only("Api", "AWS::ApiGatewayV2::Stage")
    own = {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 70, "DetailedMetricsEnabled": True}
    assert stage["Properties"]["RouteSettings"] == {
        f"ANY {prefix}/v2/models/fraud-eu{rest}": own
        for prefix in ("", "/candidate")
        for rest in ("", "/{proxy+}")
    }
    routes_of_it = {
        id_
        for id_, route in prod.resources("Api", "AWS::ApiGatewayV2::Route").items()
        if "fraud-eu" in route["Properties"]["RouteKey"]
    }
    assert set(stage["DependsOn"]) == routes_of_it


def test_requests_are_throttled_and_logged_without_what_they_carry(prod: Deployed) -> None:
    stage = prod.only("Api", "AWS::ApiGatewayV2::Stage")["Properties"]
    settings = stage["DefaultRouteSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (50, 70)
    fields = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "route", "status", "latency_ms", "integration_error", "caller"} <= set(fields)
    assert not [field for field in fields.values() if "querystring" in field or "header" in field]


def test_the_address_is_found_by_the_stage_s_name(stage: Deployed) -> None:
    (api,) = stage.resources("Api", "AWS::ApiGatewayV2::Api")
    values = {
        found["Properties"]["Name"]: text_of(found["Properties"]["Value"])
        for found in stage.resources("Api", "AWS::SSM::Parameter").values()
    }
    assert values == {
        f"/switchyard/{stage.stage}/api-url": f"<{api}.ApiEndpoint>",
        f"/switchyard/{stage.stage}/api-id": f"<{api}>",
        f"/switchyard/{stage.stage}/api-kind": "http",
        f"/switchyard/{stage.stage}/api-key": "none",
        f"/switchyard/{stage.stage}/api-auth": "iam" if stage.stage == "prod" else "none",
    }
    assert text_of(stage.templates["Api"]["Outputs"]["ApiUrl"]["Value"]) == f"<{api}.ApiEndpoint>"


def test_the_front_knows_every_alias_and_may_ask_it(stage: Deployed) -> None:
    function = stage.only("Api", "AWS::Lambda::Function")["Properties"]
    variables = function["Environment"]["Variables"]
    assert set(variables) == {"SWITCHYARD_STAGE", "SWITCHYARD_MODELS"}
    assert json.loads(variables["SWITCHYARD_MODELS"]) == [
        {"model": "digits", "alias": "live"},
        {"model": "fraud-eu", "alias": "live"},
        {"model": "fraud-eu", "alias": "candidate"},
        {"model": "bert", "alias": "live"},
        {"model": "clip", "alias": "live"},
    ]
    (asks,) = (found for found in stage.statements("Api") if found["Action"] == ["lambda:InvokeFunction"])
    assert {text_of(resource).split(f"switchyard-{stage.stage}-")[1] for resource in asks["Resource"]} == {
        "digits:live",
        "fraud-eu:live",
        "fraud-eu:candidate",
        "bert:live",
        "clip:live",
    }
