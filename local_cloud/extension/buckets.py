"""Buckets: the settings a template gives them are applied, and objects say how they are encrypted.

Stock: ``BucketEncryption``, ``LifecycleConfiguration``, ``LoggingConfiguration``, ``OwnershipControls``,
``ReplicationConfiguration`` and a suspended ``VersioningConfiguration`` of a template are dropped;
``aws:kms`` without a key is refused; objects of a bucket without a default say nothing about encryption;
checksums are not in the answer to a PUT. AWS: template reference of AWS::S3::Bucket; "Setting default
server-side encryption" (SSE-S3 for every object, and ``aws:kms`` without a key takes the bucket's key or
``aws/s3``); PutObject response (``x-amz-checksum-*``).
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local_cloud.extension import replication

_ALGORITHM = "x-amz-server-side-encryption"
_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_CHECKSUMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")

_buckets = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
_stock_create = _buckets["create"]
_stock_update = _buckets["update"]
_stock_sse_headers = s3._resolve_sse_write_headers
_stock_put_object = s3._put_object


def _create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    name, attributes = _stock_create(logical_id, props, stack_name)
    _apply(name, props, {})
    return name, {**attributes, "DualStackDomainName": f"{name}.s3.dualstack.{get_region()}.amazonaws.com"}


def _update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
    name, attributes = _stock_update(physical_id, old, new, stack_name)
    _apply(name, new, old)
    return name, {**attributes, "DualStackDomainName": f"{name}.s3.dualstack.{get_region()}.amazonaws.com"}


def _apply(name: str, props: dict[str, Any], old: dict[str, Any]) -> None:
    """Send each setting through the API it has, and take back what the template no longer says."""
    versioning = (props.get("VersioningConfiguration") or {}).get("Status")
    if versioning or old.get("VersioningConfiguration"):
        s3._bucket_versioning[name] = versioning or "Suspended"
    for key, to_xml, put, delete in (
        ("BucketEncryption", _encryption, s3._put_bucket_encryption, s3._delete_bucket_encryption),
        ("LifecycleConfiguration", _lifecycle, s3._put_bucket_lifecycle, s3._delete_bucket_lifecycle),
        ("LoggingConfiguration", _logging, s3._put_bucket_logging, _delete_logging),
        (
            "OwnershipControls",
            _ownership,
            s3._put_bucket_ownership_controls,
            s3._delete_bucket_ownership_controls,
        ),
        (
            "ReplicationConfiguration",
            replication.to_xml,
            s3._put_bucket_replication,
            s3._delete_bucket_replication,
        ),
    ):
        if props.get(key):
            status, _, body = put(name, tostring(to_xml(props[key])))
            if status >= 400:
                message = f"AWS::S3::Bucket {key} is refused: {body!r}"
                raise ValueError(message)
        elif old.get(key):
            delete(name)


def _encryption(config: dict[str, Any]) -> Element:
    root = Element("ServerSideEncryptionConfiguration")
    for rule in config["ServerSideEncryptionConfiguration"]:
        element = SubElement(root, "Rule")
        default = rule.get("ServerSideEncryptionByDefault")
        if default:
            _fill(SubElement(element, "ApplyServerSideEncryptionByDefault"), default)
        SubElement(element, "BucketKeyEnabled").text = _text(rule.get("BucketKeyEnabled", False))
    return root


def _logging(config: dict[str, Any]) -> Element:
    root = Element("BucketLoggingStatus")
    enabled = SubElement(root, "LoggingEnabled")
    SubElement(enabled, "TargetBucket").text = config.get("DestinationBucketName", "")
    SubElement(enabled, "TargetPrefix").text = config.get("LogFilePrefix", "")
    return root


def _delete_logging(name: str) -> None:
    s3._bucket_logging_config.pop(name, None)


def _ownership(config: dict[str, Any]) -> Element:
    root = Element("OwnershipControls")
    for rule in config["Rules"]:
        _fill(SubElement(root, "Rule"), rule)
    return root


def _lifecycle(config: dict[str, Any]) -> Element:
    root = Element("LifecycleConfiguration")
    for number, rule in enumerate(config["Rules"]):
        element = SubElement(root, "Rule")
        SubElement(element, "ID").text = rule.get("Id", f"rule-{number}")
        SubElement(element, "Status").text = rule.get("Status", "Enabled")
        SubElement(SubElement(element, "Filter"), "Prefix").text = rule.get("Prefix", "")
        _expirations(element, rule)
    return root


def _expirations(element: Element, rule: dict[str, Any]) -> None:
    if "ExpirationInDays" in rule:
        SubElement(SubElement(element, "Expiration"), "Days").text = _text(rule["ExpirationInDays"])
    elif rule.get("ExpiredObjectDeleteMarker"):
        SubElement(SubElement(element, "Expiration"), "ExpiredObjectDeleteMarker").text = "true"
    noncurrent = rule.get("NoncurrentVersionExpiration")
    if "NoncurrentVersionExpirationInDays" in rule:
        noncurrent = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    if noncurrent:
        _fill(SubElement(element, "NoncurrentVersionExpiration"), noncurrent)
    if rule.get("AbortIncompleteMultipartUpload"):
        _fill(SubElement(element, "AbortIncompleteMultipartUpload"), rule["AbortIncompleteMultipartUpload"])


def _fill(element: Element, values: dict[str, Any]) -> None:
    for key, value in values.items():
        SubElement(element, key).text = _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sse_headers(headers: dict[str, str], bucket_name: str) -> Any:
    if headers.get(_ALGORITHM) == "aws:kms" and not headers.get(_KEY):
        headers = {**headers, _KEY: _default_key(bucket_name)}
    chosen, error = _stock_sse_headers(headers, bucket_name)
    if chosen is None:
        return chosen, error
    if not chosen:
        return {_ALGORITHM: "AES256"}, None
    if chosen.get(_ALGORITHM) == "aws:kms":
        chosen.setdefault(_KEY, _managed_key())
    return chosen, None


def _default_key(bucket_name: str) -> str:
    return str(s3._bucket_default_sse_headers(bucket_name).get(_KEY) or _managed_key())


def _managed_key() -> str:
    return f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/s3"


def _put_object(bucket_name: str, key: str, body: bytes, headers: dict[str, str]) -> Any:
    answer = _stock_put_object(bucket_name, key, body, headers)
    if answer[0] == 200:
        for name in (f"x-amz-checksum-{algorithm}" for algorithm in _CHECKSUMS):
            if name in headers:
                answer[1][name] = headers[name]
    return answer


def install() -> None:
    """Apply bucket settings of templates, and complete what S3 says about objects."""
    _buckets.update(create=_create, update=_update)
    s3._resolve_sse_write_headers = _sse_headers
    s3._put_object = _put_object
