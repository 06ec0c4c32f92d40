"""An alarm's change of state, as a topic is told of it, taken apart.

Sources: CloudWatch user guide, "Notifying users on alarm changes", the schemas of metric alarms and of
composite alarms. What the numbers were stands in the reason's own words and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALARM, OK, UNKNOWN = "ALARM", "OK", "INSUFFICIENT_DATA"

_DATAPOINT = re.compile(r"(-?[\d.]+(?:E-?\d+)?) \(\d\d/\d\d/\d\d \d\d:\d\d:\d\d\)")
_THRESHOLD = re.compile(r"threshold \((-?[\d.]+(?:E-?\d+)?)\)")
_EDGE = re.compile(r"(?:lower|upper) thresholds \[(-?[\d.]+(?:E-?\d+)?)")


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alarm of ours is about, from its name.

    ``alias`` is empty for an alarm on a model; ``release`` names the release that an alarm can take back,
    ``endpoint`` the endpoint of a heavy model's version.
    """

    stage: str
    model: str
    what: str
    alias: str = ""
    release: str = ""
    endpoint: str = ""

    @classmethod
    def parse(cls, name: str) -> Subject | None:
        """``None`` for an alarm that is none of ours."""
        parts = name.split("/")
        if len(parts) < 4 or parts[0] != "switchyard":
            return None
        stage, model, *rest = parts[1:]
        if len(rest) == 3 and rest[0] == "Alias":
            return cls(stage, model, rest[2], alias=rest[1])
        if len(rest) == 3 and rest[0] == "Endpoint":
            return cls(stage, model, rest[2], endpoint=rest[1])
        if len(rest) == 3:
            return cls(stage, model, rest[2], alias=rest[0], release=rest[1])
        return cls(stage, model, "/".join(rest))

    @property
    def ref(self) -> str:
        """``digits@live``, or ``digits``."""
        return f"{self.model}@{self.alias}" if self.alias else self.model


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was measured, newest first, and the limit or the edges that it crossed."""

    seen: tuple[float, ...] = ()
    limits: tuple[float, ...] = ()

    @classmethod
    def of(cls, reason: str) -> Numbers:
        seen = tuple(float(found) for found in _DATAPOINT.findall(reason))
        if limit := _THRESHOLD.search(reason):
            return cls(seen, (float(limit[1]),))
        # A band's edges are listed for each datapoint; the newest stands first.
        return cls(seen, tuple(float(edge) for edge in _EDGE.findall(reason)))


@dataclass(frozen=True, slots=True)
class Change:
    """One alarm that changed its state. ``version`` is known where the alarm looks at one version."""

    alarm: str
    subject: Subject
    state: str
    before: str
    reason: str
    description: str
    at: str
    region: str
    arn: str
    version: str = ""
    children: tuple[str, ...] = ()

    @property
    def numbers(self) -> Numbers:
        return Numbers.of(self.reason)


def read(message: str) -> Change | None:
    """Read what a topic was told; ``None`` if that is no alarm of ours, or one whose beginning is no news."""
    try:
        told = json.loads(message)
    except ValueError:
        return None
    if not isinstance(told, dict) or "NewStateValue" not in told:
        return None
    subject = Subject.parse(str(told.get("AlarmName", "")))
    state, before = str(told["NewStateValue"]), str(told.get("OldStateValue", ""))
    # The first evaluation of a new alarm ends in OK; nothing was wrong before, and nothing is over.
    if subject is None or state not in (ALARM, OK) or (state == OK and before != ALARM):
        return None
    arn = str(told.get("AlarmArn", ""))
    return Change(
        alarm=str(told["AlarmName"]),
        subject=subject,
        state=state,
        before=before,
        reason=str(told.get("NewStateReason", "")),
        description=str(told.get("AlarmDescription") or ""),
        at=str(told.get("StateChangeTime", "")),
        # "Region" is its name for people; the ARN has its code.
        region=arn.split(":")[3] if arn.count(":") >= 6 else "",
        arn=arn,
        version=_version(told.get("Trigger") or {}),
        children=tuple(
            str(child.get("Arn", "")).rpartition(":alarm:")[2]
            for child in told.get("TriggeringChildren") or []
            if isinstance(child, dict)
        ),
    )


def _version(trigger: Mapping[str, Any]) -> str:
    about = [
        trigger,
        *(query.get("MetricStat", {}).get("Metric", {}) for query in trigger.get("Metrics", [])),
    ]
    dimensions = [item for one in about for item in one.get("Dimensions") or []]
    return next((str(item["value"]) for item in dimensions if item.get("name") == "version"), "")
