"""What takes its time in Lambda: versions that become Active, updates that settle, and one that is undone.

Stock: a version is Active when it is published, an update settles after half a second and keeps its revision.
AWS: "Lambda function states" (Pending, InProgress); ``ResourceConflictException`` for a call of a version
that is Pending. How long it all takes, and what else can happen, is for ``bad_day`` to say, with the sources.
"""

from __future__ import annotations

import contextvars
import copy
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import lambda_svc

from local_cloud.extension import bad_day, versions

Scope = tuple[str, str, str]

_UNDONE = ("Layers", "Environment", "MemorySize", "Timeout", "Description", "Handler", "Runtime")

_before_update: dict[Scope, dict[str, Any]] = {}
"""What an update that is to be undone has replaced."""

_stock_schedule = lambda_svc._schedule_state_transition
_stock_provision = lambda_svc._snapstart_provision_version_async


def _scope(name: str) -> Scope:
    return get_account_id(), get_region(), name


def _later(seconds: float, work: Callable[[], None]) -> None:
    """Do ``work`` for the present account after a while."""

    def run() -> None:
        time.sleep(seconds)
        work()

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()


def _schedule(name: str, delay: float) -> None:
    today = bad_day.today()

    def settle() -> None:
        func = lambda_svc._functions.get(name)
        before = _before_update.pop(_scope(name), None)
        if func and func["config"].get("LastUpdateStatus") == "InProgress":
            if before is not None:
                _restore(func["config"], before)
            if today.revision_churn:
                func["config"]["RevisionId"] = new_uuid()
        _stock_schedule(name, 0.0)

    _later(max(delay, today.updating_s), settle)


def _undone_now_and_then(stock: Callable[..., Any]) -> Callable[..., Any]:
    def update_config(name: str, data: dict[str, Any]) -> Any:
        func = lambda_svc._functions.get(name)
        if func and random.random() < bad_day.today().undo_rate:  # noqa: S311
            _before_update[_scope(name)] = {
                key: copy.deepcopy(func["config"][key]) for key in _UNDONE if key in func["config"]
            }
        return stock(name, data)

    return update_config


def _restore(config: dict[str, Any], before: dict[str, Any]) -> None:
    for key in _UNDONE:
        config.pop(key, None)
    config.update(before)


def _pending_for_a_while(stock: Callable[..., Any]) -> Callable[..., Any]:
    def publish_version(name: str, data: dict[str, Any]) -> Any:
        known = set((lambda_svc._functions.get(name) or {}).get("versions") or {})
        status, headers, body = stock(name, data)
        seconds = bad_day.today().pending_s
        if status != 201 or not seconds:
            return status, headers, body
        config = lambda_svc._functions[name]["versions"][json.loads(body)["Version"]]["config"]
        if config["Version"] in known or _takes_a_snapshot(config):  # the latter: see _provision
            return status, headers, body
        pending = {
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
        }
        config.update(pending)
        _later(seconds, lambda: config.update(State="Active", StateReason="", StateReasonCode=""))
        return status, headers, json.dumps({**json.loads(body), **pending}).encode()

    return publish_version


def _provision(name: str, version: dict[str, Any]) -> None:
    _later(bad_day.today().pending_s, lambda: _stock_provision(name, version))


def _takes_a_snapshot(config: dict[str, Any]) -> bool:
    return (config.get("SnapStart") or {}).get("OptimizationStatus") == "On"


def _refused_while_pending(stock: Callable[..., Any]) -> Callable[..., Any]:
    async def invoke(
        name: str,
        event: Any,
        headers: dict[str, str],
        path_qualifier: str | None = None,
        query_params: dict[str, Any] | None = None,
    ) -> Any:
        qualifier = path_qualifier or lambda_svc._qp_first(query_params or {}, "Qualifier") or ""
        func = lambda_svc._functions.get(name) or {}
        alias = (func.get("aliases") or {}).get(qualifier) or {}
        version = (func.get("versions") or {}).get(alias.get("FunctionVersion", qualifier)) or {}
        if (version.get("config") or {}).get("State") == "Pending":
            message = (
                "The operation cannot be performed at this time. "
                "The function is currently in the following state: Pending"
            )
            return versions.refusal("ResourceConflictException", message, 409)
        return await stock(name, event, headers, path_qualifier, query_params)

    return invoke


def install() -> None:
    """Let versions, updates and their revisions take the time that the day wants; after ``versions``."""
    lambda_svc._schedule_state_transition = _schedule
    lambda_svc._snapstart_provision_version_async = _provision
    lambda_svc._update_config = _undone_now_and_then(lambda_svc._update_config)
    lambda_svc._publish_version = _pending_for_a_while(lambda_svc._publish_version)
    lambda_svc._invoke = _refused_while_pending(lambda_svc._invoke)
