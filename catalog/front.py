"""``[stages.x.rest]`` and ``[stages.x.callers.y]``: what a stage's front door offers besides an address.

Only a REST API (``api = "rest"``) has these: keys, rates and quotas for each caller, a web application
firewall, and an address that exists in a network only (API Gateway developer guide, "Choose between REST APIs
and HTTP APIs"). What each door can do and what it costs is in ``docs/front-doors.md``.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from catalog.mistakes import between, mistake

_ENDPOINT = re.compile(r"vpce-[0-9a-f]{8,17}")
_ACL = re.compile(r"arn:aws[a-z-]*:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[\w-]+/[0-9a-f-]+")
_CALLER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")

MAX_KEYS = 4
MAX_CALLERS = 300
"""Usage plans of an account in a region. Source: API Gateway quotas."""


def _endpoints(value: tuple[str, ...]) -> tuple[str, ...]:
    for endpoint in value:
        if not _ENDPOINT.fullmatch(endpoint):
            raise mistake(
                f"has `{endpoint}`, not the id of a VPC endpoint",
                "Write the interface endpoint of `execute-api`, for example `vpce-0123456789abcdef0`.",
            )
    if len(set(value)) != len(value) or len(value) > 5:
        raise mistake("names an endpoint twice, or more than 5", "Name up to 5 endpoints, each once.")
    return value


def _acl(value: str) -> str:
    if _ACL.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not the ARN of a regional web ACL",
        "Write it whole, for example `arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/name/id`.",
    )


def _labels(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(value) > MAX_KEYS or len(set(value)) != len(value):
        raise mistake(
            f"is a list of {len(value)} labels", f"Name 1 to {MAX_KEYS} keys, each by another label."
        )
    for label in value:
        if not _LABEL.fullmatch(label):
            raise mistake(
                f"has `{label}`, which is no label of a key",
                "Write up to 16 of a-z, 0-9 and -, for example a date; never a key itself.",
            )
    return value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Waf(_Table):
    """A web ACL before the API: the account's own (``acl``), or one of ours with AWS's managed rules.

    Ours blocks an address that sends more than ``rate_per_address`` requests in five minutes.
    """

    acl: Annotated[str, AfterValidator(_acl)] | None = None
    rate_per_address: Annotated[
        int, between(10, 2_000_000_000, "requests in five minutes", "AWS WAF counts no others")
    ] = 10_000

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Waf:
        if self.acl is not None and "rate_per_address" in self.model_fields_set:
            raise mistake(
                "has both `acl` and `rate_per_address`, and the account's own web ACL has rules of its own",
                "Write one of them.",
            )
        return self


class Rest(_Table):
    """What a REST API is besides its routes.

    With ``vpc_endpoints`` it is private: its address exists behind those interface endpoints, and its policy
    lets nothing else in. ``logs_role`` names API Gateway's log writer to the account, which every REST API of
    the account and region shares; ``false`` leaves the one that the account has.
    """

    vpc_endpoints: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_endpoints)] = ()
    waf: Waf | None = None
    logs_role: bool = True


class Caller(_Table):
    """Somebody who calls with a key: at most ``rate`` requests a second, and ``quota`` in a ``period``.

    ``keys`` are labels, and each is one key whose value API Gateway makes: two of them for the time in which
    the first is replaced by the second. Limits count for each key.
    """

    rate: Annotated[int, between(1, 10_000, "requests per second", "an account's default is 10000")]
    burst: Annotated[int, between(1, 5_000, "requests", "an account's default is 5000")]
    quota: Annotated[int, between(1, 2_000_000_000, "requests", "a quota is a count")] | None = None
    period: Literal["day", "week", "month"] = "month"
    keys: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_labels)] = ("first",)

    @model_validator(mode="after")
    def _counts_something(self) -> Caller:
        if self.quota is None and "period" in self.model_fields_set:
            raise mistake("has a `period` and no `quota`", "Write both, or neither.")
        return self


def check_caller(value: str) -> str:
    """Hold a caller's name to what the name of a key may have."""
    if _CALLER.fullmatch(value):
        return value
    raise mistake(
        f"has `{value}`, which is no name of a caller",
        "Write up to 32 of a-z, 0-9 and -, beginning with a letter.",
    )


def check_callers(value: dict[str, Caller]) -> dict[str, Caller]:
    """No more callers than an account has usage plans."""
    if len(value) > MAX_CALLERS:
        raise mistake(
            f"has {len(value)} callers, and an account has {MAX_CALLERS} usage plans in a region",
            "Let callers with the same limits share a plan, or serve some of them from another stage.",
        )
    return value


Callers = Annotated[dict[Annotated[str, AfterValidator(check_caller)], Caller], AfterValidator(check_callers)]
