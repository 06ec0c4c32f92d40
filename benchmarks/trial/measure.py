"""What only AWS can tell: how soon a flip is seen, how long a snapshot takes to make and to restore.

Asked through ``yard`` and the API as anybody would. The stage has the first two versions of the example model
published, and callers need no credentials.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import boto3

from benchmarks.crowd import Crowd, Heard, Question

Yard = Callable[..., Any]

FLIPS = 10
SETTLED_S = 3.0
"""How long after a flip its last old answer is waited for."""


def releases(yard: Yard, versions: Sequence[int]) -> list[float]:
    """Release each of ``versions``, none of which was ever prepared; how long each took, in ms."""
    return [float(yard("release", f"digits:{version}")["took_ms"]) for version in versions]


def flips(
    yard: Yard,
    url: str,
    questions: Sequence[Question],
    *,
    versions: tuple[int, int],
    count: int = FLIPS,
    settled_s: float = SETTLED_S,
) -> tuple[list[float], list[Heard]]:
    """Flip between two released versions under requests: the last old answer after each, and what was heard.

    The second of ``versions`` is live and the first before it. Milliseconds after the command had returned;
    0 if none was old.
    """
    returned: list[tuple[float, str]] = []
    with Crowd(url, questions, callers=4, pause_s=0.01) as crowd:
        crowd.wait_for(20)
        for number in range(count):
            to = versions[number % 2]
            moved = yard("release", f"digits:{to}") if number % 2 else yard("rollback", "digits")
            assert moved["version"] == to
            returned.append((time.monotonic(), str(to)))
            time.sleep(settled_s)
    return [_last_old(crowd.heard, at, version, settled_s) for at, version in returned], crowd.heard


def _last_old(heard: Sequence[Heard], returned: float, version: str, settled_s: float) -> float:
    late = [
        one.at - returned
        for one in heard
        if returned < one.at < returned + settled_s and one.status == 200 and one.version != version
    ]
    return max(late, default=0.0) * 1000


def restores(group: str, since: float) -> list[float]:
    """What Lambda wrote into a function's log about restoring snapshots, in ms; none without SnapStart."""
    pages = (
        boto3.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            startTime=int(since * 1000),
            filterPattern='?"Restore Duration" ?restoreReport',
        )
    )
    return [took for page in pages for event in page["events"] for took in restored(event["message"])]


def restored(message: str) -> list[float]:
    """The milliseconds in one line of Lambda's own log, which is text or JSON."""
    if message.lstrip().startswith("{"):
        document = json.loads(message)
        if document.get("type") != "platform.restoreReport":
            return []
        return [float(document["record"]["metrics"]["durationMs"])]
    return [float(found) for found in re.findall(r"Restore Duration: ([0-9.]+) ms", message)]
