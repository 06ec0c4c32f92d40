"""Headroom: whether a flip at once would leave callers without an environment, told before it does.

The moment an alias moves, every request meets a version whose environments have yet to start, while the
old version's finish what they have: for a while both hold concurrency. A function that answers 40
requests at once may so need 80, of a limit that it shares with the whole account
(govuk-one-login/authentication-api pull request 4816 saw it). Environments that are provisioned for the
new version are started already and ask for nothing.

Sources: Lambda developer guide, "Understanding Lambda function scaling": requests in flight count, cold
starts included; 1,000 new environments every 10 seconds for each function. "Types of metrics for Lambda
functions": ``ConcurrentExecutions`` of a function, and without dimensions of the Region.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias, ByVersion
from releases.errors import NoHeadroomError
from releases.health import LAMBDA
from releases.ports import Metric
from releases.stage import Stage

BURST = 1_000
"""So many environments of one function start at once; the next thousand follow ten seconds later."""

START_S = 2.0
"""What an environment is taken to need to start, in seconds, by estimate: nobody says it of one yet to start.
Until the first ones stand, every request that comes starts another (``benchmarks.concurrency`` plays it)."""

LOOK_BACK_S = 900.0
PERIOD_S = 60

_METRIC = "ConcurrentExecutions"


@dataclass(frozen=True, slots=True)
class Headroom:
    """The numbers. ``peak`` is the most requests that were answered at once lately.

    ``per_second`` is the most that came in a second, of a minute's average; 0 where nobody counted.
    """

    peak: int
    limit: int
    others: int
    provisioned: int = 0
    reserved: bool = False
    per_second: float = 0.0

    @property
    def to_start(self) -> int:
        """Environments that a flip has to start: those that will answer, and those of who comes meanwhile."""
        return self.to_start_for(1.0)

    def to_start_for(self, share: float) -> int:
        """The same, where ``share`` of all calls come to the new version."""
        cold = max(self.peak * share - self.provisioned, 0.0)
        if not cold:
            return 0
        return math.ceil(cold * (1 + self.per_second * START_S / self.peak) - 1e-9)

    @property
    def needed(self) -> int:
        """What the old version's requests and the new version's hold together."""
        return self.peak + self.to_start

    @property
    def free(self) -> int:
        return max(self.limit - self.others, 0)

    @property
    def suffices(self) -> bool:
        return self._starts(self.to_start)

    def suffices_for(self, shares: Sequence[float]) -> bool:
        """Whether a shift with these shares starts no more in any step than can be started."""
        return all(self._starts(self.to_start_for(step)) for step in _steps(shares))

    @property
    def largest_step(self) -> int:
        """The largest share, in percent, that can come to the new version at once; 0 if not even one can."""
        return next((step for step in range(100, 0, -1) if self._starts(self.to_start_for(step / 100))), 0)

    def _starts(self, count: int) -> bool:
        return count == 0 or (self.peak + count <= self.free and count <= BURST)


def check_shift(stage: Stage, ref: ByVersion, alias: str, shares: Sequence[float]) -> tuple[str, ...]:
    """Raise ``NoHeadroomError`` if a step of a shift of ``alias`` to ``ref`` would throttle.

    Each step starts the environments of the share that it adds, the flip at the end those of the rest. What
    cannot be known is a warning, as for ``check``.
    """
    if stage.monitoring is None:
        return ()
    try:
        found = measure(stage, ref.model)
    except SwitchyardError as error:
        return (f"whether a step would throttle is not known: {error}",)
    if found.suffices_for(shares):
        return ()
    step = max(_steps(shares))
    raise NoHeadroomError(
        f"a step of {step:.0%} of `{ByAlias(ref.model, alias)}` would throttle: "
        f"{found.to_start_for(step):,} environments have to start, Lambda starts {BURST:,} in ten seconds, "
        f"and {max(found.free - found.peak, 0):,} more requests can be answered at once",
        hint=f"Take steps of at most {found.largest_step} %, or give the model `provisioned_concurrency`."
        if found.largest_step
        else "Give the model `provisioned_concurrency`, or ask for more concurrency.",
    )


def _steps(shares: Sequence[float]) -> list[float]:
    """The share of all calls that each step adds; the flip at the end is one."""
    return [after - before for before, after in pairwise((0.0, *shares, 1.0))]


def check(stage: Stage, ref: ByVersion, alias: str, *, provisioned: int = 0) -> tuple[str, ...]:
    """Raise ``NoHeadroomError`` with the numbers if flipping ``alias`` to ``ref`` now would throttle.

    What cannot be known is a warning: nobody is kept from a release because CloudWatch does not answer.
    """
    if stage.monitoring is None:
        return ()
    try:
        found = measure(stage, ref.model, provisioned=provisioned)
    except SwitchyardError as error:
        return (f"whether a flip would throttle is not known: {error}",)
    if found.suffices:
        return ()
    raise NoHeadroomError(
        f"a flip of `{ByAlias(ref.model, alias)}` would throttle: {_why(found)}",
        hint=f"Move in steps, `yard release {ref} --shift {_fitting(found)}`, or move it regardless, "
        f"`yard flip {ref} --now --reason TEXT`.",
    )


def check_shadow(stage: Stage, ref: ByVersion, alias: str, share: float) -> tuple[str, ...]:
    """Raise ``NoHeadroomError`` if mirroring ``share`` of ``alias`` could take callers' environments.

    Mirrored requests run in the same function and hold its concurrency as callers' do.
    """
    if stage.monitoring is None:
        return ()
    try:
        found = measure(stage, ref.model)
    except SwitchyardError as error:
        return (f"whether mirrored requests would throttle callers is not known: {error}",)
    more = math.ceil(found.peak * share)
    if found.peak + more <= found.free:
        return ()
    raise NoHeadroomError(
        f"mirroring {share:.0%} of `{ByAlias(ref.model, alias)}` could throttle callers: it answers up to "
        f"{found.peak:,} requests at once, mirrored ones may need {more:,} more, and {found.free:,} are free",
        hint="Mirror a smaller share, or ask for more concurrency.",
    )


def measure(stage: Stage, model: str, *, provisioned: int = 0) -> Headroom:
    """What ``model``'s function and the account needed at most in the last quarter of an hour."""
    assert stage.monitoring is not None
    function = stage.function(model)
    allowed = stage.functions.concurrency(function)
    own, everybody, requests = stage.monitoring.read(
        [
            (Metric(LAMBDA, _METRIC, (("FunctionName", function),)), "Maximum"),
            (Metric(LAMBDA, _METRIC, ()), "Maximum"),
            (Metric(LAMBDA, "Invocations", (("FunctionName", function),)), "Sum"),
        ],
        since=stage.clock.now() - LOOK_BACK_S,
        until=stage.clock.now() + PERIOD_S,
        period_s=PERIOD_S,
    )
    peak = int(max(own, default=0))
    per_second = max(requests, default=0) / PERIOD_S
    found = Headroom(peak, allowed.unreserved, others=0, provisioned=provisioned, per_second=per_second)
    if allowed.reserved is not None:
        return replace(found, limit=allowed.reserved, reserved=True)
    return replace(found, others=max(int(max(everybody, default=0)) - peak, 0))


def _fitting(found: Headroom) -> str:
    """Steps that would not throttle, for a hint; the usual ones where those do."""
    usual = (0.05, 0.25, 0.5)
    if found.suffices_for(usual) or not found.largest_step:
        return "5,25,50"
    return ",".join(str(share) for share in range(found.largest_step, 100, found.largest_step))


def _why(found: Headroom) -> str:
    if found.needed <= found.free:
        return f"{found.to_start:,} environments have to start, and Lambda starts {BURST:,} in ten seconds"
    whose = "are reserved for it" if found.reserved else "are the account's"
    others = f", of which others use up to {found.others:,}" if found.others else ""
    warm = f" ({found.provisioned:,} are provisioned)" if found.provisioned else ""
    return (
        f"it answers up to {found.peak:,} requests at once, so both versions together may need "
        f"{found.needed:,}{warm}; {found.limit:,} {whose}{others}"
    )
