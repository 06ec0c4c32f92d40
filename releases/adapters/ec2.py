"""Fleets of EC2 through boto3, to look at them. Making and deleting them is CloudFormation's.

An endpoint is the auto scaling group of its name. Its status is told in SageMaker's words: it is in service
when each of its target groups has a healthy machine, and being made while its machines may still be starting.

Sources: Amazon EC2 Auto Scaling API reference, ``AutoScalingGroup``; Elastic Load Balancing API reference,
``TargetHealth``; EC2 API reference, ``ResponseLaunchTemplateData``.
"""

from __future__ import annotations

import base64
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError

from releases.adapters.translated import CONFIG, translated
from releases.ports import EndpointState

_TOLD = re.compile(r"--env ((?:'[^']*'|\"[^\"]*\"|\\.|[^\s'\"\\])+)")
_LOGS = re.compile(r"awslogs-group=(\S+)")

_GRACE_S = 300.0
"""How long after a group's first health check may come its machines are still believed to be starting."""


class FleetEndpoints:
    """``releases.ports.Endpoints`` on EC2. Clients take their time to make, and are made when needed."""

    def __init__(
        self, make: Callable[[str], Any] | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._make = make or _client
        self._now = now

    def describe(self, name: str) -> EndpointState | None:
        """Three calls and one for each target group."""
        with translated(f"the fleet `{name}`"):
            group = self._group(name)
            if group is None:
                return None
            status, reason = self._status(group)
            data = self._template(group)
        script = base64.b64decode(data.get("UserData") or "").decode()
        words = (shlex.split(found[1])[0].partition("=") for found in _TOLD.finditer(script))
        log = _LOGS.search(script)
        return EndpointState(
            name=name,
            status=status,
            reason=reason,
            environment={name: value for name, _, value in words},
            instance_type=data.get("InstanceType", ""),
            instances=sum(item["LifecycleState"] == "InService" for item in group["Instances"]),
            log_group=log[1] if log else "",
        )

    def status(self, name: str) -> str | None:
        """One call and one for each target group."""
        with translated(f"the fleet `{name}`"):
            group = self._group(name)
            return self._status(group)[0] if group else None

    def names(self, prefix: str) -> list[str]:
        with translated(f"the fleets `{prefix}…`"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
            found = [item["AutoScalingGroupName"] for page in pages for item in page["AutoScalingGroups"]]
        return sorted(name for name in found if name.startswith(prefix))

    def _group(self, name: str) -> dict[str, Any] | None:
        answer = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        found: list[dict[str, Any]] = answer["AutoScalingGroups"]
        return found[0] if found else None

    def _status(self, group: dict[str, Any]) -> tuple[str, str]:
        if group.get("Status"):  # only while it is being deleted
            return "Deleting", str(group["Status"])
        for arn in group.get("TargetGroupARNs", ()):
            states = self._states(arn)
            if not states["healthy"]:
                break
        else:
            return "InService", ""
        grace = group.get("HealthCheckGracePeriod", 0) + _GRACE_S
        starting = self._now() < group["CreatedTime"].timestamp() + grace
        said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if count) or "none"
        reason = f"no machine of `{arn.split('/')[-2]}` is healthy; machines: {said}"
        return ("Creating" if starting else "Failed"), reason

    def _states(self, target_group: str) -> Counter[str]:
        try:
            answer = self._elbv2.describe_target_health(TargetGroupArn=target_group)
        except ClientError as error:
            if error.response["Error"]["Code"] == "TargetGroupNotFound":
                return Counter()  # it goes before its group does
            raise
        return Counter(item["TargetHealth"]["State"] for item in answer["TargetHealthDescriptions"])

    def _template(self, group: dict[str, Any]) -> dict[str, Any]:
        """What its machines are launched from: with spot machines the template stands within a policy."""
        policy = group.get("MixedInstancesPolicy") or {}
        spec = policy.get("LaunchTemplate", {}).get("LaunchTemplateSpecification") or group["LaunchTemplate"]
        answer = self._ec2.describe_launch_template_versions(
            LaunchTemplateId=spec["LaunchTemplateId"], Versions=[str(spec.get("Version", "$Default"))]
        )
        found: dict[str, Any] = answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return found

    @cached_property
    def _autoscaling(self) -> Any:
        return self._make("autoscaling")

    @cached_property
    def _elbv2(self) -> Any:
        return self._make("elbv2")

    @cached_property
    def _ec2(self) -> Any:
        return self._make("ec2")


def _client(service: str) -> Any:
    make: Any = boto3.client  # its stubs want a literal name
    return make(service, config=CONFIG)
