"""HTTP APIs that were there before a stage, over boto3: ``releases.adoption.Fronts``.

Sources: API Gateway V2 API reference, ``GetIntegrations``, ``GetRoutes``, ``UpdateIntegration``; Lambda API
reference, ``AddPermission``. An HTTP API with automatic deployment serves a changed integration at once.
"""

from __future__ import annotations

import re
from typing import Any

import boto3
from botocore.exceptions import ClientError

from releases.adapters.translated import CONFIG, translated
from releases.adoption import Integration


class HttpApiFronts:
    """Integrations of HTTP APIs, and who may call an alias."""

    def __init__(self, *, apis: Any = None, functions: Any = None) -> None:
        self._apis = apis or boto3.client("apigatewayv2", config=CONFIG)
        self._functions = functions or boto3.client("lambda", config=CONFIG)

    def integrations(self, api: str) -> list[Integration]:
        with translated(f"the API `{api}`"):
            routes = [
                (str(route.get("Target", "")).removeprefix("integrations/"), str(route["RouteKey"]))
                for route in self._pages("get_routes", api)
            ]
            return [
                Integration(
                    id=str(item["IntegrationId"]),
                    uri=str(item.get("IntegrationUri", "")),
                    routes=tuple(key for target, key in routes if target == item["IntegrationId"]),
                    note=str(item.get("Description", "")),
                    form=str(item.get("PayloadFormatVersion", "1.0")),
                )
                for item in self._pages("get_integrations", api)
            ]

    def lead(self, api: str, integration: str, *, uri: str, note: str) -> None:
        with translated(f"integration `{integration}` of the API `{api}`"):
            self._apis.update_integration(
                ApiId=api, IntegrationId=integration, IntegrationUri=uri, Description=note
            )

    def let_in(self, api: str, function: str, alias: str) -> None:
        with translated(f"the permission of `{api}` on `{function}:{alias}`"):
            config = self._functions.get_function_configuration(FunctionName=function)
            found = re.fullmatch(r"arn:([a-z-]+):lambda:([a-z0-9-]+):(\d+):.*", config["FunctionArn"])
            partition, region, account = found.groups() if found else ("aws", "", "")
            try:
                self._functions.add_permission(
                    FunctionName=function,
                    Qualifier=alias,
                    StatementId=f"adopted-{api}",
                    Action="lambda:InvokeFunction",
                    Principal="apigateway.amazonaws.com",
                    SourceArn=f"arn:{partition}:execute-api:{region}:{account}:{api}/*",
                )
            except ClientError as error:
                # It was let in before.
                if error.response["Error"]["Code"] != "ResourceConflictException":
                    raise

    def _pages(self, call: str, api: str) -> list[Any]:
        """Every item; its paginators are not known for all of these calls."""
        items: list[Any] = []
        more: dict[str, str] = {}
        while True:
            page = getattr(self._apis, call)(ApiId=api, **more)
            items += page.get("Items", [])
            if not page.get("NextToken"):
                return items
            more = {"NextToken": page["NextToken"]}
