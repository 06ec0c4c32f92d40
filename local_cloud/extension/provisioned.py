"""Provisioned concurrency that takes its time, can be listed, and is refused where AWS refuses it.

Stock: ready at once, on anything, also on ``$LATEST`` and beside SnapStart;
``ListProvisionedConcurrencyConfigs`` answers as if one configuration had been asked for.
AWS: Lambda developer guide, "Configuring provisioned concurrency" ("Lambda doesn't support provisioned
concurrency with the $LATEST version", "takes a minute or two"), "SnapStart" ("does not support provisioned
concurrency"); API reference, ``ListProvisionedConcurrencyConfigs``. Weights beside it on one alias:
aws/serverless-application-model#1353 ("Alias with weights can not be used with Provisioned Concurrency").
Nothing starts earlier here: the embedded cloud starts a function's process when it is first called.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.services import lambda_svc

Answer = tuple[int, dict[str, str], bytes]

ALLOCATION_S = 0.3
"""How long it is ``IN_PROGRESS``; a minute or two on AWS."""

_lock = threading.Lock()
_ready_at: dict[tuple[str, str], float] = {}

_json = lambda_svc.json_response
_error = lambda_svc.error_response_json
_stock_get = lambda_svc._get_provisioned_concurrency
_stock_put = lambda_svc._put_provisioned_concurrency


def _put(name: str, qualifier: str | None, data: dict[str, Any]) -> Answer:
    refusal = _refused(name, qualifier)
    if refusal:
        return refusal
    answer: Answer = _stock_put(name, qualifier, data)
    if answer[0] >= 400:
        return answer
    config = lambda_svc._functions[name]["provisioned_concurrency"][qualifier]
    with _lock:
        _ready_at[(str(lambda_svc._func_arn(name)), str(qualifier))] = time.time() + ALLOCATION_S
    answered: Answer = _json(_as_of_now(name, str(qualifier), config), 202)
    return answered


def _get(name: str, qualifier: str | None) -> Answer:
    every = (lambda_svc._functions.get(name) or {}).get("provisioned_concurrency", {})
    if name not in lambda_svc._functions or (qualifier and qualifier not in every):
        refused: Answer = _stock_get(name, qualifier)
        return refused
    if qualifier:
        one: Answer = _json(_as_of_now(name, qualifier, every[qualifier]))
        return one
    configs = [
        {"FunctionArn": f"{lambda_svc._func_arn(name)}:{key}", **_as_of_now(name, key, config)}
        for key, config in every.items()
    ]
    listed: Answer = _json({"ProvisionedConcurrencyConfigs": configs})
    return listed


def _as_of_now(name: str, qualifier: str, config: dict[str, Any]) -> dict[str, Any]:
    with _lock:
        ready = _ready_at.get((str(lambda_svc._func_arn(name)), qualifier), 0.0) <= time.time()
    if ready:
        return dict(config)
    none_yet = {"AvailableProvisionedConcurrentExecutions": 0, "AllocatedProvisionedConcurrentExecutions": 0}
    return {**config, **none_yet, "Status": "IN_PROGRESS"}


def _refused(name: str, qualifier: str | None) -> Answer | None:
    func = lambda_svc._functions.get(name)
    if func is None:
        return None
    if qualifier in (None, "", "$LATEST"):
        return _invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
    alias = (func.get("aliases") or {}).get(qualifier) or {}
    if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        return _invalid("Alias with weights can not be used with Provisioned Concurrency")
    _, config = lambda_svc._get_func_record_for_qualifier(name, qualifier)
    snap_start = (config or {}).get("SnapStart") or {}
    if snap_start.get("ApplyOn", "None") != "None":
        return _invalid("Provisioned Concurrency is not supported on a function with SnapStart")
    return None


def _invalid(message: str) -> Answer:
    answer: Answer = _error("InvalidParameterValueException", message, 400)
    return answer


def install() -> None:
    """Let provisioned concurrency behave, as far as a release controller sees it."""
    lambda_svc._get_provisioned_concurrency = _get
    lambda_svc._put_provisioned_concurrency = _put
