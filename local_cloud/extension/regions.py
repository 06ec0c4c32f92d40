"""A region that is lost: what was in it is gone, and nobody there answers any more.

Stock: regions are kept apart and none is ever lost. AWS: no API does this. It is the worst case that a second
region is for: functions, stacks, alarms, queues and keys of the region, its buckets with everything in them,
and what S3 had not copied out of them yet. What AWS keeps for all regions (IAM) stays. ``POST
/_switchyard/lost-region`` with ``{"region": "us-east-1"}`` does it to the account that the request is signed
for or names (``control``); ``GET`` lists them; only a new cloud has the region back.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import apigateway, s3

_BY_BUCKET = ("_bucket_policies", "_bucket_versioning", "_bucket_replication", "_bucket_notifications")

_lock = threading.Lock()
_lost: dict[str, set[str]] = {}
_apis_lost: set[str] = set()


class NoSuchRegionError(ValueError):
    """A request to lose something that is not written as a region."""


def lost(account: str) -> list[str]:
    """The regions that the account has lost."""
    return sorted(_lost.get(account, ()))


def is_lost(account: str, region: str, path: str) -> bool:
    """Whether nobody is left to answer a request that is signed for ``region``, or for an API's ``path``."""
    if region in _lost.get(account, ()):
        return True
    return bool(_apis_lost) and any(f"/{api_id}" in path for api_id in _apis_lost)


def lose(account: str, document: object) -> list[str]:
    """Destroy the region that ``document`` names, and return all that are lost. Safe to repeat."""
    region = document.get("region") if isinstance(document, dict) else None
    if not isinstance(region, str) or not region:
        raise NoSuchRegionError('`{"region": "us-east-1"}` is expected')
    with _lock:
        _apis_lost.update(key[2] for key in apigateway._apis._data if key[:2] == (account, region))
        _lost.setdefault(account, set()).add(region)
        _kill_environments(account, region)
        _forget(account, region)
        _empty_buckets(account, region)
    return lost(account)


def _kill_environments(account: str, region: str) -> None:
    prefix = f"{account}:{region}:"
    with lambda_runtime._lock:
        names = [name for name in lambda_runtime._workers if str(name).startswith(prefix)]
        workers = [worker for name in names for worker in lambda_runtime._workers.pop(name)]
    for worker in workers:
        if worker._proc is not None:
            worker._proc.kill()


def _forget(account: str, region: str) -> None:
    """Everything that a service keeps by account and region."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(("ministack.services.", "local_cloud.extension.")):
            continue
        for kept in list(vars(module).values()):
            if isinstance(kept, AccountRegionScopedDict):
                for key in [key for key in list(kept._data) if key[:2] == (account, region)]:
                    kept._data.pop(key, None)


def _empty_buckets(account: str, region: str) -> None:
    names = [
        name
        for (owner, name), bucket in list(s3._buckets._data.items())
        if owner == account and (bucket.get("region") or "us-east-1") == region
    ]
    for name in names:
        s3._buckets._data.pop((account, name), None)
        for kept in _BY_BUCKET:
            _pop(getattr(s3, kept), account, name)
        for key in [
            key for key in list(s3._object_versions._data) if key[0] == account and key[1][0] == name
        ]:
            s3._object_versions._data.pop(key, None)


def _pop(kept: Any, account: str, name: str) -> None:
    kept._data.pop((account, name), None)
