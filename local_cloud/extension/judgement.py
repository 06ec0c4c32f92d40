"""What state follows from the datapoints an alarm sees: the two tables of the CloudWatch user guide.

AWS: "Configuring how CloudWatch alarms treat missing data": both examples, row by row (the tests repeat
them), and "avoiding premature transitions": an alarm goes off on fewer than M points only if the oldest
breaching point "is at least as old as the value of Datapoints to Alarm, and all other more recent data
points are breaching or missing". Pure: it imports nothing of the cloud.
"""

from __future__ import annotations

from collections.abc import Sequence


def judge(points: Sequence[bool | None], *, of: int, needed: int, missing: str, now: str) -> str:
    """Return the state that follows from ``points`` (breaching or not, ``None`` for missing; newest last).

    ``needed`` of the newest ``of`` raise the alarm; ``points`` may hold more, to stand in for missing ones.
    """
    known = [point for point in points if point is not None]
    if len(known) >= of:
        return "ALARM" if known[-of:].count(True) >= needed else "OK"
    breaching = known.count(True)
    if missing == "breaching":
        return "ALARM" if breaching + of - len(known) >= needed else "OK"
    if missing == "notBreaching":
        return "ALARM" if breaching >= needed else "OK"
    if not known:
        return now if missing == "ignore" else "INSUFFICIENT_DATA"
    if breaching >= needed:
        return "ALARM"
    if breaching < len(known):
        return "OK"
    # Only breaching points are known, too few of them: they count if the oldest is old enough that the
    # missing ones cannot be just late.
    old_enough = True in points[: len(points) - needed + 1]
    return "ALARM" if old_enough and missing != "ignore" else now
