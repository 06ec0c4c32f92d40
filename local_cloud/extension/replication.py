"""Replication: the copy of an object in another region comes later, by itself, and in no order.

Stock: the copy is there before the answer to the write, and keeps the key that the source is encrypted with.
AWS: S3 user guide, "Replicating objects within and across Regions": asynchronous, "most objects replicate
within 15 minutes"; "Getting replication status information": ``PENDING``, then ``COMPLETED`` or ``FAILED``,
and ``REPLICA`` on the copy; "Replicating encrypted objects": the copy is encrypted with the rule's key. How
late is for ``bad_day`` to say. What is on its way when its region is lost never arrives (``regions``).
"""

from __future__ import annotations

import contextvars
import random
import threading
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from ministack.services import s3

from local_cloud.extension import bad_day

_KEY = "x-amz-server-side-encryption-aws-kms-key-id"

_stock_replicate = s3._maybe_replicate


def to_xml(config: dict[str, Any]) -> Element:
    """A template's ``ReplicationConfiguration`` as the API takes it."""
    root = Element("ReplicationConfiguration")
    SubElement(root, "Role").text = config["Role"]
    for rule in config["Rules"]:
        element = SubElement(root, "Rule")
        if "Id" in rule:
            SubElement(element, "ID").text = rule["Id"]
        _fill(element, {name: value for name, value in rule.items() if name != "Id"})
    return root


def _fill(element: Element, values: dict[str, Any]) -> None:
    for name, value in values.items():
        inner = SubElement(element, name)
        if isinstance(value, dict):
            _fill(inner, value)
        else:
            inner.text = str(value).lower() if isinstance(value, bool) else str(value)


def _replicate(
    bucket_name: str, key: str, obj: dict[str, Any], data: Any, tags: dict[str, str] | None = None
) -> None:
    late = bad_day.today().replication_s
    rule, _ = s3._replication_rule_for(bucket_name, key, tags)
    if rule is None or late <= 0:
        _copy(bucket_name, key, obj, data, tags)
        return
    obj["replication_status"] = "PENDING"
    # In the account and region of whoever wrote it.
    context = contextvars.copy_context()
    timer = threading.Timer(
        random.uniform(0, late),  # noqa: S311  (weather, not secrets)
        lambda: context.run(_arrive, bucket_name, key, obj, data, tags),
    )
    timer.daemon = True
    timer.start()


def _arrive(bucket_name: str, key: str, obj: dict[str, Any], data: Any, tags: dict[str, str] | None) -> None:
    if s3._buckets.get(bucket_name) is None:  # the region is gone, and what was on its way with it
        return
    _copy(bucket_name, key, obj, data, tags)
    for version in s3._object_versions.get((bucket_name, key)) or []:
        if version["version_id"] == obj.get("version_id"):
            version["replication_status"] = obj.get("replication_status")


def _copy(bucket_name: str, key: str, obj: dict[str, Any], data: Any, tags: dict[str, str] | None) -> None:
    _stock_replicate(bucket_name, key, obj, data, tags)
    if obj.get("replication_status") != "COMPLETED":
        return
    rule, _ = s3._replication_rule_for(bucket_name, key, tags)
    destination = (rule or {}).get("Destination") or {}
    there = (destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")
    name, _, account = obj["_replica"]
    copied = (s3._buckets.get_scoped(account, None, name) or {}).get("objects", {}).get(key)
    if there and copied is not None:
        copied["preserved_headers"] = {**copied.get("preserved_headers", {}), _KEY: there}


def install() -> None:
    """Let copies come later."""
    s3._maybe_replicate = _replicate
