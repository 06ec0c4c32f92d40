"""``[models.x.capture]``: what of a model's requests is kept, for how long, and what people are told of.

Off without the table, and on a stage that says ``rate = 0``. What is kept and what a month of it costs is in
``docs/monitoring-drift.md``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from catalog.mistakes import between, mistake
from model_store.contract.capture import CaptureSettings

MAX_VARIABLE_BYTES = 1_000
"""Longest list of names: it travels in the function's environment, which has 4 KB for everything."""


def _share(low: float, what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= 1:
            return float(value)
        shown = str(value).lower() if isinstance(value, bool) else value
        raise mistake(
            f"is `{shown}`, not a share from {low:g} to 1", f"Write {what}, for example `0.05` for 5 %."
        )

    return BeforeValidator(check)


def _limit(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.05 <= value <= 10:
        return float(value)
    raise mistake(
        f"is `{value}`, not an index from 0.05 to 10",
        "Write the index from which on an input has drifted; 0.25 is usual.",
    )


def _names(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(value) or len(set(value)) != len(value):
        raise mistake("names an empty tensor, or one twice", "Write the name of each tensor once.")
    if sum(len(name.encode()) + 3 for name in value) > MAX_VARIABLE_BYTES:
        raise mistake(
            f"names tensors of more than {MAX_VARIABLE_BYTES} bytes together",
            "Name fewer: where most of a request must not be kept, keep none of it.",
        )
    return value


Names = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_names)]


class Capture(BaseModel):
    """What of a model's requests is kept, and what the monitor makes of it.

    ``rate`` of the requests, and of those at most ``rows_per_hour`` rows in each environment of the function.
    ``drop`` and ``hash`` name input and output tensors (``drop`` also ``id``, the caller's own): the first
    are not kept, of the second a pseudonym is. The monitor judges the last ``window_hours`` once an hour; an
    input or output whose index is ``drift_psi`` or more is told, and an accuracy below ``min_accuracy``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rate: Annotated[float, _share(0, "the share of requests to keep")]
    rows_per_hour: Annotated[
        int, between(1, 1_000_000, "rows", "a share of the requests bounds nothing on a busy day")
    ] = 1_000
    drop: Names = ()
    hash: Names = ()
    retention_days: Annotated[int, between(1, 365, "days", "what was sampled is soon old")] = 30
    window_hours: Annotated[int, between(1, 720, "hours", "the monitor reads all of it every hour")] = 24
    drift_psi: Annotated[float, BeforeValidator(_limit)] = 0.25
    min_accuracy: Annotated[float, _share(0.01, "the least share of right answers")] | None = None

    @model_validator(mode="after")
    def _does_one_thing_with_a_name(self) -> Capture:
        both = sorted({*self.drop} & {*self.hash})
        if both:
            raise mistake(f"drops and hashes `{both[0]}`", "Name it in one of the two lists.")
        if "id" in self.hash:
            raise mistake("hashes `id`, and labels could no longer find their answer", "Drop it, or keep it.")
        if self.window_hours > self.retention_days * 24:
            raise mistake(
                f"has `window_hours = {self.window_hours}` and forgets after {self.retention_days} days",
                "Write a shorter window, or a longer `retention_days`.",
            )
        return self

    @property
    def settings(self) -> CaptureSettings:
        """What the function is told."""
        return CaptureSettings(self.rate, self.rows_per_hour, self.drop, self.hash)
