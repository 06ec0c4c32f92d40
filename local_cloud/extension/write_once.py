"""Condition keys for conditional writes, and bucket policies that hold for the account's administrator too.

Stock: ``s3:if-none-match``, ``s3:if-match`` and ``s3:ObjectCreationOperation`` are unknown keys, so a policy
that demands a conditional write denies everything or nothing; root credentials pass every bucket policy;
``aws:PrincipalArn`` of an assumed role is the session's ARN, so a policy cannot exempt a role by name.
AWS: "Enforce conditional writes on Amazon S3 buckets": the first two carry the header, the third is true for
PutObject, CompleteMultipartUpload and CopyObject and false for CreateMultipartUpload, UploadPart and
UploadPartCopy; "Policy evaluation logic": an explicit deny of a resource policy holds for the root user, who
may still read, replace and delete the policy itself; "AWS global condition context keys", aws:PrincipalArn:
for a role the ARN of the role, not of who assumed it. Counts only where policies are enforced (the strict
profile).
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam

_POLICY_ACTIONS = {"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}

_stock_context = iam_actions.s3_service_context
_stock_enforce = iam_evaluator.enforce
_stock_condition_key = iam_evaluator._resolve_condition_key


def _service_context(
    iam_action: str,
    query_params: dict[str, Any] | None,
    path: str = "",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    context = dict(_stock_context(iam_action, query_params, path, headers))
    if iam_action == "s3:PutObject":
        for key in ("if-none-match", "if-match"):
            if key in (headers or {}):
                context[f"s3:{key}"] = (headers or {})[key]
        part_of_upload = {"uploads", "partNumber"} & set(query_params or {})
        context["s3:ObjectCreationOperation"] = "false" if part_of_upload else "true"
    return context


def _enforce(
    access_key_id: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    refused = _stock_enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
    if refused is not None or service != "s3" or iam_action in _POLICY_ACTIONS:
        return refused
    if not iam_evaluator.is_root_access_key(access_key_id):
        return refused
    return _denied_by_bucket(iam_action, region, resource_arn, service_context or {})


def _condition_key(key: str, context: Any) -> Any:
    if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
        name = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
        role = iam._roles.get_scoped(context.principal_account, None, name)
        if role is not None:
            return role["Arn"]
    return _stock_condition_key(key, context)


def _denied_by_bucket(
    iam_action: str, region: str, resource_arn: str, service_context: dict[str, Any]
) -> Any:
    found = iam_evaluator._resource_policy("s3", resource_arn)
    if not found or not found[0]:
        return None
    account = get_account_id()
    request = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{account}:root",
        principal_type="Root",
        principal_account=account,
        action=iam_action,
        resource_arn=resource_arn,
        region=region,
        service_context={key.lower(): value for key, value in service_context.items()},
    )
    result = iam_evaluator.evaluate_resource_policy(found[0], request)
    if result.decision != "Deny":
        return None
    result.principal_arn = request.principal_arn
    result.resource_policy_arn = resource_arn
    return result


def install() -> None:
    """Teach policy evaluation the keys, and apply bucket policies to root credentials."""
    iam_evaluator._resolve_condition_key = _condition_key
    iam_actions.s3_service_context = _service_context
    iam_evaluator.enforce = _enforce
