"""``functions.monitor.handler``: every declared model is judged, and one that fails does not stop the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.monitor import handler as room
from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import StoreUnavailableError

ENVIRON = {
    "SWITCHYARD_STAGE": "prod",
    "SWITCHYARD_BUCKET": "store",
    "SWITCHYARD_CAPTURE_BUCKET": "kept",
    "SWITCHYARD_MONITORED": json.dumps(
        [{"model": "broken", "window_hours": 24}, {"model": "digits", "window_hours": 6}]
    ),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    calls: list[tuple[str, int]] = []

    def watch(_store: object, _kept: object, stage: str, model: str, *, window_hours: int) -> Any:
        calls.append((model, window_hours))
        if model == "broken":
            raise StoreUnavailableError("S3 is not there")
        return iter([{"model": model, "stage": stage}, {"model": model, "skipped": "no baseline"}])

    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(room, "S3Store", lambda _bucket: MemoryStore())
    monkeypatch.setattr(room, "watch", watch)
    return calls


def test_a_model_that_fails_is_said_after_the_others_were_judged(
    asked: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="could not judge broken"):
        room.handler({"action": "compare"}, None)
    assert asked == [("broken", 24), ("digits", 6)]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["failed"] == "S3 is not there"
    assert lines[1] == {"model": "digits", "stage": "prod"}


def test_one_model_can_be_asked_for(asked: list[tuple[str, int]]) -> None:
    assert room.handler({"action": "compare", "model": "digits"}, None) == {"judged": 1}
    assert asked == [("digits", 6)]
