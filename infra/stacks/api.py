"""Stateless: the one address, with a route for each model and alias."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_open_routes, acknowledge_runtime
from infra.bundles import Tree
from infra.constructs.http_front import HttpFront
from infra.constructs.python_function import PythonFunction, PythonFunctionProps, retention
from infra.preflight import check_environment, check_routes
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import (
    DEFAULT_ALIAS,
    api_auth_parameter,
    api_id_parameter,
    api_url_parameter,
    front_function_name,
)
from model_store.contract.environment import MODELS, STAGE

HANDLER = "functions.front.handler.handler"
FRONT_ROUTES = ("GET /v2", "GET /v2/health/{proxy+}", "$default")
FRONT_TIMEOUT_S = 20
"""Readiness waits up to 10 s for a model that starts cold, and the front itself may start cold."""


class ApiStack(StageStack):
    """Leads to aliases by name, so it neither moves them nor waits for what they point at."""

    def __init__(self, scope: Construct, *, stage: Stage, models: Mapping[str, Model], code: Tree) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Api",
            description=f"Switchyard {stage.name}: one HTTP API in front of every model",
        )
        check_routes(models, own_routes=len(FRONT_ROUTES))
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            # API Gateway adds a log group to an account-wide policy of limited size; names under
            # /aws/vendedlogs/ are covered by one entry (CloudWatch Logs User Guide, "Logging that
            # requires additional permissions").
            log_group_name=f"/aws/vendedlogs/switchyard/{stage.name}/api",
            retention=retention(stage.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self._http = HttpFront(
            self,
            "Http",
            name=f"switchyard-{stage.name}",
            auth=stage.auth,
            jwt=stage.jwt,
            throttle_rate=stage.throttle_rate,
            throttle_burst=stage.throttle_burst,
            access_log=access_log,
        )
        self._permissions = Construct(self, "Permissions")
        self._lead_to_front(models, code)
        for model in models.values():
            for alias in model.aliases:
                self._lead_to_model(model, alias)
        if stage.auth == "none":
            acknowledge_open_routes(self._http, stage.name)
        self._tell_where_it_is()

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
        self._http.lead(
            "Front", routes=FRONT_ROUTES, to=front.function.function_arn, timeout_s=FRONT_TIMEOUT_S
        )

    def _lead_to_model(self, model: Model, alias: str) -> None:
        prefix = "" if alias == DEFAULT_ALIAS else f"/{alias}"
        path = f"{prefix}/v2/models/{model.name}"
        target = self.model_function_arn(model.name, alias)
        id_ = f"{model.name}@{alias}"
        self._allow(id_, target)
        self._http.lead(
            id_,
            routes=(f"ANY {path}", f"ANY {path}/{{proxy+}}"),
            to=target,
            timeout_s=model.timeout_s,
            throttle_rate=model.throttle_rate,
            throttle_burst=model.throttle_burst,
        )

    def _allow(self, id_: str, function_arn: str) -> None:
        """Let this API, and no other, call the function. On the alias, so that it survives every flip."""
        lambda_.CfnPermission(
            self._permissions,
            id_,
            action="lambda:InvokeFunction",
            principal="apigateway.amazonaws.com",
            function_name=function_arn,
            source_arn=self.format_arn(
                service="execute-api", resource=self._http.api.ref, resource_name="*/*"
            ),
        )

    def _tell_where_it_is(self) -> None:
        url = self._http.api.attr_api_endpoint
        for id_, name, value, description in (
            ("UrlParameter", api_url_parameter(self.stage.name), url, "The API's address"),
            ("IdParameter", api_id_parameter(self.stage.name), self._http.api.ref, "The API's id"),
            ("AuthParameter", api_auth_parameter(self.stage.name), self.stage.auth, "How the API authorises"),
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
