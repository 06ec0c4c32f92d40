"""A small app with the kinds of resources this project's stacks have; deployed by the tests of the embedded cloud."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_ssm as ssm
from constructs import Construct

HERE = Path(__file__).parent


class Store(cdk.Stack):
    def __init__(self, scope: Construct, id_: str, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self.key = kms.Key(self, "Key", enable_key_rotation=True)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            versioned=True,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(30))],
        )
        ssm.StringParameter(
            self, "Parameter", parameter_name="/probe/bucket", string_value=self.bucket.bucket_name
        )


class Service(cdk.Stack):
    def __init__(self, scope: Construct, id_: str, *, store: Store, answer: str, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        layer = lambda_.LayerVersion(self, "Words", code=lambda_.Code.from_asset(str(HERE / "layer")))
        function = self._function(
            "Greeter", "greeter.handler", layers=[layer], environment={"ANSWER": answer}
        )
        operations = self._function("Operations", "operations.handler")
        operations.add_to_role_policy(
            iam.PolicyStatement(
                actions=["lambda:*"], resources=[function.function_arn, f"{function.function_arn}:*"]
            )
        )
        alias = cdk.CustomResource(
            self,
            "Alias",
            service_token=operations.function_arn,
            resource_type="Custom::ProbeAlias",
            service_timeout=cdk.Duration.seconds(30),
            properties={
                "FunctionName": function.function_name,
                "Fail": self.node.try_get_context("fail") or "no",
            },
        )
        self._api(alias.get_att_string("AliasArn"), alias)
        store.bucket.grant_read(function)

    def _function(self, id_: str, handler: str, **kwargs: Any) -> lambda_.Function:
        group = logs.LogGroup(self, f"{id_}Logs", retention=logs.RetentionDays.ONE_WEEK)
        code = lambda_.Code.from_asset(str(HERE / "functions"))
        runtime = lambda_.Runtime.PYTHON_3_13
        return lambda_.Function(
            self, id_, runtime=runtime, handler=handler, code=code, log_group=group, **kwargs
        )

    def _api(self, alias_arn: str, alias: cdk.CustomResource) -> None:
        api = apigateway.CfnApi(self, "Api", name="probe", protocol_type="HTTP")
        integration = apigateway.CfnIntegration(
            self,
            "Integration",
            api_id=api.ref,
            integration_type="AWS_PROXY",
            integration_uri=alias_arn,
            payload_format_version="2.0",
        )
        apigateway.CfnRoute(
            self, "Route", api_id=api.ref, route_key="ANY /{proxy+}", target=f"integrations/{integration.ref}"
        )
        access = logs.LogGroup(self, "Access", retention=logs.RetentionDays.ONE_WEEK)
        apigateway.CfnStage(
            self,
            "Stage",
            api_id=api.ref,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=access.log_group_arn,
                format='{"id":"$context.requestId","status":"$context.status","route":"$context.routeKey"}',
            ),
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=100, throttling_burst_limit=50
            ),
        )
        permission = lambda_.CfnPermission(
            self,
            "MayInvoke",
            action="lambda:InvokeFunction",
            function_name=alias_arn,
            principal="apigateway.amazonaws.com",
            source_arn=f"arn:aws:execute-api:{self.region}:{self.account}:{api.ref}/*",
        )
        permission.node.add_dependency(alias)
        cdk.CfnOutput(self, "Url", value=api.attr_api_endpoint)


app = cdk.App()
store = Store(app, "Probe-Store")
Service(app, "Probe-Service", store=store, answer=app.node.try_get_context("answer") or "hello")
app.synth()
