"""CloudFormation's types of composite alarms and anomaly detectors.

Stock: ``Unrecognized resource types``. AWS: template reference of ``AWS::CloudWatch::CompositeAlarm``
(``Ref`` is the name, ``Arn``; a renamed one is a new one; its alarms have to exist) and of
``AWS::CloudWatch::AnomalyDetector`` (every change but one of ``Configuration`` makes a new one). Alarms with
``Metrics`` are taught in ``alarms``; ``AWS::CloudWatch::Alarm`` and ``Dashboard`` are stock.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from local_cloud.extension import metric_data

Made = tuple[str, dict[str, Any]]


def _put_composite(name: str, properties: dict[str, Any]) -> Made:
    asked = {**properties, "AlarmName": name}
    asked["ActionsEnabled"] = str(properties.get("ActionsEnabled", True)).lower() != "false"
    status, _, body = cloudwatch._put_composite_alarm({}, asked, is_cbor=False, is_json=True)
    if status != 200:
        raise ValueError(json.loads(body)["message"])
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def _create_composite(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    name = properties.get("AlarmName") or provisioners._physical_name(stack, logical_id, max_len=255)
    return _put_composite(name, properties)


def _update_composite(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    made = _create_composite(logical_id, new, stack)
    if made[0] != physical:
        _delete_composite(physical, old)
    return made


def _delete_composite(physical: str, properties: dict[str, Any]) -> None:
    del properties
    cloudwatch._composite_alarms.pop(physical, None)


def _create_detector(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
    metric_data.put_detector(properties)
    text = json.dumps([stack, logical_id, properties], sort_keys=True)
    physical = hashlib.sha256(text.encode()).hexdigest()[:32]
    return physical, {"Id": physical}


def _update_detector(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    del physical
    metric_data.delete_detector(old)
    return _create_detector(logical_id, new, stack)


def _delete_detector(physical: str, properties: dict[str, Any]) -> None:
    del physical
    metric_data.delete_detector(properties)


def install() -> None:
    """Teach CloudFormation the types."""
    known = provisioners._RESOURCE_HANDLERS
    known["AWS::CloudWatch::CompositeAlarm"] = {
        "create": _create_composite,
        "update": _update_composite,
        "update_with_logical_id": True,
        "delete": _delete_composite,
    }
    known["AWS::CloudWatch::AnomalyDetector"] = {
        "create": _create_detector,
        "update": _update_detector,
        "update_with_logical_id": True,
        "delete": _delete_detector,
    }
