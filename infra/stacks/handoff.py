"""Payloads on their way through: a bucket apart from the store, which forgets them after a day."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Stage
from infra.acknowledged import acknowledge_passing_payloads
from infra.constructs.passing_bucket import PassingBucket
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import handoff_bucket_parameter, handoff_key_parameter

ADDRESS_MS = 15 * 60 * 1000
"""No longer than functions sign addresses for (``functions.inference.handoff.ADDRESS_S``)."""

FORGET_AFTER_DAYS = 1
"""S3's shortest lifecycle. Functions take an upload for an hour."""


class HandoffStack(StageStack):
    """The bucket of a stage whose models hand off, and the parameters by which their stacks find it."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Handoff",
            description=f"Switchyard {stage.name}: where payloads pass that Lambda does not carry",
        )
        handoff = PassingBucket(
            self,
            "Handoff",
            keep_data=stage.keep_data,
            forget_after_days=FORGET_AFTER_DAYS,
            key_description="Encrypts payloads on their way to and from models",
        )
        # Addresses are signed for 15 minutes. Here it is the bucket that says so, to everybody: one
        # that was signed for longer, by whatever mistake, ends all the same.
        handoff.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AddressesEnd",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:GetObject", "s3:PutObject"],
                resources=[handoff.bucket.arn_for_objects("*")],
                conditions={"NumericGreaterThan": {"s3:signatureAge": str(ADDRESS_MS)}},
            )
        )
        for id_, name, value, description in (
            (
                "BucketParameter",
                handoff_bucket_parameter(stage.name),
                handoff.bucket.bucket_name,
                "The hand-off bucket",
            ),
            (
                "KeyParameter",
                handoff_key_parameter(stage.name),
                handoff.key.key_arn,
                "The key that encrypts it",
            ),
        ):
            ssm.StringParameter(self, id_, parameter_name=name, string_value=value, description=description)
        acknowledge_passing_payloads(handoff.bucket)
