"""``functions.marks.widget``: asked as CloudWatch asks, on the fakes of the ledger and of the metrics."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from dashboards.adapters.memory import MemoryBoardReader
from dashboards.ports import Line
from functions.marks.widget import SPAN_S, Widget
from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByVersion
from tests.unit.releases.world import STAGE, World

BY_VERSION = "v${PROP('Dim.version')}"


@pytest.fixture
def moved(world: World) -> World:
    """``digits:1``, an hour later ``digits:2``, a minute later back."""
    controller = world.controller()
    controller.release(ByVersion("digits", 1))
    world.clock.sleep(3600)
    controller.release(ByVersion("digits", 2), reason="better on sevens")
    world.clock.sleep(60)
    controller.rollback("digits", reason="<script>alert(1)</script>")
    return world


def widget(world: World) -> Widget:
    at = world.clock.now()
    reader = MemoryBoardReader(lines={BY_VERSION: [Line("q0", "v2", ((at - 120, 7.0), (at - 60, 9.0)))]})
    return Widget(STAGE, world.store, reader, now=lambda: world.clock.now() + 1)


def asked(world: World, *, last_s: float = 600.0, **more: Any) -> dict[str, Any]:
    """The event as the user guide has it, the parameters of the widget beside it."""
    now = (world.clock.now() + 1) * 1000
    return {
        "model": "digits",
        "widgetContext": {
            "dashboardName": f"switchyard-{STAGE}-digits",
            "widgetId": "widget-16",
            "accountId": "012345678901",
            "locale": "en",
            "timezone": {"label": "UTC", "offsetISO": "+00:00", "offsetInMinutes": 0},
            "period": 300,
            "isAutoPeriod": True,
            "timeRange": {
                "mode": "relative",
                "start": round(now - last_s * 1000),
                "end": round(now),
                "relativeStart": round(last_s * 1000),
                **more,
            },
            "theme": "light",
            "linkCharts": True,
            "title": "Releases",
            "forms": {"all": {}},
            "params": {"model": "digits"},
            "width": 1784,
            "height": 438,
        },
    }


def test_every_chart_marks_the_moves_of_the_time_that_the_page_shows(moved: World) -> None:
    """Law 4: nothing was deployed since; the ledger is read when somebody looks."""
    drawn = widget(moved)(asked(moved))
    assert drawn.count("<svg ") == 3
    assert drawn.count(">live: v2</text>") == 3
    assert drawn.count(">live: rollback, back to v1</text>") == 3
    assert "live: v1</text>" not in drawn  # an hour ago
    assert ">v2</text>" in drawn


def test_the_moves_are_listed_with_who_and_why_newest_first(moved: World) -> None:
    drawn = widget(moved)(asked(moved))
    rows = drawn.partition("<tbody>")[2].split("<tr>")[1:]
    assert len(rows) == 2
    assert "live: rollback, back to v1" in rows[0]
    for word in ("live: v2", "ann", "better on sevens"):
        assert word in rows[1]


def test_a_longer_time_marks_more_and_what_is_zoomed_into_counts(moved: World) -> None:
    assert "live: v1</text>" in widget(moved)(asked(moved, last_s=7_200.0))
    ago = (moved.clock.now() - 7_000) * 1000
    zoomed = widget(moved)(asked(moved, zoom={"start": ago, "end": ago + 60_000}))
    assert "No alias was moved in this time." in zoomed


def test_without_a_time_the_last_three_hours_are_drawn(moved: World) -> None:
    assert SPAN_S > 3660
    assert "live: v1</text>" in widget(moved)({"model": "digits"})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]


def test_what_people_wrote_is_words_and_never_markup(moved: World) -> None:
    """Who may move an alias must not write into the page of who may do more."""
    drawn = widget(moved)(asked(moved))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in drawn
    tags = Tags()
    tags.feed(drawn)
    assert tags.seen <= {
        *("div", "style", "svg", "text", "title", "line", "polyline", "polygon", "circle", "rect"),
        *("table", "thead", "tbody", "tr", "th", "td", "p"),
    }


def test_no_rule_of_its_style_reaches_into_the_page_around_it(moved: World) -> None:
    drawn = widget(moved)(asked(moved))
    style = drawn.partition("<style>")[2].partition("</style>")[0]
    selectors = [rule.partition("{")[0] for rule in style.split("}") if "{" in rule]
    parts = [part.strip() for selector in selectors for part in selector.split(",")]
    assert parts
    assert all(part.startswith(".switchyard") for part in parts)


def test_it_follows_the_theme_of_the_page(moved: World) -> None:
    event = asked(moved)
    event["widgetContext"]["theme"] = "dark"
    assert "--ink: #e8edf2" in widget(moved)(event)
    assert "--ink: #1c2733" in widget(moved)(asked(moved))


def test_it_describes_itself_when_cloudwatch_asks() -> None:
    said = Widget(STAGE, MemoryStore(), MemoryBoardReader())({"describe": True})
    assert said.startswith("## Releases")
    assert "**model**" in said


@pytest.mark.parametrize(
    ("event", "said"),
    [
        pytest.param({}, "not told which model", id="none"),
        pytest.param({"model": 7}, "not told which model", id="a number"),
        pytest.param({"model": "../digits"}, "`../digits`", id="no name"),
        pytest.param(
            {"model": "digits", "widgetContext": {"timeRange": {"start": 9, "end": 1}}},
            "No alias",
            id="backwards",
        ),
        pytest.param({"model": "digits", "widgetContext": "odd"}, "No alias", id="odd context"),
    ],
)
def test_what_it_cannot_draw_is_said_in_the_widget(event: dict[str, Any], said: str) -> None:
    assert said in Widget(STAGE, MemoryStore(), MemoryBoardReader())(event)
