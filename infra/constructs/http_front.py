"""The one address: an HTTP API whose routes lead to the alias of a model, and never past it."""

from __future__ import annotations

import json

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

INTEGRATION_LIMIT_MS = 30_000
"""An HTTP API waits no longer for a function. Source: HTTP API quotas."""

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
        throttle_rate: int,
        throttle_burst: int,
        access_log: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        self._authorization_type = "AWS_IAM" if auth == "iam" else "NONE"
        self.api = apigateway.CfnApi(
            self,
            "Api",
            name=name,
            description="Open Inference Protocol V2, one route for each model and alias",
            protocol_type="HTTP",
        )
        self.stage = apigateway.CfnStage(
            self,
            "Stage",
            api_id=self.api.ref,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=throttle_rate,
                throttling_burst_limit=throttle_burst,
                detailed_metrics_enabled=True,
            ),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=access_log.log_group_arn,
                format=json.dumps(ACCESS_LOG_FIELDS, separators=(",", ":")),
            ),
        )

    def lead(self, id_: str, *, routes: tuple[str, ...], to: str, timeout_s: int) -> None:
        """Lead ``routes`` to the function (with its alias) whose ARN is ``to``."""
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
            apigateway.CfnRoute(
                place,
                route,
                api_id=self.api.ref,
                route_key=route,
                authorization_type=self._authorization_type,
                target=f"integrations/{integration.ref}",
            )
