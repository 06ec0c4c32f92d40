"""What is measured in a real account, on what Lambda writes and on callers that are played."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.crowd import Heard
from benchmarks.trial import measure


def test_restores_are_read_from_lines_of_text_and_of_json() -> None:
    line = "RESTORE_REPORT Restore Duration: 462.18 ms\tBilled Restore Duration: 312 ms"
    assert measure.restored(line)[0] == 462.18
    record = {"type": "platform.restoreReport", "record": {"metrics": {"durationMs": 401.5}}}
    assert measure.restored(json.dumps(record)) == [401.5]
    assert measure.restored(json.dumps({"type": "platform.report", "record": {}})) == []


def test_the_last_old_answer_counts_from_when_the_command_had_returned() -> None:
    heard = [
        Heard(0, 9.9, 200, "1", true=True),
        Heard(0, 10.02, 200, "1", true=True),
        Heard(0, 10.03, 503, "", true=False),
        Heard(0, 10.05, 200, "2", true=True),
        Heard(0, 99.0, 200, "1", true=True),
    ]
    assert round(measure._last_old(heard, 10.0, "2", 3.0), 3) == 20.0
    assert measure._last_old(heard[:1], 10.0, "2", 3.0) == 0.0


def test_each_release_is_timed_by_what_the_command_says() -> None:
    asked: list[tuple[str, ...]] = []

    def yard(*words: str) -> Any:
        asked.append(words)
        return {"took_ms": 150_000.5}

    assert measure.releases(yard, (1, 2)) == [150_000.5, 150_000.5]
    assert asked == [("release", "digits:1"), ("release", "digits:2")]
