"""The one address: an HTTP API whose routes lead to the alias of a model, and never past it."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.schema import Jwt

INTEGRATION_LIMIT_MS = 30_000
"""An HTTP API waits no longer for a function. Source: HTTP API quotas."""

_AUTHORIZATION = {"iam": "AWS_IAM", "jwt": "JWT", "none": "NONE"}

# No header, no query and no body: a request may carry what its sender keeps private.
ACCESS_LOG_FIELDS = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "route": "$context.routeKey",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "integration_status": "$context.integration.integrationStatus",
    "integration_error": "$context.integration.error",
    "error": "$context.error.message",
    "caller": "$context.identity.userArn",
    "subject": "$context.authorizer.claims.sub",
    "source_ip": "$context.identity.sourceIp",
}


class HttpFront(Construct):
    """``api`` with its single stage; ``lead`` adds routes to a function, all authorised alike.

    Written on CloudFormation's own level: the L2 would give permissions on its own, and for imported
    functions guess whether it may.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        auth: str,
        jwt: Jwt | None,
        throttle_rate: int,
        throttle_burst: int,
        access_log: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        self._throttles = (throttle_rate, throttle_burst)
        self._authorization: dict[str, Any] = {"authorization_type": _AUTHORIZATION[auth]}
        self.api = apigateway.CfnApi(
            self,
            "Api",
            name=name,
            description="Open Inference Protocol V2, one route for each model and alias",
            protocol_type="HTTP",
        )
        if jwt is not None:
            authorizer = self._authorizer(jwt)
            self._authorization |= {"authorizer_id": authorizer.ref}
            if jwt.scopes:
                self._authorization |= {"authorization_scopes": list(jwt.scopes)}
        self._bound: dict[str, Any] = {}
        self.stage = apigateway.CfnStage(
            self,
            "Stage",
            api_id=self.api.ref,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=_limited(throttle_rate, throttle_burst),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=access_log.log_group_arn,
                format=json.dumps(ACCESS_LOG_FIELDS, separators=(",", ":")),
            ),
        )

    def lead(
        self,
        id_: str,
        *,
        routes: tuple[str, ...],
        to: str,
        timeout_s: int,
        throttle_rate: int | None = None,
        throttle_burst: int | None = None,
    ) -> None:
        """Lead ``routes`` to the function (with its alias) whose ARN is ``to``.

        With a throttle of their own each of them is bound by that, and not by the stage's.
        """
        place = Construct(self, id_)
        integration = apigateway.CfnIntegration(
            place,
            "Integration",
            api_id=self.api.ref,
            integration_type="AWS_PROXY",
            integration_uri=to,
            payload_format_version="2.0",
            # The function's own limit strikes first, so that its answer says what happened.
            timeout_in_millis=min((timeout_s + 1) * 1_000, INTEGRATION_LIMIT_MS),
        )
        for route in routes:
            made = apigateway.CfnRoute(
                place,
                route,
                api_id=self.api.ref,
                route_key=route,
                target=f"integrations/{integration.ref}",
                **self._authorization,
            )
            if throttle_rate is not None or throttle_burst is not None:
                rate, burst = self._throttles
                self._bound[route] = {
                    "ThrottlingRateLimit": throttle_rate or rate,
                    "ThrottlingBurstLimit": throttle_burst or burst,
                    # Settings of a route replace the stage's, they do not add to them
                    # (terraform-aws-modules/terraform-aws-apigateway-v2 pull request 80).
                    "DetailedMetricsEnabled": True,
                }
                self.stage.route_settings = dict(self._bound)
                # API Gateway takes settings of routes that exist (aws/serverless-application-model#2479).
                self.stage.add_resource_dependency(made)

    def _authorizer(self, jwt: Jwt) -> apigateway.CfnAuthorizer:
        """API Gateway itself checks tokens, before any function runs and is paid for."""
        return apigateway.CfnAuthorizer(
            self,
            "Tokens",
            api_id=self.api.ref,
            authorizer_type="JWT",
            name="tokens",
            identity_source=["$request.header.Authorization"],
            jwt_configuration=apigateway.CfnAuthorizer.JWTConfigurationProperty(
                issuer=jwt.issuer, audience=list(jwt.audience)
            ),
        )


def _limited(rate: int, burst: int) -> apigateway.CfnStage.RouteSettingsProperty:
    return apigateway.CfnStage.RouteSettingsProperty(
        throttling_rate_limit=rate, throttling_burst_limit=burst, detailed_metrics_enabled=True
    )
