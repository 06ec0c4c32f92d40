"""Who has keys to a stage's REST API, read from API Gateway. A key's value is fetched when it is asked for.

Reading values is `apigateway:GET` on `/apikeys`; no role that a stage makes has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from model_store.contract.deployment import api_key_name, api_key_prefix
from model_store.contract.errors import SwitchyardError
from releases.errors import ServiceError

PLAN = "plan"


class NoSuchKeyError(SwitchyardError):
    """The stage has no caller of that name, or the caller no key of that label."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller: its keys' ids by their labels, and its limits as API Gateway holds them."""

    name: str
    keys: dict[str, str]
    rate: float | None = None
    burst: int | None = None
    quota: int | None = None
    period: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "caller": self.name,
            "keys": self.keys,
            "rate": self.rate,
            "burst": self.burst,
            "quota": self.quota,
            "period": self.period,
        }


@dataclass(slots=True)
class ApiKeys:
    """The keys of one stage."""

    stage: str
    _client: Any = field(default=None)

    def callers(self) -> list[Caller]:
        """Everybody with a key, by name; a few calls, however many there are."""
        with _translated():
            keys = self._all("get_api_keys", nameQuery=api_key_prefix(self.stage))
            plans = {plan["name"]: plan for plan in self._all("get_usage_plans")}
        labels: dict[str, dict[str, str]] = {}
        for key in keys:
            caller, label = self._parts(key["name"])
            labels.setdefault(caller, {})[label] = key["id"]
        return [
            _caller(name, labels[name], plans.get(api_key_name(self.stage, name, PLAN), {}))
            for name in sorted(labels)
        ]

    def value(self, caller: str, label: str) -> str:
        """The key itself. Raises ``NoSuchKeyError`` with what there is."""
        name = api_key_name(self.stage, caller, label)
        with _translated():
            found = self._all("get_api_keys", nameQuery=name, includeValues=True)
        for key in found:
            if key["name"] == name:
                return str(key["value"])
        there = [f"{one.name} ({', '.join(sorted(one.keys))})" for one in self.callers()]
        raise NoSuchKeyError(
            f"stage `{self.stage}` has no key `{label}` of a caller `{caller}`",
            hint=f"There are: {'; '.join(there) or 'none'}. Callers are declared in models.toml.",
        )

    def _parts(self, name: str) -> tuple[str, str]:
        caller, _, label = name.removeprefix(api_key_prefix(self.stage)).partition(".")
        return caller, label

    def _all(self, operation: str, **asked: Any) -> list[dict[str, Any]]:
        if self._client is None:
            import boto3

            self._client = boto3.client("apigateway")
        pages = self._client.get_paginator(operation).paginate(**asked)
        return [item for page in pages for item in page.get("items", [])]


def _caller(name: str, keys: dict[str, str], plan: dict[str, Any]) -> Caller:
    throttle, quota = plan.get("throttle") or {}, plan.get("quota") or {}
    return Caller(
        name,
        dict(sorted(keys.items())),
        rate=throttle.get("rateLimit"),
        burst=throttle.get("burstLimit"),
        quota=quota.get("limit"),
        period=str(quota["period"]).lower() if quota.get("limit") and quota.get("period") else None,
    )


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise ServiceError(
            f"API Gateway did not say who has keys: {error}",
            hint="Keys are read with `apigateway:GET`; check who you are with `aws sts get-caller-identity`.",
        ) from error
