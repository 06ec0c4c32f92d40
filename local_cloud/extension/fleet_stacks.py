"""CloudFormation's types for fleets: a group is there when its machines have said so, and gone with them.

Stock: ``AWS::AutoScaling::AutoScalingGroup`` has no machines, waits for no signal and knows no target groups;
``AWS::AutoScaling::WarmPool`` is unrecognised. AWS: template reference of both; CloudFormation user guide,
"CreationPolicy attribute" and "UpdatePolicy attribute" (``AutoScalingInstanceRefresh``). A changed launch
template is rolled in, new machines first, and a warm pool is kept as a note only.
"""

from __future__ import annotations

from typing import Any

from ministack.services import autoscaling
from ministack.services.cloudformation import provisioners, stacks

from local_cloud.extension import machines

GROUP = "AWS::AutoScaling::AutoScalingGroup"
WARM_POOL = "AWS::AutoScaling::WarmPool"

Made = tuple[str, dict[str, Any]]

_handlers = provisioners._RESOURCE_HANDLERS
_stock = dict(_handlers[GROUP])


def _create(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    name, attributes = _stock["create"](logical_id, properties, stack)
    group = autoscaling._asgs[name]
    _complete(group, properties)
    machines.adjust(group)
    made = machines.of_group(name)
    try:
        machines.wait_for([machine for machine in made if machine.script.signals])
    except ValueError:
        # The stack's rollback deletes what was made and failed; here it would not know of it.
        _delete(name, properties)
        raise
    return name, attributes


def _update(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    name, attributes = _stock["update"](physical_id, old, new, stack, logical_id)
    group = autoscaling._asgs[name]
    _complete(group, new)
    machines.adjust(group)
    machines.refresh(group)
    return name, attributes


def _complete(group: dict[str, Any], properties: dict[str, Any]) -> None:
    """What stock drops: the target groups, and a launch template within a policy."""
    group["TargetGroupARNs"] = list(properties.get("TargetGroupARNs") or ())
    policy = properties.get("MixedInstancesPolicy")
    if policy:
        specification = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
        group["LaunchTemplate"] = provisioners._asg_launch_template(specification)


def _delete(physical_id: str, properties: dict[str, Any]) -> None:
    group = autoscaling._asgs.get(physical_id)
    if group is not None:
        machines.end_all(physical_id, drain_s=machines.drain_of(group))
    _stock["delete"](physical_id, properties)


def _keep_warm_pool(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    del logical_id, stack
    return str(properties["AutoScalingGroupName"]), {}


def _change_warm_pool(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    del old, new, stack
    return physical_id, {}


def _forget_warm_pool(physical_id: str, properties: dict[str, Any]) -> None:
    del physical_id, properties


def install() -> None:
    """Teach CloudFormation the types."""
    others = stacks._runs_on_worker_thread
    # Waiting for machines must not keep the cloud from serving the files that they read.
    stacks._runs_on_worker_thread = lambda type_: type_ == GROUP or bool(others(type_))
    _handlers[GROUP] = {**_stock, "create": _create, "update": _update, "delete": _delete}
    _handlers[WARM_POOL] = {
        "create": _keep_warm_pool,
        "update": _change_warm_pool,
        "delete": _forget_warm_pool,
    }
