"""``dashboards.page``: one file with every picture in it, and nothing that it would have to fetch."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from dashboards.adapters.memory import MemoryBoardReader
from dashboards.asked import Mark, read
from dashboards.boards import Cost, Shown, model_board
from dashboards.page import draw_page
from dashboards.ports import Line

ALARMS = ("switchyard/prod/digits/p99", "switchyard/prod/digits/Alias/live/user-pain")
BODY = json.dumps(
    model_board(
        Shown("prod", "digits", ("live",), Cost(0.1, 0.2), ALARMS),
        region="eu-central-1",
        alarm_arn="arn:aws:cloudwatch:r:1:alarm:",
    )
)
BEGIN, END = 1_800_000_000.0, 1_800_003_600.0


def drawn() -> str:
    lines = {
        "v${PROP('Dim.version')}": [
            Line("q0", "v1", ((BEGIN, 10.0), (BEGIN + 60, 12.0))),
            Line("q0", "v2", ((BEGIN + 60, 3.0), (BEGIN + 120, 4.0))),
        ]
    }
    reader = MemoryBoardReader(lines=lines, states={ALARMS[1]: "ALARM"})
    page = read(BODY, span_s=END - BEGIN)
    return draw_page(page, reader, since=BEGIN, until=END, marks=[Mark(BEGIN + 60, "live: v2")])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_every_chart_is_in_the_file_with_both_versions_and_the_mark() -> None:
    page = drawn()
    assert page.count("<svg ") == 12
    assert "v1" in page
    assert "v2" in page
    assert page.count("live: v2") == 12


def test_alarms_say_their_state_and_one_that_is_missing_says_so() -> None:
    page = drawn()
    assert ">digits/live/user-pain: ALARM</li>" in page
    assert ">digits/p99: not there</li>" in page


def test_the_file_fetches_nothing_and_runs_nothing() -> None:
    page = drawn()
    tags = Tags()
    tags.feed(page)
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "img", "iframe", "object"}
    assert not [name for _, attributes in tags.seen for name in attributes if name in ("src", "href")]
    assert not re.search(r"url\(|@import", page)
