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
from dataclasses import dataclass

from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias, ByVersion
from releases.errors import NoHeadroomError
from releases.health import LAMBDA
from releases.ports import Metric
from releases.stage import Stage

BURST = 1_000
"""So many environments of one function start at once; the next thousand follow ten seconds later."""

LOOK_BACK_S = 900.0
PERIOD_S = 60

_METRIC = "ConcurrentExecutions"


@dataclass(frozen=True, slots=True)
class Headroom:
    """The numbers. ``peak`` is the most requests that were answered at once lately."""

    peak: int
    limit: int
    others: int
    provisioned: int = 0
    reserved: bool = False

    @property
    def to_start(self) -> int:
        """Environments that a flip has to start at once."""
        return max(self.peak - self.provisioned, 0)

    @property
    def needed(self) -> int:
        """What the old version's requests and the new version's hold together."""
        return self.peak + self.to_start

    @property
    def free(self) -> int:
        return max(self.limit - self.others, 0)

    @property
    def suffices(self) -> bool:
        return self.to_start == 0 or (self.needed <= self.free and self.to_start <= BURST)


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
        hint=f"Move in steps, `yard release {ref} --shift 5,25,50`, or move it regardless, "
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
    own, everybody = stage.monitoring.read(
        [
            (Metric(LAMBDA, _METRIC, (("FunctionName", function),)), "Maximum"),
            (Metric(LAMBDA, _METRIC, ()), "Maximum"),
        ],
        since=stage.clock.now() - LOOK_BACK_S,
        until=stage.clock.now() + PERIOD_S,
        period_s=PERIOD_S,
    )
    peak = int(max(own, default=0))
    if allowed.reserved is not None:
        return Headroom(peak, allowed.reserved, others=0, provisioned=provisioned, reserved=True)
    others = max(int(max(everybody, default=0)) - peak, 0)
    return Headroom(peak, allowed.unreserved, others=others, provisioned=provisioned)


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
