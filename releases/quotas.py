"""Quotas: what an account may have, what it has, and what a stage adds to it, told before AWS refuses.

Lambda says its own limits with what is used of them. The others are asked of Service Quotas, and where that
may not be read, or knows none of that name, AWS's documented default is taken and said to be one. Reads only;
the number of calls is bounded, whatever the account holds.

Sources: Lambda quotas (75 GB of functions and layers, 1,000 executions at once, of which 100 stay
unreserved); CloudWatch quotas (5,000 alarms); SageMaker quotas (each instance type has its own, "for endpoint
usage").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from model_store.contract.errors import AccessDeniedError, SwitchyardError
from releases.errors import QuotaError

ALARMS_DEFAULT = 5_000
UNRESERVED = 100
"""Executions that Lambda keeps for functions that reserve none."""

NEARLY = 0.8
"""From this share on a quota that fits is said to be nearly used up."""

_GB = 1024**3


@dataclass(frozen=True, slots=True)
class Used:
    """What there is of something: all, and of it what carries this stage's name."""

    every: int
    ours: int = 0
    whole: bool = True
    """``False`` when counting was given up at the bound; there are at least so many."""


@dataclass(frozen=True, slots=True)
class Executions:
    """Concurrent executions of the account, and how many of them functions have reserved."""

    limit: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of functions and layers: what the account may have and has."""

    limit: int
    used: int


class Quotas(Protocol):
    """Limits and what is used of them. The laws: ``tests/contract/test_quotas.py``.

    Nothing but errors of this project comes out; ``AccessDeniedError`` where something may not be read.
    """

    def granted(self, service: str, name: str) -> float | None:
        """The quota that Service Quotas calls so, upper and lower case alike; ``None`` if it knows none."""
        ...

    def storage(self) -> Storage: ...

    def executions(self) -> Executions: ...

    def alarms(self, prefixes: tuple[str, ...]) -> Used:
        """Alarms of the region; ours are those whose names begin with one of ``prefixes``."""
        ...

    def endpoints(self, prefix: str) -> Used:
        """Endpoints of SageMaker, of the region."""
        ...


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stage has when all of its catalog is deployed, at most."""

    alarms: int = 0
    provisioned: int = 0
    endpoints: int = 0
    instances: Mapping[str, int] = field(default_factory=dict)
    """Machines of SageMaker by their type, at the most that autoscaling may start."""


@dataclass(frozen=True, slots=True)
class Use:
    """One quota: used by others and by this stage, needed besides, allowed; ``None`` where nobody says."""

    what: str
    used: float
    needed: float
    limit: float | None
    unit: str = ""
    remark: str = ""
    remedy: str = ""

    @property
    def fits(self) -> bool:
        return self.limit is None or self.used + self.needed <= self.limit

    @property
    def verdict(self) -> str:
        """`fits`, `nearly used up`, `too little` or `not known`."""
        if self.limit is None:
            return "not known"
        if not self.fits:
            return "too little"
        return "nearly used up" if self.used + self.needed > NEARLY * self.limit else "fits"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def survey(quotas: Quotas, stage: str, needs: Needs) -> list[Use]:
    """Every quota that a deploy, a release or a provisioned version meets, with what there is of it."""
    found = [_executions(quotas, needs), _storage(quotas), _alarms(quotas, stage, needs)]
    if needs.endpoints or needs.instances:
        found.append(_endpoints(quotas, stage, needs))
        found += [_instances(quotas, kind, count) for kind, count in sorted(needs.instances.items())]
    return found


def must_store(quotas: Quotas, size: int) -> tuple[str, ...]:
    """Raise ``QuotaError`` if Lambda has no room for so many bytes. What cannot be known is a warning."""
    try:
        found = quotas.storage()
    except SwitchyardError as error:
        return (f"whether Lambda has room for this version is not known: {error}",)
    if found.used + size <= found.limit:
        return ()
    raise QuotaError(
        f"Lambda has no room for {size:,} bytes more: functions and layers of this account and region take "
        f"{found.used:,} of {found.limit:,} bytes",
        hint="Run `yard collect`, or ask AWS for more of `Function and layer storage`.",
    )


def must_start(quotas: Quotas, needs: Needs) -> tuple[str, ...]:
    """Raise ``QuotaError`` if SageMaker would not start the machines. What cannot be known is a warning."""
    warnings = []
    for kind, count in sorted(needs.instances.items()):
        use = _instances(quotas, kind, count)
        if not use.fits:
            raise QuotaError(
                f"{count} machines of `{kind}` are needed, and this account may have "
                f"{use.limit or 0:.0f} for endpoints",
                hint=use.remedy,
            )
        if use.limit is None:
            warnings.append(f"whether {count} machines of `{kind}` may be started is not known: {use.remark}")
    return tuple(warnings)


def may_not_grow(quotas: Quotas, needs: Needs) -> tuple[str, ...]:
    """Warn of machines that autoscaling would be refused, should all be needed at once. Raises nothing."""
    found = [_instances(quotas, kind, count) for kind, count in sorted(needs.instances.items())]
    return tuple(
        f"autoscaling may ask for {use.needed:.0f} {use.what}, and this account may have {use.limit:.0f}"
        for use in found
        if use.limit is not None and not use.fits
    )


def _executions(quotas: Quotas, needs: Needs) -> Use:
    what = "concurrent executions (Lambda)"
    try:
        found = quotas.executions()
    except SwitchyardError as error:
        return _unknown(what, error)
    return Use(
        what,
        used=found.reserved,
        needed=needs.provisioned + UNRESERVED,
        limit=found.limit,
        remark=f"reserved by functions; provisioned by this stage, and {UNRESERVED} that stay free",
        remedy="Ask for more of `Concurrent executions` of AWS Lambda in Service Quotas.",
    )


def _storage(quotas: Quotas) -> Use:
    what = "code storage (Lambda functions and layers)"
    try:
        found = quotas.storage()
    except SwitchyardError as error:
        return _unknown(what, error)
    return Use(
        what,
        used=round(found.used / _GB, 3),
        needed=0,
        limit=round(found.limit / _GB, 3),
        unit="GB",
        remark="every release adds its version and its layer",
        remedy="Run `yard collect`, or ask for more of `Function and layer storage` of AWS Lambda.",
    )


def _alarms(quotas: Quotas, stage: str, needs: Needs) -> Use:
    what = "alarms (CloudWatch)"
    try:
        found = quotas.alarms((f"switchyard/{stage}/", f"switchyard-{stage}-"))
    except SwitchyardError as error:
        return _unknown(what, error)
    limit, remark = _granted(quotas, "monitoring", "Number of alarms", ALARMS_DEFAULT)
    return Use(
        what,
        used=found.every,
        needed=max(needs.alarms - found.ours, 0),
        limit=limit,
        remark="; ".join(filter(None, [remark, "" if found.whole else "there are more than were counted"])),
        remedy="Ask for more alarms of Amazon CloudWatch, or switch some off in the catalog's `alarms`.",
    )


def _endpoints(quotas: Quotas, stage: str, needs: Needs) -> Use:
    what = "endpoints (SageMaker)"
    try:
        found = quotas.endpoints(f"switchyard-{stage}-")
    except SwitchyardError as error:
        return _unknown(what, error)
    limit, remark = _granted(quotas, "sagemaker", "Total number of endpoints", None)
    return Use(
        what,
        used=found.every,
        needed=max(needs.endpoints - found.ours, 0),
        limit=limit,
        remark="; ".join(filter(None, [remark, "" if found.whole else "there are more than were counted"])),
        remedy="Ask for more endpoints of Amazon SageMaker in Service Quotas.",
    )


def _instances(quotas: Quotas, kind: str, count: int) -> Use:
    limit, remark = _granted(quotas, "sagemaker", f"{kind} for endpoint usage", None)
    return Use(
        f"machines of {kind} (SageMaker)",
        used=0,
        needed=count,
        limit=limit,
        remark=remark or "of this stage; what others run is not counted",
        remedy=f"Ask for {count} of `{kind} for endpoint usage` of Amazon SageMaker in Service Quotas.",
    )


def _granted(quotas: Quotas, service: str, name: str, default: float | None) -> tuple[float | None, str]:
    """The quota and nothing to remark, or the default and why it is no more than that."""
    try:
        granted = quotas.granted(service, name)
    except AccessDeniedError:
        why = "Service Quotas may not be read"
    except SwitchyardError as error:
        why = f"Service Quotas did not answer: {error}"
    else:
        if granted is not None:
            return granted, ""
        why = f"Service Quotas knows no `{name}`"
    return default, f"{why}; AWS's default is taken" if default is not None else why


def _unknown(what: str, error: SwitchyardError) -> Use:
    return Use(what, used=0, needed=0, limit=None, remark=str(error))
