"""SageMaker through boto3, to look at endpoints. Making and deleting them is CloudFormation's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from releases.adapters.translated import CONFIG, translated
from releases.errors import NotDeployedError
from releases.ports import EndpointState

if TYPE_CHECKING:
    from botocore.client import BaseClient

_MISSING = ("Could not find", "does not exist", "not found")


class SageMakerEndpoints:
    """``releases.ports.Endpoints`` on SageMaker."""

    def __init__(self, client: BaseClient | None = None) -> None:
        # Any: the client has no types here, and its answers are dictionaries.
        self._sagemaker: Any = client or boto3.client("sagemaker", config=CONFIG)

    def describe(self, name: str) -> EndpointState | None:
        """The endpoint, the configuration that it names, and the model that this one or a component names."""
        try:
            with translated(f"the endpoint `{name}`"):
                return self._described(name)
        except NotDeployedError:
            return None

    def status(self, name: str) -> str | None:
        """One call."""
        try:
            with translated(f"the endpoint `{name}`"):
                return str(_found(self._sagemaker.describe_endpoint, EndpointName=name)["EndpointStatus"])
        except NotDeployedError:
            return None

    def names(self, prefix: str) -> list[str]:
        with translated(f"the endpoints `{prefix}…`"):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate(NameContains=prefix)
            found = [item["EndpointName"] for page in pages for item in page["Endpoints"]]
        return sorted(name for name in found if name.startswith(prefix))

    def _described(self, name: str) -> EndpointState:
        endpoint = _found(self._sagemaker.describe_endpoint, EndpointName=name)
        config = _found(
            self._sagemaker.describe_endpoint_config, EndpointConfigName=endpoint["EndpointConfigName"]
        )
        (variant,) = config["ProductionVariants"]
        running: dict[str, Any] = (endpoint.get("ProductionVariants") or [{}])[0]
        status, reason = endpoint["EndpointStatus"], endpoint.get("FailureReason", "")
        model_name = variant.get("ModelName")
        if model_name is None:
            # Its model is a component of the same name, which comes after it and may fail by itself.
            component = _found(self._sagemaker.describe_inference_component, InferenceComponentName=name)
            model_name = component["Specification"]["ModelName"]
            if status == "InService":
                status = component["InferenceComponentStatus"]
                reason = component.get("FailureReason", "")
        model = _found(self._sagemaker.describe_model, ModelName=model_name)
        container = model.get("PrimaryContainer") or model["Containers"][0]
        return EndpointState(
            name=name,
            status=status,
            reason=reason,
            environment=dict(container.get("Environment") or {}),
            instance_type=variant.get("InstanceType", ""),
            instances=running.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 0)),
            log_group=f"/aws/sagemaker/Endpoints/{name}",
        )


def _found(call: Any, **asked: str) -> dict[str, Any]:
    """SageMaker says "validation error" for what is not there."""
    try:
        answer: dict[str, Any] = call(**asked)
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        if error.response["Error"]["Code"] == "ValidationException" and any(
            word in said for word in _MISSING
        ):
            (name,) = asked.values()
            raise NotDeployedError(f"`{name}` does not exist") from error
        raise
    return answer
