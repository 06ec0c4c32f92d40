"""The other front door: a REST API, for callers with keys, behind a firewall, or in a network only (ADR 62).

The same ``lead`` as the HTTP API's: routes to aliases, never past them. What is different stays in here: a
tree of resources in place of routes, a deployment that has to be made anew when anything changes, gateway
responses in the protocol's form, usage plans, a resource policy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.front import Caller
from catalog.schema import Stage
from model_store.contract.deployment import api_key_name

INTEGRATION_LIMIT_MS = 29_000
"""A REST API waits no longer, unless the account asked for more. Source: API Gateway quotas."""

TOKEN_SECONDS = 60
"""So long API Gateway keeps an authorizer's answer: a token that has expired passes for as long, at most."""

BEARER_PATTERN = r"[Bb]earer +[\w-]+\.[\w-]+\.[\w-]+"

TLS = "SecurityPolicy_TLS13_1_2_2021_06"
"""TLS 1.2 and 1.3. Without it the address of a regional API speaks TLS 1.0 too (developer guide, "Supported
security policies"). Anything that begins with SecurityPolicy_ wants an access mode said as well."""

_AUTHORIZATION = {"iam": "AWS_IAM", "jwt": "CUSTOM", "none": "NONE"}
_DEFAULT = "$default"

# Settings of an ANY method are said for the methods that callers use (developer guide, UpdateStage: keys are
# resource paths and HTTP methods; serverless-api-gateway-throttling does the same). Models take these two.
_BOUND_METHODS = ("GET", "POST")

# No header, no query and no body: a request may carry what its sender keeps private. The key is its id.
ACCESS_LOG_FIELDS = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "route": "$context.resourcePath",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integration.latency",
    "integration_status": "$context.integration.integrationStatus",
    "integration_error": "$context.integration.error",
    "error": "$context.error.message",
    "refused_as": "$context.error.responseType",
    "caller": "$context.identity.userArn",
    "subject": "$context.authorizer.principalId",
    "key": "$context.identity.apiKeyId",
    "firewall": "$context.waf.status",
    "vpc_endpoint": "$context.identity.vpceId",
    "tls": "$context.tlsVersion",
    "source_ip": "$context.identity.sourceIp",
}

_SAID = {
    "ACCESS_DENIED": (403, "this caller may not do that"),
    "API_CONFIGURATION_ERROR": (500, "the API is set up wrong, or the function failed"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "the API's authorizer is set up wrong"),
    "AUTHORIZER_FAILURE": (500, "the API's authorizer failed: it could not tell whether the token is good"),
    "EXPIRED_TOKEN": (403, "the signature or its credentials have expired"),
    "INTEGRATION_FAILURE": (504, "the function could not be asked"),
    "INTEGRATION_TIMEOUT": (504, "the function did not answer in time"),
    "INVALID_API_KEY": (403, "this API asks for the key of a caller in `x-api-key`"),
    "INVALID_SIGNATURE": (403, "the signature of this request is not right"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "this API asks for a signature, or there is nothing at this path"),
    "QUOTA_EXCEEDED": (429, "the quota of this key is used up for its period"),
    "REQUEST_TOO_LARGE": (413, "this request is larger than the API or its function takes"),
    "RESOURCE_NOT_FOUND": (404, "there is nothing at this path"),
    "THROTTLED": (429, "too many requests at once: the limit of this key, of the model or of the API"),
    "UNAUTHORIZED": (401, "this API asks for a token that is good, as `Authorization: Bearer ...`"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "the API does not take this kind of body"),
    "WAF_FILTERED": (403, "the API's firewall does not let this request in"),
}
"""What API Gateway says in our place, in the protocol's form. All else has its own words in that form."""

_AS_IT_IS = '{"error":$context.error.messageString}'

_MORE_HEADERS = {
    "THROTTLED": {"gatewayresponse.header.Retry-After": "'1'"},
    "UNAUTHORIZED": {"gatewayresponse.header.WWW-Authenticate": "'Bearer'"},
}


class RestFront(Construct):
    """``api``; ``lead`` adds routes to a function, all authorised alike; ``open`` deploys them, at the end.

    Written on CloudFormation's own level, as the HTTP API is.
    """

    def __init__(
        self, scope: Construct, id_: str, *, name: str, stage: Stage, authorizer_arn: str | None
    ) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._resources: dict[str, str] = {}
        self._made: list[cdk.CfnResource] = []
        self._bound: list[apigateway.CfnStage.MethodSettingProperty] = []
        endpoints = list(stage.rest.vpc_endpoints)
        policy = _only_through(endpoints) if endpoints else None
        self._shown: list[Any] = [TLS, endpoints, policy]
        self.api = apigateway.CfnRestApi(
            self,
            "Api",
            name=name,
            description="Open Inference Protocol V2, resources for each model and alias",
            # Every body travels as base64: which ones are binary is the protocol's matter, and an answer is
            # turned back only if its request's first Accept is among these.
            binary_media_types=["*/*"],
            api_key_source_type="HEADER",
            security_policy=TLS,
            endpoint_access_mode="STRICT",
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(
                types=["PRIVATE" if endpoints else "REGIONAL"], vpc_endpoint_ids=endpoints or None
            ),
            policy=policy,
        )
        self._authorization: dict[str, Any] = {
            "authorization_type": _AUTHORIZATION[stage.auth],
            "api_key_required": bool(stage.callers),
        }
        if authorizer_arn is not None:
            self._authorization["authorizer_id"] = self._authorizer(authorizer_arn).ref
        self._say_it_in_the_protocols_form()

    @property
    def url(self) -> str:
        """Where callers send requests to. A private API is named together with the first endpoint, which
        resolves whether or not that endpoint has private DNS."""
        through = f"-{self._stage.rest.vpc_endpoints[0]}" if self._stage.rest.vpc_endpoints else ""
        stack = cdk.Stack.of(self)
        host = f"{self.api.ref}{through}.execute-api.{stack.region}.{stack.url_suffix}"
        return f"https://{host}/{self._stage.name}"

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
        for route in routes:
            method, _, path = route.partition(" ")
            for one in ("/", "/{proxy+}") if route == _DEFAULT else (path,):
                self._method(place, "ANY" if route == _DEFAULT else method, one, to, timeout_s)
                if throttle_rate is not None or throttle_burst is not None:
                    self._bind(one, throttle_rate, throttle_burst)

    def open(self, *, access_log: logs.ILogGroup, log_writer: cdk.CfnResource | None) -> None:
        """Deploy what was led, and let callers in. A REST API shows a change once it is deployed anew."""
        deployment = apigateway.CfnDeployment(
            self,
            f"Deployment{self._fingerprint()}",
            rest_api_id=self.api.ref,
            description="One state of the routes: replaced, never changed",
        )
        for made in self._made:
            deployment.add_resource_dependency(made)
        self.stage = apigateway.CfnStage(
            self,
            "Stage",
            rest_api_id=self.api.ref,
            deployment_id=deployment.ref,
            stage_name=self._stage.name,
            method_settings=[
                _settings("/*", "*", self._stage.throttle_rate, self._stage.throttle_burst),
                *self._bound,
            ],
            access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
                destination_arn=access_log.log_group_arn,
                format=json.dumps(ACCESS_LOG_FIELDS, separators=(",", ":")),
            ),
        )
        if log_writer is not None:
            # A stage that logs is refused as long as the account names nobody who may write.
            self.stage.add_resource_dependency(log_writer)
        for name, caller in self._stage.callers.items():
            self._admit(name, caller)

    def _method(self, place: Construct, method: str, path: str, to: str, timeout_s: int) -> None:
        # The function's own limit strikes first, so that its answer says what happened.
        timeout_ms = min((timeout_s + 1) * 1_000, INTEGRATION_LIMIT_MS)
        self._made.append(
            apigateway.CfnMethod(
                place,
                f"{method} {path}",
                rest_api_id=self.api.ref,
                resource_id=self._resource(path),
                http_method=method,
                integration=apigateway.CfnMethod.IntegrationProperty(
                    type="AWS_PROXY",
                    integration_http_method="POST",
                    uri=self._invocations_of(to),
                    timeout_in_millis=timeout_ms,
                ),
                **self._authorization,
            )
        )
        self._shown.append([method, path, to, timeout_ms, self._authorization])

    def _resource(self, path: str) -> str:
        """The id of the resource at ``path``, made with those above it if it is not there yet."""
        if path == "/":
            return self.api.attr_root_resource_id
        if path not in self._resources:
            above, _, part = path.rpartition("/")
            made = apigateway.CfnResource(
                self,
                f"At {path}",
                rest_api_id=self.api.ref,
                parent_id=self._resource(above or "/"),
                path_part=part,
            )
            self._resources[path] = made.ref
        return self._resources[path]

    def _bind(self, path: str, rate: int | None, burst: int | None) -> None:
        encoded = "/" + path.replace("/", "~1")
        rate, burst = rate or self._stage.throttle_rate, burst or self._stage.throttle_burst
        self._bound += [_settings(encoded, method, rate, burst) for method in _BOUND_METHODS]

    def _authorizer(self, function_arn: str) -> apigateway.CfnAuthorizer:
        made = apigateway.CfnAuthorizer(
            self,
            "Tokens",
            rest_api_id=self.api.ref,
            name="tokens",
            type="TOKEN",
            identity_source="method.request.header.Authorization",
            # What is no token of any kind costs no invocation.
            identity_validation_expression=BEARER_PATTERN,
            authorizer_result_ttl_in_seconds=TOKEN_SECONDS,
            authorizer_uri=self._invocations_of(function_arn),
        )
        self._made.append(made)
        self._shown.append([function_arn, TOKEN_SECONDS, BEARER_PATTERN])
        return made

    def _invocations_of(self, function_arn: str) -> str:
        """How an integration names a function: by its alias, which no flip changes."""
        return cdk.Stack.of(self).format_arn(
            service="apigateway",
            account="lambda",
            resource="path/2015-03-31/functions",
            resource_name=f"{function_arn}/invocations",
        )

    def _say_it_in_the_protocols_form(self) -> None:
        own = {
            kind: (str(status), json.dumps({"error": said}, separators=(",", ":")))
            for kind, (status, said) in _SAID.items()
        }
        others = dict.fromkeys(
            ("DEFAULT_4XX", "DEFAULT_5XX"), (None, '{"error":$context.error.messageString}')
        )
        self._shown.append([own, others, _MORE_HEADERS])
        for kind, (status, template) in {**own, **others}.items():
            self._made.append(
                apigateway.CfnGatewayResponse(
                    self,
                    kind,
                    rest_api_id=self.api.ref,
                    response_type=kind,
                    status_code=status,
                    response_parameters=_MORE_HEADERS.get(kind),
                    response_templates={"application/json": template},
                )
            )

    def _admit(self, name: str, caller: Caller) -> None:
        """A plan for this caller and its keys. Their values are API Gateway's: no template ever has one."""
        place = Construct(self, f"Caller {name}")
        quota = None
        if caller.quota is not None:
            quota = apigateway.CfnUsagePlan.QuotaSettingsProperty(
                limit=caller.quota, period=caller.period.upper()
            )
        plan = apigateway.CfnUsagePlan(
            place,
            "Plan",
            usage_plan_name=api_key_name(self._stage.name, name, "plan"),
            description=f"What {name} may call of stage {self._stage.name}",
            api_stages=[
                apigateway.CfnUsagePlan.ApiStageProperty(api_id=self.api.ref, stage=self._stage.name)
            ],
            throttle=apigateway.CfnUsagePlan.ThrottleSettingsProperty(
                rate_limit=caller.rate, burst_limit=caller.burst
            ),
            quota=quota,
        )
        plan.add_resource_dependency(self.stage)
        for label in caller.keys:
            key = apigateway.CfnApiKey(
                place,
                f"Key {label}",
                name=api_key_name(self._stage.name, name, label),
                description=f"{name} calls stage {self._stage.name} with it",
                enabled=True,
            )
            apigateway.CfnUsagePlanKey(
                place, f"Use {label}", key_id=key.ref, key_type="API_KEY", usage_plan_id=plan.ref
            )

    def _fingerprint(self) -> str:
        """What this deployment is of: anything that a REST API shows only once it is deployed."""
        # As one text, in which CDK names what it refers to as CloudFormation does: the same in every synth.
        said = cdk.Stack.of(self).resolve(json.dumps(self._shown, sort_keys=True))
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _settings(path: str, method: str, rate: int, burst: int) -> apigateway.CfnStage.MethodSettingProperty:
    return apigateway.CfnStage.MethodSettingProperty(
        resource_path=path,
        http_method=method,
        throttling_rate_limit=rate,
        throttling_burst_limit=burst,
        metrics_enabled=True,
        # Errors alone, and never what a request or an answer held: with data tracing API Gateway writes
        # bodies, and at level INFO the end of a caller's key.
        logging_level="ERROR",
        data_trace_enabled=False,
    )


def _only_through(endpoints: list[str]) -> Mapping[str, Any]:
    """Nobody from elsewhere; who comes this way still proves who they are, if the stage asks."""
    every = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    elsewhere = {"StringNotEquals": {"aws:SourceVpce": endpoints}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "OnlyThroughTheseEndpoints", "Effect": "Deny", **every, "Condition": elsewhere},
            {"Sid": "WhoeverComesThisWay", "Effect": "Allow", **every},
        ],
    }
