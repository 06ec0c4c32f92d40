"""``telemetry.alarms``: the alarms of one model."""

from __future__ import annotations

from telemetry.adapters.memory import MemoryNumbers
from telemetry.alarms import alarms_of, firing
from telemetry.ports import AlarmSeen
from tests.unit.releases.world import StillClock


def test_a_model_has_its_own_alarms_and_the_last_to_change_comes_first() -> None:
    numbers = MemoryNumbers(StillClock())
    for name, since in (
        ("digits/live/a/errors", 3.0),
        ("digits/pain", 9.0),
        ("digits-2/live/a/errors", 12.0),
    ):
        numbers.put(AlarmSeen(f"switchyard/prod/{name}", "OK", since))
    found = alarms_of(numbers, "prod", "digits")
    assert [alarm.since for alarm in found] == [9.0, 3.0]


def test_a_part_of_another_alarm_is_not_told_by_itself() -> None:
    """The alarm on silence fires all night; the one made of it and of the days before does not."""
    part, told = (AlarmSeen(name, "ALARM", 1.0, tells=tells) for name, tells in (("a", False), ("b", True)))
    assert firing([part, told, AlarmSeen("c", "OK", 1.0)]) == [told]
