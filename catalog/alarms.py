"""``[models.x.alarms]``: what is alarmed on, from which number on, and what is switched off.

Every threshold is a number or ``false``. The defaults are meant for a model that people wait for; what an
alarm of each kind costs is in ``docs/monitoring.md`` and in ``yard plan``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from catalog.mistakes import mistake

P99_SHARE = 0.8
"""Of the time-out: without a number of their own, answers are too slow from there on."""


def _threshold(low: float, high: float, unit: str, *, whole: bool = False) -> BeforeValidator:
    """A number of a range, or ``false`` for no alarm."""

    def check(value: Any) -> Any:
        if value is False:
            return False
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and low <= value <= high and (not whole or value == int(value)):
            return int(value) if whole else float(value)
        kind = "a whole number" if whole else "a number"
        shown = str(value).lower() if isinstance(value, bool) else value
        raise mistake(
            f"is `{shown}`, neither {kind} from {low:g} to {high:g} {unit} nor `false`",
            f"Write {kind} from {low:g} to {high:g}, or `false` for no such alarm.",
        )

    return BeforeValidator(check)


Off = Literal[False]
Percent = Annotated[float | Off, _threshold(0.01, 100, "percent")]
Milliseconds = Annotated[float | Off | None, _threshold(1, 900_000, "ms")]
Count = Annotated[int | Off, _threshold(1, 1_000_000, "in a period", whole=True)]
Minutes = Annotated[int | Off, _threshold(5, 1_440, "minutes", whole=True)]
Requests = Annotated[int, _threshold(1, 1_000_000_000, "requests", whole=True)]
Deviations = Annotated[float | Off, _threshold(1, 10, "standard deviations")]


class Alarms(BaseModel):
    """What people are told about one model, whichever of its versions answers.

    Shares are judged from ``at_least`` requests in a period on. ``silence_minutes`` without a request are
    told where the last day had ``busy_requests``. The bands are what CloudWatch expects after the metric's
    own history, so many standard deviations wide. ``user_pain`` is one alarm for each alias over those of
    errors, faults, latency and throttles, and the only one of them that wakes somebody.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    errors_percent: Percent = 1.0
    faults_percent: Percent = 1.0
    at_least: Requests = 20
    p99_ms: Milliseconds = None
    throttles: Count = 1
    start_failures: Count = 1
    silence_minutes: Minutes = 15
    busy_requests: Requests = 1_000
    latency_band: Deviations = 3.0
    traffic_band: Deviations = 3.0
    user_pain: bool = True

    def slow_ms(self, timeout_s: int) -> float | None:
        """From how many milliseconds on the 99th percentile is too slow; ``None`` if nobody asks."""
        if self.p99_ms is False:
            return None
        return timeout_s * 1000 * P99_SHARE if self.p99_ms is None else self.p99_ms

    @property
    def pains(self) -> tuple[str, ...]:
        """What user pain is made of, by the names of its alarms."""
        parts = {
            "errors": self.errors_percent,
            "faults": self.faults_percent,
            "p99": self.p99_ms,
            "throttles": self.throttles,
        }
        return tuple(name for name, threshold in parts.items() if threshold is not False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The alarms that are not switched off, by their names; the halves of silence are not among them."""
        switches = {
            "errors": self.errors_percent,
            "faults": self.faults_percent,
            "p99": self.p99_ms,
            "throttles": self.throttles,
            "start-failures": self.start_failures,
            "no-traffic": self.silence_minutes,
            "latency-band": self.latency_band,
            "traffic-band": self.traffic_band,
            "user-pain": self.user_pain and bool(self.pains),
        }
        return tuple(name for name, switch in switches.items() if switch is not False)

    def billed(self, aliases: int) -> Billed:
        """What CloudWatch bills for these alarms, of a model with so many aliases."""
        on_metrics = 1  # of what could not answer once a day, which every model has
        on_metrics += aliases * (2 * (self.errors_percent is not False) + (self.throttles is not False))
        on_metrics += 2 * (self.faults_percent is not False) + (self.p99_ms is not False)
        on_metrics += self.start_failures is not False
        silence = self.silence_minutes is not False
        on_metrics += aliases * 2 * silence
        composites = aliases * (silence + bool(self.user_pain and self.pains))
        bands = (self.latency_band is not False) + aliases * (self.traffic_band is not False)
        return Billed(on_metrics=on_metrics, composites=composites, bands=bands)


class Billed(BaseModel):
    """What a month is billed for: metrics that alarms look at, composite alarms, alarms on bands.

    Source: CloudWatch pricing: an alarm is billed by the metrics that it looks at; one on a band as three.
    """

    model_config = ConfigDict(frozen=True)

    on_metrics: int
    composites: int
    bands: int
