"""The alarms of a model as they stand: which fire, and which changed last."""

from __future__ import annotations

from collections.abc import Iterable

from telemetry.ports import AlarmSeen, Numbers


def alarms_of(numbers: Numbers, stage: str, model: str) -> list[AlarmSeen]:
    """Every alarm of ``model``, whoever made it; the one whose state changed last comes first."""
    found = numbers.alarms(f"switchyard/{stage}/{model}/")
    return sorted(found, key=lambda alarm: alarm.since, reverse=True)


def firing(found: Iterable[AlarmSeen]) -> list[AlarmSeen]:
    """Those in ALARM that tell somebody, in the order given."""
    return [alarm for alarm in found if alarm.state == "ALARM" and alarm.tells]
