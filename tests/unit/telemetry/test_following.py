"""``telemetry.following``: each line once, as it appears."""

from __future__ import annotations

from itertools import islice

from telemetry.adapters.memory import MemoryLines
from telemetry.following import LATE_S, follow
from telemetry.ports import Wanted
from tests.unit.releases.world import StillClock


class Writing(StillClock):
    """Time in which, at each pause, somebody logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = MemoryLines(self)
        self.pauses = 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.pauses += 1
        self.lines.write("g", f"now {self.pauses}")
        self.lines.write("g", f"late {self.pauses}", at=self.now() - LATE_S / 2)


def test_every_line_comes_once_those_that_appear_late_too() -> None:
    clock = Writing()
    clock.lines.write("g", "before", at=clock.now() - 100)
    clock.lines.write("g", "first")
    found = follow(clock.lines, clock, "g", Wanted(), since=clock.now() - LATE_S)
    texts = [line.text for line in islice(found, 7)]
    assert texts[0] == "first"
    assert sorted(texts[1:]) == sorted(f"{when} {n}" for n in (1, 2, 3) for when in ("now", "late"))


def test_only_what_is_wanted_is_followed() -> None:
    clock = Writing()
    clock.lines.write("g", '{"version": "3", "status": 500}')
    clock.lines.write("g", '{"version": "3", "status": 200}')
    found = follow(clock.lines, clock, "g", Wanted(errors=True), since=0)
    assert next(found).fields["status"] == 500
