"""Everything a stage leaves in an account, found by its names and its tag, and taken away.

CloudFormation takes what it made, if it can: it cannot delete a bucket that holds anything, and knows nothing
of log groups that Lambda made, of layers and alarms that releases made. Only what carries the stage's own
name or tag is ever touched. Repeating it is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from model_store.contract.deployment import check_stage

STAGE_TAG = "switchyard:stage"
CONTRACT_ALARMS = "switchyard/contract/"
"""What contract tests make."""

_PAUSE_S = 5.0
_GONE = ("DELETE_COMPLETE",)


class Sweep:
    """What there is of one stage, and how it goes."""

    def __init__(self, stage: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._stage = check_stage(stage)
        self._sleep = sleep
        self._clients: dict[str, Any] = {}

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            make: Any = boto3.client  # its stubs want a literal name
            self._clients[service] = make(service)
        return self._clients[service]

    def wait_for_stacks(self, patience_s: float) -> None:
        """Return when CloudFormation moves nothing of the stage any more, or patience ends."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if not any(state.endswith("_IN_PROGRESS") for state in self.stacks().values()):
                return
            self._sleep(_PAUSE_S)

    def stacks(self) -> dict[str, str]:
        """The stage's stacks that are not deleted, and their states."""
        pages = self._client("cloudformation").get_paginator("describe_stacks").paginate()
        return {
            stack["StackName"]: stack["StackStatus"]
            for page in pages
            for stack in page["Stacks"]
            if stack["StackName"].startswith(f"Switchyard-{self._stage}-")
            and stack["StackStatus"] not in _GONE
        }

    def empty_buckets(self) -> None:
        """Delete every version of every object of the stage's buckets; CloudFormation takes the rest."""
        s3 = self._client("s3")
        for bucket in self.buckets():
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
                if keys:
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def delete_stacks(self) -> None:
        """Ask CloudFormation for what ``cdk destroy`` left."""
        for name in self.stacks():
            self._client("cloudformation").delete_stack(StackName=name)

    def take_the_rest(self) -> None:
        """What no stack has: buckets, functions, log groups, layers, alarms, saved queries."""
        self.empty_buckets()
        for bucket in self.buckets():
            _quietly(self._client("s3").delete_bucket, Bucket=bucket)
        for name in self.functions():
            _quietly(self._client("lambda").delete_function, FunctionName=name)
        for group in self.log_groups():
            _quietly(self._client("logs").delete_log_group, logGroupName=group)
        for name, number in self.layers():
            _quietly(self._client("lambda").delete_layer_version, LayerName=name, VersionNumber=number)
        alarms = self.alarms()
        for first in range(0, len(alarms), 100):
            self._client("cloudwatch").delete_alarms(AlarmNames=alarms[first : first + 100])

    def left(self) -> list[str]:
        """Everything that is still there, as sentences."""
        return [
            *(f"stack {name} ({state})" for name, state in self.stacks().items()),
            *(f"bucket {name}" for name in self.buckets()),
            *(f"function {name}" for name in self.functions()),
            *(f"log group {name}" for name in self.log_groups()),
            *(f"layer {name}:{number}" for name, number in self.layers()),
            *(f"alarm {name}" for name in self.alarms()),
        ]

    def buckets(self) -> list[str]:
        names = [bucket["Name"] for bucket in self._client("s3").list_buckets()["Buckets"]]
        return [name for name in names if name.startswith(f"switchyard-{self._stage}-")]

    def tagged(self) -> list[str]:
        """What AWS lists with the stage's tag. It may list for a while what is gone, and keys that are
        about to go for a week: for people to read, and no verdict."""
        pages = (
            self._client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(TagFilters=[{"Key": STAGE_TAG, "Values": [self._stage]}])
        )
        return [found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]]

    def functions(self) -> list[str]:
        pages = self._client("lambda").get_paginator("list_functions").paginate()
        names = [function["FunctionName"] for page in pages for function in page["Functions"]]
        return [name for name in names if name.startswith(f"switchyard-{self._stage}-")]

    def log_groups(self) -> list[str]:
        logs = self._client("logs")
        prefixes = [
            f"/aws/lambda/switchyard-{self._stage}-",
            f"/aws/sagemaker/Endpoints/switchyard-{self._stage}-",
        ]
        return [
            group["logGroupName"]
            for prefix in prefixes
            for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
            for group in page["logGroups"]
        ]

    def layers(self) -> list[tuple[str, int]]:
        lambda_ = self._client("lambda")
        names = [
            layer["LayerName"]
            for page in lambda_.get_paginator("list_layers").paginate()
            for layer in page["Layers"]
            if layer["LayerName"].startswith(f"switchyard-{self._stage}-")
        ]
        return [
            (name, version["Version"])
            for name in names
            for page in lambda_.get_paginator("list_layer_versions").paginate(LayerName=name)
            for version in page["LayerVersions"]
        ]

    def alarms(self) -> list[str]:
        cloudwatch = self._client("cloudwatch")
        kinds = ["MetricAlarm", "CompositeAlarm"]
        found = []
        for prefix in (f"switchyard/{self._stage}/", CONTRACT_ALARMS):
            pages = cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=prefix, AlarmTypes=kinds
            )
            for page in pages:
                # A composite first: what it is made of cannot go before it.
                found += [alarm["AlarmName"] for alarm in page.get("CompositeAlarms", [])]
                found += [alarm["AlarmName"] for alarm in page.get("MetricAlarms", [])]
        return found


def _quietly(delete: Callable[..., object], **what: object) -> None:
    """One that cannot go stops no other; ``left`` names it."""
    try:
        delete(**what)
    except ClientError:
        return
