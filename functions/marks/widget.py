"""A custom widget of CloudWatch: charts of one model with its releases marked, and who moved what when.

CloudWatch calls the function when somebody looks, and shows the HTML that comes back. The moves are read from
the model's ledgers at that moment: a rollback by a person is there with the next refresh, and no template and
no deploy has anything to do with it (law 4). The charts are those of the page itself (``dashboards.boards``),
drawn by what draws them for ``yard dash``.

What the event may choose is the model and the time. Which metrics are asked for stands in the code: whoever
may call this sees this stage's charts and ledgers, and nothing else that the function's role could read.

Source: CloudWatch user guide, "Details about custom widgets in CloudWatch" (the event and ``widgetContext``,
HTML or ``{"markdown": …}`` as the answer) and "Security and JavaScript for custom CloudWatch widgets" (no
script); ``describe`` as AWS's own samples (aws-samples/cloudwatch-custom-widgets-samples) answer it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from dashboards.asked import Mark, asked_by
from dashboards.boards import marked_charts
from dashboards.page import draw_widget
from dashboards.ports import BoardReader
from model_store.contract.errors import InvalidNameError, SwitchyardError
from model_store.contract.names import check_name
from model_store.ports import ObjectStore
from releases.marks import marks_of

SPAN_S = 3 * 3600.0
"""The last three hours, where nobody says which: what the page itself begins with."""

LONGEST_S = 400 * 86_400.0
"""Longer than CloudWatch keeps anything."""

DESCRIPTION = """## Releases
Charts of one model, marked where an alias was moved, and who moved it when and why; read from its ledger.

Param | Description
---|---
**model** | The model's name in the catalog

``` yaml
model: digits
```"""


class Widget:
    """Answers CloudWatch. What goes wrong is said in the widget: an exception would show as an error code."""

    def __init__(
        self,
        stage: str,
        store: ObjectStore,
        reader: BoardReader,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stage = stage
        self._store = store
        self._reader = reader
        self._now = now

    def __call__(self, event: Mapping[str, Any], _context: object = None) -> str:
        """Return the widget as HTML, or what it does as Markdown. Changes nothing; may be repeated."""
        if event.get("describe"):
            return DESCRIPTION
        context = event.get("widgetContext")
        asked = context if isinstance(context, Mapping) else {}
        try:
            since, until = self._span(asked.get("timeRange"))
            return self._draw(_model(event), since, until, dark=asked.get("theme") == "dark")
        except SwitchyardError as error:
            hint = f"<p>{escape(error.hint)}</p>" if error.hint else ""
            return f"<p>{escape(str(error))}</p>{hint}"

    def _draw(self, model: str, since: float, until: float, *, dark: bool) -> str:
        found = marks_of(self._store, model, since=since)
        return draw_widget(
            asked_by(marked_charts(self._stage, model), span_s=until - since),
            self._reader,
            since=since,
            until=until,
            marks=[Mark(one.at, one.label, one.by, one.why) for one in found if one.at < until],
            dark=dark,
        )

    def _span(self, shown: object) -> tuple[float, float]:
        """Seconds since 1970 of what the page shows: of what somebody zoomed into, else of all."""
        zoomed = shown.get("zoom") if isinstance(shown, Mapping) else None
        span = zoomed if isinstance(zoomed, Mapping) else shown
        if isinstance(span, Mapping):
            since, until = span.get("start"), span.get("end")
            if isinstance(since, int | float) and isinstance(until, int | float) and since < until:
                return max(since, until - LONGEST_S * 1000) / 1000, until / 1000
        now = self._now()
        return now - SPAN_S, now


def _model(event: Mapping[str, Any]) -> str:
    name = event.get("model")
    if not isinstance(name, str):
        raise InvalidNameError(
            "this widget is not told which model it is about", hint="Give it the parameter `model`."
        )
    return check_name(name)
