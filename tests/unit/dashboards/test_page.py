"""``dashboards.page``: one file with every picture in it, and nothing that it would have to fetch."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboards.adapters.memory import MemoryBoardReader
from dashboards.asked import Mark, read
from dashboards.boards import Cost, Shown, model_board
from dashboards.page import MOVES_SHOWN, draw_page
from dashboards.picture import COLOURS
from dashboards.ports import Line

ALARMS = ("switchyard/prod/digits/p99", "switchyard/prod/digits/Alias/live/user-pain")
BODY = json.dumps(
    model_board(
        Shown("prod", "digits", ("live",), Cost(0.1, 0.2), ALARMS),
        region="eu-central-1",
        alarm_arn="arn:aws:cloudwatch:r:1:alarm:",
        marks_arn="arn:marks",
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
    moved = Mark(BEGIN + 60, "live: v2", "ann", "better <on> sevens")
    return draw_page(page, reader, since=BEGIN, until=END, marks=[moved])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_every_chart_is_in_the_file_with_both_versions_and_the_mark() -> None:
    page = drawn()
    assert page.count("<svg ") == 13
    assert ">v1</text>" in page
    assert ">v2</text>" in page
    assert page.count(">live: v2</text>") == 13


def test_every_move_is_listed_with_who_and_why() -> None:
    row = drawn().partition("<tbody>")[2].partition("</tbody>")[0]
    assert "2027-01-15 08:01" in row
    for word in ('<td class="moved">live: v2</td>', "<td>ann</td>", "<td>better &lt;on&gt; sevens</td>"):
        assert word in row


def test_a_busy_time_lists_the_newest_and_says_where_the_others_are() -> None:
    many = [Mark(BEGIN + number, f"live: v{number}") for number in range(MOVES_SHOWN + 3)]
    page = draw_page(read(BODY, span_s=END - BEGIN), MemoryBoardReader(), since=BEGIN, until=END, marks=many)
    listed = re.findall(r'<td class="moved">live: v(\d+)</td>', page)
    assert listed == [str(number) for number in range(MOVES_SHOWN + 2, 2, -1)]
    assert "3 earlier ones" in page


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


BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
WIDE, HIGH = 1400, 2000


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_the_charts_the_marks_and_what_is_in_alarm(tmp_path: Path) -> None:
    """Opened as people open it: nothing of it is fetched, and nothing that matters is invisible."""
    (tmp_path / "page.html").write_text(drawn(), "utf-8")
    picture = tmp_path / "page.png"
    command = [
        *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--force-color-profile=srgb", f"--user-data-dir={tmp_path / 'profile'}"),
        *(f"--window-size={WIDE},{HIGH}", f"--screenshot={picture}", (tmp_path / "page.html").as_uri()),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).astype(int)

    def seen(colour: str) -> int:
        wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        return int((pixels == wanted).all(axis=1).sum())

    assert seen("#b3261e") > 1_000, "the alarm"
    red, green, blue = pixels.T
    # Thin lines and small letters come out in shades of their colour, of which nothing else here is.
    marked = (red - green > 60) & (blue - green > 15) & (red - blue > 15)
    assert marked.sum() > 13 * 60, "a line of every chart"
    assert seen(COLOURS[0]) > 100, "the old version"
    assert seen(COLOURS[1]) > 100, "the new version"
