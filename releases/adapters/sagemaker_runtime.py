"""A SageMaker endpoint of somebody else's, over boto3: ``releases.adoption.AskedEndpoint``.

Sources: SageMaker Runtime API reference, ``InvokeEndpoint`` (a container's refusal is ``ModelError``);
SageMaker API reference, ``DescribeEndpoint``.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError

from releases.adapters.translated import CONFIG, translated
from releases.errors import NotDeployedError, UnfitVersionError


class AskedSageMakerEndpoint:
    """Asked and looked at, never changed."""

    def __init__(self, name: str, *, runtime: Any = None, control: Any = None) -> None:
        self._name = name
        self._runtime = runtime or boto3.client("sagemaker-runtime", config=CONFIG)
        self._control = control or boto3.client("sagemaker", config=CONFIG)

    def configuration(self) -> str:
        with translated(f"the endpoint `{self._name}`"):
            return str(self._found(self._control.describe_endpoint, "EndpointConfigName"))

    def ask(self, body: bytes) -> bytes:
        json = "application/json"
        with translated(f"the endpoint `{self._name}`"):
            answer = self._found(
                self._runtime.invoke_endpoint, "Body", ContentType=json, Accept=json, Body=body
            )
            return bytes(answer.read())

    def _found(self, call: Any, what: str, **more: Any) -> Any:
        """SageMaker says "validation" for what is not there, and "model error" for what a container says."""
        try:
            return call(EndpointName=self._name, **more)[what]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            said = error.response["Error"].get("Message", "")
            if code in ("ValidationException", "ValidationError"):
                raise NotDeployedError(
                    f"there is no endpoint `{self._name}` that answers: {said}",
                    hint="Name one that is InService: `aws sagemaker list-endpoints` lists them.",
                ) from error
            if code == "ModelError":
                raise UnfitVersionError(
                    f"the endpoint `{self._name}` refused the sample: {said[:500]}",
                    hint="Give inputs that it accepts with `--sample FILE`.",
                ) from error
            raise
