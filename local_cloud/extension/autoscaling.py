"""Application Auto Scaling: targets and policies are kept, and a floor is kept to.

Stock: there is no such service. AWS: Application Auto Scaling API reference. A target for something that is
not there is a ``ValidationException``; registering it anew changes its bounds; capacity below the floor is
raised to it ("Register a scalable target"). An alarm carries out the step policy that it names, once when it
begins to fire. Nothing follows a target by itself: one process stands for all instances of a variant.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudwatch

from local_cloud.extension import sagemaker
from local_cloud.extension.services import Answer, RefusedError, answer, arn, refusal, register

_targets: Any = AccountRegionScopedDict()
_policies: Any = AccountRegionScopedDict()

_VARIANT = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
_COMPONENT = re.compile(r"inference-component/(?P<component>[^/]+)")
_NAMES = ("ServiceNamespace", "ResourceId", "ScalableDimension")


def control(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one call. Raises ``RefusedError``."""
    calls = {
        "RegisterScalableTarget": _register,
        "DescribeScalableTargets": _describe_targets,
        "DeregisterScalableTarget": _deregister,
        "PutScalingPolicy": _put_policy,
        "DescribeScalingPolicies": _describe_policies,
        "DeleteScalingPolicy": _delete_policy,
    }
    if action not in calls:
        raise RefusedError("UnknownOperationException", f"{action} is not emulated")
    return calls[action](request)


def _key(request: dict[str, Any]) -> str:
    return "|".join(str(request[name]) for name in _NAMES)


def _register(request: dict[str, Any]) -> dict[str, Any]:
    before = _targets.get(_key(request)) or {
        "CreationTime": time.time(),
        "ScalableTargetARN": arn("application-autoscaling", f"scalable-target/{uuid.uuid4().hex}"),
    }
    target = {**before, **request}
    if target.get("MinCapacity", 0) > target.get("MaxCapacity", 0):
        raise RefusedError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    _keep_to(target)
    _targets[_key(request)] = target
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


def _keep_to(target: dict[str, Any]) -> None:
    """Raise or lower the instances of a variant, or the copies of a component, into the target's bounds."""
    resource = str(target["ResourceId"])
    if target["ServiceNamespace"] != "sagemaker" or not (
        _VARIANT.fullmatch(resource) or _COMPONENT.fullmatch(resource)
    ):
        return
    current, _, change = _capacity(target)
    count = min(max(current, target["MinCapacity"]), target["MaxCapacity"])
    if count != current:
        change(count)


def _capacity(target: dict[str, Any]) -> tuple[int, int, Callable[[int], None]]:
    """How many there are, how many are wanted, and what changes that."""
    resource = str(target["ResourceId"])
    if found := _COMPONENT.fullmatch(resource):
        component = sagemaker.components.get(found["component"])
        if component is not None:
            runtime = component["RuntimeConfig"]
            return (
                runtime["CurrentCopyCount"],
                runtime["DesiredCopyCount"],
                lambda count: sagemaker.set_copies(component, count),
            )
    elif found := _VARIANT.fullmatch(resource):
        endpoint = sagemaker.endpoints.get(found["endpoint"]) or {}
        for variant in endpoint.get("ProductionVariants", []):
            if variant["VariantName"] == found["variant"]:
                return (
                    variant["CurrentInstanceCount"],
                    variant["DesiredInstanceCount"],
                    lambda count, variant=variant: sagemaker.set_count(endpoint, variant, count),
                )
    raise RefusedError("ValidationException", f"Could not find {resource}")


def _step(policy_arn: str) -> None:
    """Carry out a step policy: the first step, which holds from the threshold on, within the bounds."""
    for policy in list(_policies.values()):
        steps = (policy.get("StepScalingPolicyConfiguration") or {}).get("StepAdjustments")
        target = _targets.get(_key(policy))
        if policy["PolicyARN"] != policy_arn or not steps or target is None:
            continue
        _, wanted, change = _capacity(target)
        count = wanted + int(steps[0]["ScalingAdjustment"])
        change(min(max(count, target["MinCapacity"]), target["MaxCapacity"]))


_earlier_dispatch = cloudwatch._dispatch_alarm_actions


def _dispatch_alarm_actions(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    _earlier_dispatch(alarm, before, state, reason)
    if state != "ALARM" or not alarm.get("ActionsEnabled", True):
        return
    for action in alarm.get("AlarmActions") or []:
        if ":scalingPolicy:" in str(action):
            _step(str(action))


def _describe_targets(request: dict[str, Any]) -> dict[str, Any]:
    wanted = request.get("ResourceIds")
    return {
        "ScalableTargets": [
            dict(target)
            for target in _targets.values()
            if target["ServiceNamespace"] == request["ServiceNamespace"]
            and (not wanted or target["ResourceId"] in wanted)
        ]
    }


def _deregister(request: dict[str, Any]) -> dict[str, Any]:
    if _targets.pop(_key(request), None) is None:
        raise RefusedError("ObjectNotFoundException", f"No scalable target registered for {_key(request)}")
    for name in [name for name, policy in _policies.items() if _key(policy) == _key(request)]:
        del _policies[name]
    return {}


def _put_policy(request: dict[str, Any]) -> dict[str, Any]:
    if _key(request) not in _targets:
        raise RefusedError("ObjectNotFoundException", f"No scalable target registered for {_key(request)}")
    name = f"{_key(request)}|{request['PolicyName']}"
    before = _policies.get(name) or {
        "PolicyARN": arn(
            "autoscaling",
            f"scalingPolicy:{uuid.uuid4()}:resource/{request['ServiceNamespace']}/{request['ResourceId']}:"
            f"policyName/{request['PolicyName']}",
        ),
        "CreationTime": time.time(),
    }
    _policies[name] = {**before, **request}
    return {"PolicyARN": before["PolicyARN"], "Alarms": []}


def _describe_policies(request: dict[str, Any]) -> dict[str, Any]:
    found = [dict(p) for p in _policies.values() if p["ServiceNamespace"] == request["ServiceNamespace"]]
    wanted = request.get("ResourceId")
    return {"ScalingPolicies": [p for p in found if not wanted or p["ResourceId"] == wanted]}


def _delete_policy(request: dict[str, Any]) -> dict[str, Any]:
    if _policies.pop(f"{_key(request)}|{request['PolicyName']}", None) is None:
        raise RefusedError("ObjectNotFoundException", f"No scaling policy {request['PolicyName']}")
    return {}


async def _handle(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> Answer:
    del method, path, query
    try:
        return answer(control(headers.get("x-amz-target", "").rsplit(".", 1)[-1], json.loads(body or b"{}")))
    except RefusedError as error:
        return refusal(error)


def _reset() -> None:
    _targets.clear()
    _policies.clear()


def install() -> None:
    """Add the service, and let alarms carry out its policies."""
    global _earlier_dispatch
    _earlier_dispatch = cloudwatch._dispatch_alarm_actions
    cloudwatch._dispatch_alarm_actions = _dispatch_alarm_actions
    register("application-autoscaling", targets=["AnyScaleFrontendService."], handle=_handle, reset=_reset)
