"""``yard.shifts``: how shifts are typed, and what of them is shown where."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import typer
from rich.console import Console

from releases.health import Health
from releases.watch import DONE, SHIFTING, Half, Look
from yard import output, shifts

LOOK = Look(
    model="digits",
    alias="live",
    at=130.0,
    phase=SHIFTING,
    before=Half(2, 0.75, Health(300, 1, 0, 4.0)),
    tried=Half(3, 0.25, Health(12, 0, 1, 6.5)),
    step=1,
    steps=3,
    since=100.0,
    bake_s=120.0,
    min_requests=30,
    said="digits:3 answers 25% of digits@live",
)
OVER = replace(LOOK, phase=DONE, said="digits@live serves digits:3")


@pytest.mark.parametrize(
    ("text", "found"), [("90s", 90.0), ("2m", 120.0), ("1h", 3600.0), ("0.5 m", 30.0), ("0s", 0.0)]
)
def test_durations_are_typed_as_people_say_them(text: str, found: float) -> None:
    assert shifts.seconds(text) == found


@pytest.mark.parametrize("text", ["90", "2 minutes", "-5s", "", "1w"])
def test_what_is_no_duration_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s, 2m or 1h"):
        shifts.seconds(text)


def test_steps_are_percentages() -> None:
    assert shifts.percents("5,25, 50") == (5.0, 25.0, 50.0)
    with pytest.raises(typer.BadParameter, match="5,25,50"):
        shifts.percents("five")


def test_with_json_every_look_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    last = shifts.show(iter([LOOK, OVER]), as_json=True, on_stdout=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["phase"] for line in lines] == [SHIFTING, DONE]
    assert lines[0]["tried"]["seen"]["faults"] == 1
    assert last is OVER


def test_without_a_terminal_only_changes_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "data", Console(highlight=False, soft_wrap=True, force_terminal=False))
    shifts.show(iter([LOOK, LOOK, OVER]), as_json=False, on_stdout=True)
    assert capsys.readouterr().out.splitlines() == [
        "digits:3 answers 25% of digits@live: 12 of 30 requests seen in this step, 0 failed, 1 server faults",
        "digits@live serves digits:3",
    ]


def test_in_a_terminal_both_versions_stand_side_by_side(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(output, "data", console)
    shifts.show(iter([LOOK]), as_json=False, on_stdout=True)
    shown = capsys.readouterr().out
    assert all(
        text in shown for text in ("digits:2", "75%", "digits:3", "25%", "6.5 ms", "step 1 of 3 for 30 s")
    )
