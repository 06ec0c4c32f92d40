"""What every stack of a stage has: its name, its place in the world, its tags."""

from __future__ import annotations

import os

import aws_cdk as cdk
from constructs import Construct

from catalog.schema import Stage
from model_store.contract.deployment import function_name, operations_function_name, stack_name

STAGE_TAG = "switchyard:stage"
MODEL_TAG = "switchyard:model"

CUSTOM_RESOURCE_TIMEOUT_S = 15 * 60
"""The operations function's own limit, Lambda's largest; CloudFormation waits a minute longer."""


class StageStack(cdk.Stack):
    """One concern of one stage. ``stateful`` ones resist deletion when the stage keeps its data.

    ``region`` is said where a concern stands in another one than its stage.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        stage: Stage,
        concern: str,
        description: str,
        stateful: bool = False,
        model: str | None = None,
        region: str | None = None,
    ) -> None:
        tags = {STAGE_TAG: stage.name} | ({MODEL_TAG: model} if model else {})
        super().__init__(
            scope,
            stack_name(stage.name, concern),
            description=description,
            env=cdk.Environment(
                account=stage.account or os.environ.get("CDK_DEFAULT_ACCOUNT"),
                region=region or stage.region or os.environ.get("CDK_DEFAULT_REGION"),
            ),
            termination_protection=stateful and stage.keep_data,
            tags=tags,
        )
        self.stage = stage
        for key, value in tags.items():
            cdk.Tags.of(self).add(key, value)

    def function_arn(self, name: str, qualifier: str | None = None) -> str:
        """ARN of a function by its name: no export ties the stacks together."""
        return self.format_arn(
            service="lambda",
            resource="function",
            resource_name=f"{name}:{qualifier}" if qualifier else name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def alarm_arn(self, name: str) -> str:
        """ARN of an alarm by its name."""
        return self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def model_function_arn(self, model: str, alias: str) -> str:
        return self.function_arn(function_name(self.stage.name, model), alias)

    def custom_resource(self, id_: str, *, type_: str, properties: dict[str, object]) -> cdk.CustomResource:
        """A resource that the operations function answers for."""
        return cdk.CustomResource(
            self,
            id_,
            resource_type=type_,
            service_token=self.function_arn(operations_function_name(self.stage.name)),
            # Without a limit of its own CloudFormation would wait an hour for a function that died.
            service_timeout=cdk.Duration.seconds(CUSTOM_RESOURCE_TIMEOUT_S + 60),
            properties=properties,
        )
