"""Service Quotas: the few that a stage meets, with AWS's defaults; some of them as this account has them.

Stock: there is no such service. AWS: Service Quotas API reference: ``ListServiceQuotas`` lists what was
applied to the account, ``ListAWSDefaultServiceQuotas`` the defaults, and a quota that was never changed may
be in the second list only. Values are those of the services' own pages of quotas; nothing here is limited by
them.
"""

from __future__ import annotations

import json
from typing import Any

from local_cloud.extension.services import Answer, RefusedError, answer, refusal, register

_APPLIED: dict[str, dict[str, float]] = {
    "lambda": {"Concurrent executions": 1_000.0, "Function and layer storage": 75.0},
    "monitoring": {},
    "sagemaker": {"ml.m5.large for endpoint usage": 20.0, "ml.g5.xlarge for endpoint usage": 0.0},
}
_DEFAULTS: dict[str, dict[str, float]] = {
    **_APPLIED,
    "monitoring": {"Number of alarms": 5_000.0},
}
_LISTS = {"ListServiceQuotas": _APPLIED, "ListAWSDefaultServiceQuotas": _DEFAULTS}


def control(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one call. Raises ``RefusedError``."""
    if action not in _LISTS:
        raise RefusedError("UnknownOperationException", f"{action} is not emulated")
    service = request["ServiceCode"]
    if service not in _LISTS[action]:
        raise RefusedError("NoSuchResourceException", f"The service {service} is not known")
    quotas = [
        {"ServiceCode": service, "QuotaName": name, "Value": value, "Unit": "None", "Adjustable": True}
        for name, value in _LISTS[action][service].items()
    ]
    return {"Quotas": quotas}


async def _handle(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> Answer:
    del method, path, query
    try:
        return answer(control(headers.get("x-amz-target", "").rsplit(".", 1)[-1], json.loads(body or b"{}")))
    except RefusedError as error:
        return refusal(error)


def install() -> None:
    """Add the service."""
    register("servicequotas", targets=["ServiceQuotasV20190624."], handle=_handle, reset=lambda: None)
