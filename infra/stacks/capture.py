"""What models are asked, sampled: a bucket of rows, labels and reports. Only where a model keeps some."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from catalog.schema import Model, Stage
from infra.acknowledged import acknowledge_sampled_requests
from infra.constructs.capture_bucket import CaptureBucket
from infra.stacks.stage_stack import StageStack
from model_store.contract.deployment import capture_bucket_parameter, capture_key_parameter


class CaptureStack(StageStack):
    """The bucket, and the two parameters by which functions and people find it."""

    def __init__(self, scope: Construct, *, stage: Stage, models: Mapping[str, Model]) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern="Capture",
            description=f"Switchyard {stage.name}: a sample of requests, and what was found in it",
        )
        days = {name: model.captures.retention_days for name, model in models.items() if model.captures}
        captured = CaptureBucket(self, "Captured", keep_data=stage.keep_data, days=days)
        for id_, name, value, description in (
            (
                "BucketParameter",
                capture_bucket_parameter(stage.name),
                captured.bucket.bucket_name,
                "The bucket of captured requests",
            ),
            (
                "KeyParameter",
                capture_key_parameter(stage.name),
                captured.key.key_arn,
                "The key that encrypts it",
            ),
        ):
            ssm.StringParameter(self, id_, parameter_name=name, string_value=value, description=description)
        acknowledge_sampled_requests(captured.bucket)
