"""Reading log events: which are lines of ours, and which version wrote those that are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from telemetry.ports import Line

_STREAM = re.compile(r"\[(\d+)\]")
"""A stream of Lambda's is named ``2026/11/22/[7]5f0c…``: the day, the Lambda version, the environment."""


def read_line(at: float, id_: str, stream: str, text: str) -> Line:
    """An event as a line; ``fields`` are empty unless it is a JSON object."""
    fields: Any = {}
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError:
            fields = {}
    return Line(at, id_, stream, text.rstrip("\n"), fields)


def lambda_version(line: Line) -> str | None:
    """The Lambda version whose environment wrote ``line``; ``None`` for another kind of stream."""
    found = _STREAM.search(line.stream)
    return found[1] if found else None


class Writers:
    """Which model version wrote a line. ``serves`` is asked once for each Lambda version."""

    def __init__(self, serves: Callable[[str], int]) -> None:
        self._serves = serves
        self._known: dict[str, int] = {}

    def version(self, line: Line) -> int | None:
        """From the line itself, else from who wrote it; ``None`` where neither says."""
        named = str(line.fields.get("version", ""))
        if named.isdigit():
            return int(named)
        number = lambda_version(line)
        if number is None:
            return None
        if number not in self._known:
            self._known[number] = self._serves(number)
        return self._known[number] or None
