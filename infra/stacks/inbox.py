"""Requests that are put into a bucket: objects in, objects out, each under its model's prefix."""

from __future__ import annotations

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Stage
from infra.acknowledged import acknowledge_passing_payloads
from infra.constructs.model_queues import KEPT_DAYS
from infra.constructs.passing_bucket import PassingBucket
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import inbox_bucket_parameter, inbox_key_parameter


class InboxStack(StageStack):
    """The bucket of a stage whose models have an inbox. It tells EventBridge and knows no model.

    Each model's own stack has the rule that leads its prefix to its queue. So bucket, rule and function never
    wait for each other, and a model that goes takes its rule along.
    """

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Inbox",
            description=f"Switchyard {stage.name}: requests put into a bucket, and their answers",
        )
        inbox = PassingBucket(
            self,
            "Inbox",
            keep_data=stage.keep_data,
            # As long as the queue keeps what could not be answered: its message names an object.
            forget_after_days=KEPT_DAYS,
            key_description="Encrypts requests and answers in the inbox",
            announces=True,
        )
        for id_, name, value, description in (
            ("BucketParameter", inbox_bucket_parameter(stage.name), inbox.bucket.bucket_name, "The inbox"),
            ("KeyParameter", inbox_key_parameter(stage.name), inbox.key.key_arn, "The key that encrypts it"),
        ):
            ssm.StringParameter(self, id_, parameter_name=name, string_value=value, description=description)
        acknowledge_passing_payloads(inbox.bucket)
