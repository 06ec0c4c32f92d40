"""Versions and aliases: weighted routing, and the refusals a release controller depends on.

Stock: ``RoutingConfig`` is stored and never used; an alias may point at a version that does not exist and
then runs ``$LATEST``; ``PublishVersion`` ignores ``CodeSha256`` and ``RevisionId``; changes are accepted
while an update is under way; through an HTTP API the invoked ARN names the version instead of the alias.
AWS: "Implement Lambda canary deployments using a weighted alias"; API reference of CreateAlias, UpdateAlias
(ResourceNotFoundException), PublishVersion (``CodeSha256``: "Only publish a version if the hash value
matches", ``RevisionId``: "Only update the function if the revision ID matches"); "Lambda function states"
(ResourceConflict while ``LastUpdateStatus`` is ``InProgress``).
"""

from __future__ import annotations

import contextvars
import copy
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc

from local_cloud.extension import bad_day

Answer = tuple[int, dict[str, str], bytes]

_QUALIFIED = re.compile(r":function:(?P<name>[^:/]+):(?P<qualifier>[^:/]+)$")
_SETTLING_S = 0.2
"""How long an update stays ``InProgress``; seconds on AWS."""

_from_cloudformation: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "from_cloudformation", default=False
)

_called_as: contextvars.ContextVar[str] = contextvars.ContextVar("called_as", default="")
"""The ARN, with its alias, by which the Invoke API was asked for the version that is to run."""

_moved: dict[tuple[str, str, str, str | None], tuple[float, dict[str, Any]]] = {}
"""When an alias was last moved, and what it was before."""

_stock_invoke = lambda_svc._invoke
_stock_record_for_ref = lambda_svc._get_func_record_for_ref
_stock_publish_version = lambda_svc._publish_version


@contextmanager
def settling_at_once() -> Iterator[None]:
    """Let CloudFormation's own code and configuration steps follow each other without a wait between them."""
    token = _from_cloudformation.set(True)
    try:
        yield
    finally:
        _from_cloudformation.reset(token)


def settle(name: str) -> None:
    """Mark the function's update as finished: CloudFormation waits for that before it goes on."""
    config = lambda_svc._functions[name]["config"]
    config.update(State="Active", StateReason="", StateReasonCode="")
    config.update(LastUpdateStatus="Successful", LastUpdateStatusReason="", LastUpdateStatusReasonCode="")


def _choose(name: str, alias_name: str | None) -> str | None:
    """Pick the version that a call by this alias goes to; ``None`` when nothing is to be picked."""
    func = lambda_svc._functions.get(name) or {}
    current = (func.get("aliases") or {}).get(alias_name) or {}
    alias = _before_its_move(name, alias_name) or current
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    point = random.random()  # noqa: S311  (traffic, not secrets)
    for version, weight in weights.items():
        point -= float(weight)
        if point < 0:
            return str(version)
    return str(alias["FunctionVersion"]) if weights or alias is not current else None


def _before_its_move(name: str, alias_name: str | None) -> dict[str, Any] | None:
    """The alias as it was before its last move, for the share of calls that have not heard of it yet."""
    lag = bad_day.today().alias_lag_s
    at, before = _moved.get((get_account_id(), get_region(), name, alias_name), (0.0, None))
    if not lag or random.random() < (time.time() - at) / lag:  # noqa: S311
        return None
    return before


def _remember_the_old_target(stock: Callable[..., Any]) -> Callable[..., Any]:
    def update_alias(name: str, alias_name: str, data: dict[str, Any]) -> Any:
        before = copy.deepcopy(((lambda_svc._functions.get(name) or {}).get("aliases") or {}).get(alias_name))
        answer = stock(name, alias_name, data)
        if before is not None and answer[0] == 200:
            _moved[(get_account_id(), get_region(), name, alias_name)] = time.time(), before
        return answer

    return update_alias


async def _invoke(
    name: str,
    event: Any,
    headers: dict[str, str],
    path_qualifier: str | None = None,
    query_params: dict[str, Any] | None = None,
) -> Any:
    qualifier = path_qualifier or lambda_svc._qp_first(query_params or {}, "Qualifier") or None
    chosen = _choose(name, qualifier)
    if chosen is None:
        return await _stock_invoke(name, event, headers, path_qualifier, query_params)
    token = _called_as.set(f"{lambda_svc._func_arn(name)}:{qualifier}")
    try:
        return await _stock_invoke(name, event, headers, chosen, query_params)
    finally:
        _called_as.reset(token)


def _under_its_alias(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Run a version as what it was called: its context, and its metrics, name the alias."""

    def execute(func: dict[str, Any], event: Any) -> Any:
        config = func.get("config") or func
        arn = _called_as.get()
        if arn.rpartition(":")[0].endswith(f":function:{config.get('FunctionName')}"):
            func = {**func, "config": {**config, "FunctionArn": arn}}
        return stock(func, event)

    return execute


def _record_for_ref(ref: str) -> Any:
    """Resolve the function that an API, a topic, a rule or a state machine names.

    Weights count here too, and the alias stays in the function's ARN.
    """
    found = _QUALIFIED.search(ref or "")
    chosen = _choose(found["name"], found["qualifier"]) if found else None
    target = ref[: found.start("qualifier")] + chosen if found and chosen else ref
    record, config, name = _stock_record_for_ref(target)
    if found and config is not None and "arn:" in ref:
        config = {**config, "FunctionArn": ref[ref.index("arn:") :]}
    return record, config, name


def _missing_version(name: str, data: dict[str, Any]) -> Answer | None:
    func = lambda_svc._functions.get(name)
    if not func:
        return None
    weights = (data.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for version in [data.get("FunctionVersion"), *weights]:
        if version and version != "$LATEST" and version not in func["versions"]:
            arn = f"{lambda_svc._func_arn(name)}:{version}"
            return refusal("ResourceNotFoundException", f"Function not found: {arn}", 404)
    return None


def _refuse_missing_versions(stock: Callable[..., Any]) -> Callable[..., Any]:
    def checked(func_name: str, *args: Any) -> Any:
        return _missing_version(func_name, args[-1]) or stock(func_name, *args)

    return checked


def _under_way(name: str) -> Answer | None:
    func = lambda_svc._functions.get(name)
    if not func or _from_cloudformation.get() or func["config"].get("LastUpdateStatus") != "InProgress":
        return None
    message = (
        "The operation cannot be performed at this time. "
        f"An update is in progress for resource: {lambda_svc._func_arn(name)}"
    )
    return refusal("ResourceConflictException", message, 409)


def _refuse_while_updating(stock: Callable[..., Any]) -> Callable[..., Any]:
    def checked(name: str, data: dict[str, Any]) -> Any:
        return _under_way(name) or stock(name, data)

    return checked


def _publish_version(name: str, data: dict[str, Any]) -> Any:
    func = lambda_svc._functions.get(name)
    if func:
        refused = _under_way(name) or lambda_svc._check_revision(func["config"], _given(data, "RevisionId"))
        refused = refused or _other_code(func["config"], data)
        if refused:
            return refused
    return _stock_publish_version(name, data)


def _other_code(config: dict[str, Any], data: dict[str, Any]) -> Answer | None:
    asked, current = data.get("CodeSha256"), config.get("CodeSha256")
    if not asked or asked == current:
        return None
    message = (
        f"CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({current}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    return refusal("InvalidParameterValueException", message, 400)


def _given(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: data[key]} if data.get(key) else {}


def refusal(code: str, message: str, status: int) -> Answer:
    """Return an answer in the form of Lambda's errors."""
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    kind = "Service" if status >= 500 else "User"
    return status, headers, json.dumps({"__type": code, "Type": kind, "message": message}).encode()


def install() -> None:
    """Replace routing by alias, and add the refusals."""
    lambda_svc._invoke = _invoke
    lambda_svc._get_func_record_for_ref = _record_for_ref
    lambda_svc._execute_function = _under_its_alias(lambda_svc._execute_function)
    lambda_svc._create_alias = _refuse_missing_versions(lambda_svc._create_alias)
    lambda_svc._update_alias = _remember_the_old_target(_refuse_missing_versions(lambda_svc._update_alias))
    lambda_svc._update_code = _refuse_while_updating(lambda_svc._update_code)
    lambda_svc._update_config = _refuse_while_updating(lambda_svc._update_config)
    lambda_svc._publish_version = _publish_version
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = _SETTLING_S
