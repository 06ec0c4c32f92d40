"""CloudFormation's types for endpoints and their scaling.

Stock: ``Unrecognized resource types``. AWS: template reference of ``AWS::SageMaker::Model``,
``EndpointConfig``, ``InferenceComponent`` and ``Endpoint`` (``Ref`` is the ARN; a changed model or
configuration is a new one; CloudFormation waits until an endpoint is in service), of
``AWS::ApplicationAutoScaling::ScalableTarget`` (``Ref`` is resource, dimension and namespace, joined by bars)
and ``ScalingPolicy``. An endpoint that is Failed fails its resource with SageMaker's reason.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners, stacks

from local_cloud.extension import autoscaling, sagemaker
from local_cloud.extension.services import RefusedError

_PATIENCE_S = 1_200.0
_POLL_S = 0.05

_SETTLING: dict[str, tuple[Any, str]] = {
    "Endpoint": (sagemaker.endpoints, "EndpointStatus"),
    "InferenceComponent": (sagemaker.components, "InferenceComponentStatus"),
}
"""What takes its time to come, and where it says that it has."""

Made = tuple[str, dict[str, Any]]

_WHOLE = frozenset(
    {
        "InitialInstanceCount",
        "VolumeSizeInGB",
        "MinCapacity",
        "MaxCapacity",
        "MaxConcurrentInvocationsPerInstance",
        "ScalingAdjustment",
        "CopyCount",
        "MinMemoryRequiredInMb",
        "MinInstanceCount",
        "MaxInstanceCount",
    }
)


def _typed(value: Any, key: str = "") -> Any:
    """Numbers that a template may carry as strings, as the API takes them."""
    if isinstance(value, dict):
        return {name: _typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, key) for item in value]
    if key in _WHOLE or key.endswith(("InSeconds", "Cooldown")):
        return int(float(value))
    return float(value) if key in ("InitialVariantWeight", "TargetValue") else value


def _model_of(kind: str, key: str, noun: str) -> dict[str, Callable[..., Any]]:
    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
        asked = _typed(copy.deepcopy(properties))
        asked[key] = asked.get(key) or provisioners._physical_name(stack, logical_id, max_len=63)
        asked.pop("Tags", None)
        made = _called(f"Create{kind}", asked)
        physical = str(made[f"{kind}Arn"])
        if kind in _SETTLING:
            try:
                _wait(asked[key], kind)
            except ValueError:
                # The stack's rollback deletes what was made and failed; here it would not know of it.
                _called(f"Delete{kind}", {key: asked[key]})
                raise
        return physical, {key: asked[key], "Arn": physical}

    def delete(physical: str, properties: dict[str, Any]) -> None:
        name = properties.get(key) or _named(kind, noun, physical)
        if name is None:
            return
        if kind in _SETTLING:
            _wait(name, kind, failed_is_fine=True)
        try:
            sagemaker.control(f"Delete{kind}", {key: name})
        except RefusedError as error:
            if "Could not find" not in str(error):
                raise ValueError(str(error)) from error

    return {"create": create, "delete": delete}


def _named(kind: str, noun: str, physical: str) -> str | None:
    store, _, _ = sagemaker._KINDS[kind]
    return next((name for name in store if sagemaker._arn(noun, name) == physical), None)


def _update_endpoint(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    """What a template must not do to an endpoint of ours, done as CloudFormation would."""
    del old, stack, logical_id
    name = _named("Endpoint", "endpoint", physical)
    if name is None:
        raise ValueError(f"Could not find endpoint {physical}")
    _called("UpdateEndpoint", {"EndpointName": name, "EndpointConfigName": new["EndpointConfigName"]})
    _wait(name)
    return physical, {"EndpointName": name, "Arn": physical}


def _wait(name: str, kind: str = "Endpoint", *, failed_is_fine: bool = False) -> None:
    store, status = _SETTLING[kind]
    end = time.monotonic() + _PATIENCE_S
    while (found := store.get(name)) is not None:
        if found[status] == "Failed" and not failed_is_fine:
            raise ValueError(found["FailureReason"])
        if found[status] not in ("Creating", "Updating"):
            return
        if time.monotonic() > end:
            raise ValueError(f"The {kind} {name} did not stabilize")
        time.sleep(_POLL_S)


def _called(action: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return sagemaker.control(action, request)
    except RefusedError as error:
        raise ValueError(str(error)) from error


def _create_target(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    del logical_id, stack
    asked = _typed(copy.deepcopy(properties))
    autoscaling.control("RegisterScalableTarget", asked)
    physical = "|".join(str(asked[key]) for key in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
    return physical, {"Id": physical}


def _update_target(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    del physical, old
    return _create_target(logical_id, new, stack)


def _delete_target(physical: str, properties: dict[str, Any]) -> None:
    del properties
    _gone("DeregisterScalableTarget", _parts(physical))


def _create_policy(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    del logical_id, stack
    asked = _typed(copy.deepcopy(properties))
    target = asked.pop("ScalingTargetId", None)
    if target:
        asked |= _parts(str(target))
    made = autoscaling.control("PutScalingPolicy", asked)
    return str(made["PolicyARN"]), {"Arn": made["PolicyARN"]}


def _update_policy(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    del physical, old
    return _create_policy(logical_id, new, stack)


def _delete_policy(physical: str, properties: dict[str, Any]) -> None:
    del physical
    target = properties.get("ScalingTargetId")
    asked = {"PolicyName": properties["PolicyName"], **(_parts(str(target)) if target else properties)}
    _gone("DeleteScalingPolicy", asked)


def _parts(physical: str) -> dict[str, str]:
    resource, dimension, namespace = physical.split("|")
    return {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}


def _gone(action: str, request: dict[str, Any]) -> None:
    try:
        autoscaling.control(action, request)
    except RefusedError:
        return  # gone before: deleting is done


def _runs_on_worker_thread(resource_type: str) -> bool:
    """Waiting for an endpoint must not keep the cloud from serving the files that the endpoint reads."""
    waits = ("AWS::SageMaker::Endpoint", "AWS::SageMaker::InferenceComponent")
    return resource_type in waits or bool(_stock_runs_on_worker_thread(resource_type))


_stock_runs_on_worker_thread = stacks._runs_on_worker_thread


def install() -> None:
    """Teach CloudFormation the types."""
    stacks._runs_on_worker_thread = _runs_on_worker_thread
    known = provisioners._RESOURCE_HANDLERS
    known["AWS::SageMaker::Model"] = _model_of("Model", "ModelName", "model")
    known["AWS::SageMaker::EndpointConfig"] = _model_of(
        "EndpointConfig", "EndpointConfigName", "endpoint configuration"
    )
    known["AWS::SageMaker::Endpoint"] = {
        **_model_of("Endpoint", "EndpointName", "endpoint"),
        "update": _update_endpoint,
        "update_with_logical_id": True,
    }
    known["AWS::SageMaker::InferenceComponent"] = _model_of(
        "InferenceComponent", "InferenceComponentName", "inference component"
    )
    known["AWS::ApplicationAutoScaling::ScalableTarget"] = {
        "create": _create_target,
        "update": _update_target,
        "update_with_logical_id": True,
        "delete": _delete_target,
    }
    known["AWS::ApplicationAutoScaling::ScalingPolicy"] = {
        "create": _create_policy,
        "update": _update_policy,
        "update_with_logical_id": True,
        "delete": _delete_policy,
    }
