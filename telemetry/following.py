"""Following a log: each line once, in the order in which CloudWatch shows it."""

from __future__ import annotations

from collections.abc import Iterator

from releases.ports import Clock
from telemetry.ports import Line, Lines, Wanted

LATE_S = 15.0
"""So long after a line was written it may still appear: environments send theirs in their own time."""

AT_ONCE = 1_000


def follow(
    lines: Lines, clock: Clock, group: str, wanted: Wanted, *, since: float, every_s: float = 2.0
) -> Iterator[Line]:
    """Lines from ``since`` on, for ever. Under more than ``AT_ONCE`` of them in a look it falls behind, and
    catches up: nothing is left out."""
    seen: dict[str, float] = {}
    begin = since
    while True:
        found = lines.after(group, wanted, since=begin, most=AT_ONCE + len(seen))
        for line in found:
            if line.id not in seen:
                seen[line.id] = line.at
                yield line
        newest = max((line.at for line in found), default=begin)
        begin = max(begin, newest - LATE_S)
        seen = {id_: at for id_, at in seen.items() if at >= begin}
        clock.sleep(every_s)
