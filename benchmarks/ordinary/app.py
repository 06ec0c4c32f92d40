"""A model served the ordinary CDK way: the template says which version is live, and a deploy changes it.

One function, its ``current_version``, an alias on that, an HTTP API in front. The folder named by
``ORDINARY_CODE`` is the function's code, model included.
"""

from __future__ import annotations

import os

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as http
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration

NAME = "Ordinary"


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, NAME)
    function = lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="handler.handler",
        code=lambda_.Code.from_asset(os.environ["ORDINARY_CODE"]),
        memory_size=512,
        timeout=cdk.Duration.seconds(10),
        current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN),
    )
    alias = lambda_.Alias(stack, "Live", alias_name="live", version=function.current_version)
    api = http.HttpApi(stack, "Api", default_integration=HttpLambdaIntegration("Live", alias))
    cdk.CfnOutput(stack, "Url", value=api.api_endpoint)
    app.synth()


if __name__ == "__main__":
    main()
