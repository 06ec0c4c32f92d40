"""Where a load balancer sends a request: rules by priority, weights, and targets that are healthy.

AWS: Elastic Load Balancing user guide for Application Load Balancers, "Listener rules" (in order of priority,
the default rule last), "Target groups" (weights among the groups of one action), "Health checks" (a new
target needs one good check; if no target of a group is healthy, all are asked). Checks come every second here
and not every ``HealthCheckIntervalSeconds``; thresholds are the group's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import urllib3
from ministack.services import alb

from local_cloud.extension import http2

CHECK_S = 1.0
PROBE_S = 5.0

Address = tuple[str, int]

_pool = urllib3.PoolManager(maxsize=8, retries=False)
_lock = threading.Lock()
_checked: dict[tuple[str, str], Checked] = {}
_open: Counter[str] = Counter()
_machines: list[Callable[[str, int], Address | None]] = []


@dataclass
class Checked:
    """What the checks of a target have said; ``streak`` counts those that say otherwise."""

    state: str = "initial"
    streak: int = 0


@dataclass(frozen=True)
class Fixed:
    """An answer that the load balancer gives itself."""

    status: int
    kind: str = "text/html"
    body: bytes = b""


@dataclass(frozen=True)
class Target:
    """One server of a target group."""

    group: str
    id: str
    host: str
    port: int


def find_machines_by(address: Callable[[str, int], Address | None]) -> None:
    """Say who knows where a port of a machine really is."""
    _machines[:] = [address]


def route(balancer: str, *, grpc: bool, method: str, path: str, headers: dict[str, str]) -> Target | Fixed:
    """Who answers a request; the listener is the one whose protocol carries gRPC, or the other."""
    listener = next(
        (
            found["ListenerArn"]
            for found in alb._listeners.values()
            if found["LoadBalancerArn"] == balancer and (found["Protocol"] == "HTTPS") == grpc
        ),
        None,
    )
    if listener is None:
        return Fixed(503)
    rules = [rule for rule in alb._rules.values() if rule["ListenerArn"] == listener]
    for rule in sorted(rules, key=alb._rule_sort_key):
        met = (alb._match_condition(c, method, path, headers, {}) for c in rule["Conditions"])
        if rule.get("IsDefault") or all(met):
            return _acted(rule["Actions"][-1])
    return Fixed(503)


def _acted(action: dict[str, Any]) -> Target | Fixed:
    if action["Type"] != "forward":
        said = action.get("FixedResponseConfig") or {}
        body = str(said.get("MessageBody", "")).encode()
        return Fixed(int(said.get("StatusCode", 503)), said.get("ContentType", "text/plain"), body)
    groups = shares_of(action)
    if not any(groups.values()):
        return Fixed(503)
    (group,) = random.choices(list(groups), list(groups.values()))  # noqa: S311
    return _target(group)


def shares_of(action: dict[str, Any]) -> dict[str, int]:
    """The weights of an action's target groups; 1 where none is said."""
    found = (action.get("ForwardConfig") or {}).get("TargetGroups")
    if not found:
        return {action["TargetGroupArn"]: 1} if action.get("TargetGroupArn") else {}
    return {item["TargetGroupArn"]: int(item.get("Weight", 1)) for item in found}


def _target(group: str) -> Target | Fixed:
    registered = alb._targets.get(group) or []
    healthy = [item for item in registered if health_of(group, item["Id"]) == "healthy"]
    for item in random.sample(healthy or registered, len(healthy or registered)):
        found = _address(group, item)
        if found is not None:
            return Target(group, item["Id"], *found)
    return Fixed(503)


def _address(group: str, item: dict[str, Any]) -> Address | None:
    port = int(item.get("Port") or alb._tgs[group]["Port"])
    if alb._tgs[group]["TargetType"] == "ip":
        return item["Id"], port
    return next((place for find in _machines if (place := find(item["Id"], port))), None)


@contextlib.contextmanager
def asking(target: Target) -> Iterator[None]:
    """Count a request as open, so that nobody ends the machine under it."""
    with _lock:
        _open[target.id] += 1
    try:
        yield
    finally:
        with _lock:
            _open[target.id] -= 1


def open_requests(target_id: str) -> int:
    """How many requests a target has not answered yet."""
    return _open[target_id]


def health_of(group: str, target_id: str) -> str:
    """``TargetHealth.State`` of a target in a group."""
    if not groups_used(group):
        return "unused"
    found = _checked.get((group, target_id))
    return found.state if found else "initial"


def groups_used(group: str | None = None) -> dict[str, set[str]]:
    """Target groups that a rule leads to, with the load balancers that have such a rule."""
    found: dict[str, set[str]] = {}
    for rule in list(alb._rules.values()):
        listener = alb._listeners.get(rule["ListenerArn"])
        for action in rule["Actions"] if listener else ():
            for arn in shares_of(action):
                if group in (None, arn):
                    found.setdefault(arn, set()).add(listener["LoadBalancerArn"])
    return found


async def check(balancer: str) -> None:
    """Ask every target behind a load balancer once how it is."""
    groups = [arn for arn, balancers in groups_used().items() if balancer in balancers]
    await asyncio.gather(*(_check(arn, item) for arn in groups for item in list(alb._targets.get(arn) or [])))


async def _check(arn: str, item: dict[str, Any]) -> None:
    group, place = alb._tgs.get(arn), _address(arn, item)
    if group is None:
        return
    good = False
    if place is not None:
        with contextlib.suppress(OSError, TimeoutError):
            good = await asyncio.wait_for(_probe(group, *place), PROBE_S)
    _count(_checked.setdefault((arn, item["Id"]), Checked()), good=good, group=group)


async def _probe(group: dict[str, Any], host: str, port: int) -> bool:
    path, matcher = group["HealthCheckPath"], group["Matcher"]
    if group.get("ProtocolVersion") == "GRPC":
        return await http2.grpc_status(host, port, path) == str(matcher.get("GrpcCode", "0"))
    return await asyncio.to_thread(_ping, f"http://{host}:{port}{path}") == int(matcher["HttpCode"])


def _ping(url: str) -> int:
    try:
        return int(_pool.request("GET", url, timeout=PROBE_S).status)
    except urllib3.exceptions.HTTPError:
        return 0


def _count(found: Checked, *, good: bool, group: dict[str, Any]) -> None:
    if found.state != "initial" and good == (found.state == "healthy"):
        found.streak = 0
        return
    found.streak += 1
    threshold = group["HealthyThresholdCount"] if good else group["UnhealthyThresholdCount"]
    if found.state == "initial" and good:
        threshold = 1
    if found.streak >= threshold:
        found.state, found.streak = ("healthy" if good else "unhealthy"), 0


def reset() -> None:
    """Forget what was checked."""
    _checked.clear()
