"""The tables of "Configuring how CloudWatch alarms treat missing data", row by row."""

from __future__ import annotations

import pytest

from local_cloud.extension.judgement import judge

KIND = {"0": False, "X": True, "-": None}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
BEFORE = "BEFORE"


def states(row: str, *, needed: int) -> tuple[str, ...]:
    points = [KIND[mark] for mark in row.split()]
    return tuple(judge(points, of=3, needed=needed, missing=how, now=BEFORE) for how in TREATMENTS)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 - X - X", ("OK", "OK", "OK", "OK")),
        ("0 - - - -", ("OK", "OK", "OK", "OK")),
        ("- - - - -", ("INSUFFICIENT_DATA", BEFORE, "ALARM", "OK")),
        ("0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("- - X - -", ("ALARM", BEFORE, "ALARM", "OK")),
    ],
)
def test_three_of_three_points_raise_an_alarm_as_the_table_says(row: str, expected: tuple[str, ...]) -> None:
    assert states(row, needed=3) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0 - X - -", ("OK", "OK", "ALARM", "OK")),
        ("- - - - 0", ("OK", "OK", "ALARM", "OK")),
        ("- - - X -", ("ALARM", BEFORE, "ALARM", "OK")),
    ],
)
def test_two_of_three_points_raise_an_alarm_as_the_table_says(row: str, expected: tuple[str, ...]) -> None:
    assert states(row, needed=2) == expected


@pytest.mark.parametrize("row", ["- - - - X", "- - - X -"])
def test_a_single_late_point_does_not_raise_an_alarm_that_needs_three(row: str) -> None:
    assert states(row, needed=3)[0] == BEFORE
