"""Stateless: the one address, with a route for each model and alias."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from catalog.schema import Jwt, Model, Stage
from infra.acknowledged import (
    acknowledge_log_writer,
    acknowledge_no_firewall,
    acknowledge_open_routes,
    acknowledge_other_authorization,
    acknowledge_own_validation,
    acknowledge_runtime,
)
from infra.bundles import Tree
from infra.constructs.http_front import HttpFront
from infra.constructs.log_writer import LogWriter
from infra.constructs.python_function import PythonFunction, PythonFunctionProps, retention
from infra.constructs.rest_front import RestFront
from infra.constructs.web_acl import WebAcl
from infra.preflight import check_environment, check_rest_api, check_routes
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import (
    DEFAULT_ALIAS,
    api_auth_parameter,
    api_id_parameter,
    api_key_parameter,
    api_kind_parameter,
    api_url_parameter,
    authorizer_function_name,
    front_function_name,
)
from model_store.contract.environment import JWT, MODELS, STAGE

HANDLER = "functions.front.handler.handler"
LOG_POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
"""API Gateway takes no role that may write less: it makes the log groups of executions by itself."""

AUTHORIZER_HANDLER = "functions.authorizer.handler.handler"
FRONT_ROUTES = ("GET /v2", "GET /v2/health/{proxy+}", "$default")
FRONT_TIMEOUT_S = 20
"""Readiness waits up to 10 s for a model that starts cold, and the front itself may start cold."""

AUTHORIZER_TIMEOUT_S = 10
"""Two documents of the issuer may take 3 s each, and API Gateway waits 10 s for an authorizer."""


class ApiStack(StageStack):
    """Leads to aliases by name, so it neither moves them nor waits for what they point at."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        models: Mapping[str, Model],
        code: Tree,
        authorizer_code: Tree | None = None,
    ) -> None:
        """``authorizer_code`` is wanted where a REST API reads tokens: it cannot by itself."""
        kind = "a REST API" if stage.api == "rest" else "one HTTP API"
        super().__init__(
            scope,
            stage=stage,
            concern="Api",
            description=f"Switchyard {stage.name}: {kind} in front of every model",
        )
        self._access_log = logs.LogGroup(
            self,
            "AccessLog",
            # API Gateway adds a log group to an account-wide policy of limited size; names under
            # /aws/vendedlogs/ are covered by one entry (CloudWatch Logs User Guide, "Logging that
            # requires additional permissions").
            log_group_name=f"/aws/vendedlogs/switchyard/{stage.name}/api",
            retention=retention(stage.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self._permissions = Construct(self, "Permissions")
        if stage.api == "rest":
            check_rest_api(models, callers=stage.callers)
            self._front: HttpFront | RestFront = self._rest_front(authorizer_code)
        else:
            check_routes(models, own_routes=len(FRONT_ROUTES))
            self._front = self._http_front()
        self._lead_to_front(models, code)
        for model in models.values():
            for alias in model.aliases:
                self._lead_to_model(model, alias)
        if isinstance(self._front, RestFront):
            self._open(self._front)
        if stage.auth == "none":
            acknowledge_open_routes(self._front, stage.name)
        self._tell_where_it_is()

    def _http_front(self) -> HttpFront:
        stage = self.stage
        return HttpFront(
            self,
            "Http",
            name=f"switchyard-{stage.name}",
            auth=stage.auth,
            jwt=stage.jwt,
            throttle_rate=stage.throttle_rate,
            throttle_burst=stage.throttle_burst,
            access_log=self._access_log,
        )

    def _rest_front(self, authorizer_code: Tree | None) -> RestFront:
        authorizer = None
        if self.stage.jwt is not None and authorizer_code is not None:
            authorizer = self._authorizer(self.stage.jwt, authorizer_code)
        front = RestFront(
            self,
            "Rest",
            name=f"switchyard-{self.stage.name}",
            stage=self.stage,
            authorizer_arn=None if authorizer is None else authorizer.function.function_arn,
        )
        acknowledge_own_validation(front)
        acknowledge_other_authorization(front, self.stage.auth)
        if authorizer is not None:
            self._permit("Authorizer", authorizer.function.function_arn, front.api.ref, "authorizers/*")
        return front

    def _authorizer(self, jwt: Jwt, code: Tree) -> PythonFunction:
        name = authorizer_function_name(self.stage.name)
        said = {"issuer": jwt.issuer, "audience": list(jwt.audience), "scopes": list(jwt.scopes)}
        function = PythonFunction(
            self,
            "Authorizer",
            props=PythonFunctionProps(
                name=name,
                description="Checks the tokens that callers of the REST API send",
                handler=AUTHORIZER_HANDLER,
                code=code,
                memory_mb=512,
                timeout_s=AUTHORIZER_TIMEOUT_S,
                log_retention_days=self.stage.log_retention_days,
                keep=False,
                environment=check_environment(name, {JWT: json.dumps(said, separators=(",", ":"))}),
            ),
        )
        function.log_group.grant_write(function.role)
        acknowledge_runtime(function)
        return function

    def _open(self, front: RestFront) -> None:
        """Let callers in, behind a firewall where the catalog wants one."""
        rest = self.stage.rest
        writer = None
        if rest.logs_role:
            writer = LogWriter(self, "LogWriter")
            writer.role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(LOG_POLICY))
            acknowledge_log_writer(writer)
        front.open(access_log=self._access_log, log_writer=None if writer is None else writer.account)
        if rest.waf is None:
            acknowledge_no_firewall(front)
            return
        acl = rest.waf.acl
        if acl is None:
            name = f"switchyard-{self.stage.name}"
            own = WebAcl(self, "Firewall", name=name, rate_per_address=rest.waf.rate_per_address)
            acl = own.acl.attr_arn
        association = wafv2.CfnWebACLAssociation(
            self,
            "FirewallBeforeIt",
            web_acl_arn=acl,
            resource_arn=self.format_arn(
                service="apigateway",
                account="",
                resource="/restapis",
                resource_name=f"{front.api.ref}/stages/{front.stage.ref}",
            ),
        )
        association.add_resource_dependency(front.stage)

    def _lead_to_front(self, models: Mapping[str, Model], code: Tree) -> None:
        name = front_function_name(self.stage.name)
        front = PythonFunction(
            self,
            "Front",
            props=PythonFunctionProps(
                name=name,
                description="Answers what no single model can: the server's metadata, health, unknown routes",
                handler=HANDLER,
                code=code,
                memory_mb=256,
                timeout_s=FRONT_TIMEOUT_S,
                log_retention_days=self.stage.log_retention_days,
                keep=False,
                environment=check_environment(name, {STAGE: self.stage.name, MODELS: _listed(models)}),
            ),
        )
        front.log_group.grant_write(front.role)
        acknowledge_runtime(front)
        aliases = [self.model_function_arn(m.name, alias) for m in models.values() for alias in m.aliases]
        if aliases:
            # Whether the server is ready is whether every alias answers that it is.
            front.role.add_to_policy(
                iam.PolicyStatement(sid="AskModels", actions=["lambda:InvokeFunction"], resources=aliases)
            )
        self._allow("Front", front.function.function_arn)
        self._front.lead(
            "Front", routes=FRONT_ROUTES, to=front.function.function_arn, timeout_s=FRONT_TIMEOUT_S
        )

    def _lead_to_model(self, model: Model, alias: str) -> None:
        prefix = "" if alias == DEFAULT_ALIAS else f"/{alias}"
        path = f"{prefix}/v2/models/{model.name}"
        target = self.model_function_arn(model.name, alias)
        id_ = f"{model.name}@{alias}"
        self._allow(id_, target)
        self._front.lead(
            id_,
            routes=(f"ANY {path}", f"ANY {path}/{{proxy+}}"),
            to=target,
            timeout_s=model.timeout_s,
            throttle_rate=model.throttle_rate,
            throttle_burst=model.throttle_burst,
        )

    def _allow(self, id_: str, function_arn: str) -> None:
        """Let this API, and no other, call the function. On the alias, so that it survives every flip."""
        self._permit(id_, function_arn, self._front.api.ref, "*/*")

    def _permit(self, id_: str, function_arn: str, api_id: str, what: str) -> None:
        lambda_.CfnPermission(
            self._permissions,
            id_,
            action="lambda:InvokeFunction",
            principal="apigateway.amazonaws.com",
            function_name=function_arn,
            source_arn=self.format_arn(service="execute-api", resource=api_id, resource_name=what),
        )

    def _tell_where_it_is(self) -> None:
        stage, front = self.stage, self._front
        url = front.url if isinstance(front, RestFront) else front.api.attr_api_endpoint
        key = "required" if stage.callers else "none"
        for id_, name, value, description in (
            ("UrlParameter", api_url_parameter(stage.name), url, "The API's address"),
            ("IdParameter", api_id_parameter(stage.name), front.api.ref, "The API's id"),
            ("KindParameter", api_kind_parameter(stage.name), stage.api, "Which kind of API it is"),
            ("KeyParameter", api_key_parameter(stage.name), key, "Whether callers send a key"),
            ("AuthParameter", api_auth_parameter(stage.name), stage.auth, "How the API authorises"),
        ):
            ssm.StringParameter(self, id_, parameter_name=name, string_value=value, description=description)
        cdk.CfnOutput(
            self, "ApiUrl", value=url, description="Call models here: POST /v2/models/<model>/infer"
        )
        cdk.CfnOutput(self, "ApiAuth", value=self.stage.auth, description="How the API authorises")


def _listed(models: Mapping[str, Model]) -> str:
    """Every alias there is, as the front reads it."""
    listed = [{"model": model.name, "alias": alias} for model in models.values() for alias in model.aliases]
    return json.dumps(listed, separators=(",", ":"))
