"""SageMaker and S3 through boto3, to begin a training job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from training.errors import FitError


class AwsJobs:
    """Jobs on AWS. Needs ``s3:PutObject``, ``sagemaker:CreateTrainingJob`` and ``iam:PassRole``."""

    def __init__(self, *, sagemaker: Any = None, s3: Any = None) -> None:
        self._sagemaker = sagemaker or boto3.client("sagemaker")
        self._s3 = s3 or boto3.client("s3")

    def upload(self, bucket: str, key: str, data: bytes) -> None:
        with _translated(f"`s3://{bucket}/{key}` cannot be written"):
            self._s3.put_object(Bucket=bucket, Key=key, Body=data)

    def begin(self, request: dict[str, Any]) -> str:
        with _translated(f"SageMaker does not begin `{request['TrainingJobName']}`"):
            return str(self._sagemaker.create_training_job(**request)["TrainingJobArn"])


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise FitError(
            f"{what}: {error}", hint="Check the role, the bucket, the image and your own permissions."
        ) from error
