"""``drift.report``: one page that needs nothing else, says the verdict first, and believes no name."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import numpy as np

from drift.compare import by_distance
from drift.monitor import Judgement, judge
from drift.report import LARGE, page
from model_store.contract.names import ByVersion
from tests.unit.drift.conftest import NOW, Watched, trained

VOID = {"meta", "br", "i", "line", "rect"}


class Outline(HTMLParser):
    """Checks that every element ends, and keeps the words and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def outline(text: str) -> Outline:
    made = Outline()
    made.feed(text)
    made.close()
    assert made.open == []
    return made


def judged(watched: Watched, x: object) -> Judgement:
    watched.capture(x)
    return judge(watched.store, watched.kept, ByVersion("sign", 1), NOW - timedelta(days=1), NOW)


def test_the_verdict_is_said_in_words(watched: Watched, random: np.random.Generator) -> None:
    few = page(judged(watched, trained(random, 5)), "prod")
    assert "Too few rows to judge" in few
    plain = page(judged(watched, trained(random, 400)), "prod")
    assert "No drift." in plain
    moved = page(judged(watched, trained(random, 2_000, shift=3)), "prod")
    assert re.search(r"\d of 3 features drifted", moved)


def test_it_is_whole_and_loads_nothing(watched: Watched, random: np.random.Generator) -> None:
    found = outline(page(judged(watched, trained(random, 400)), "prod"))
    assert found.loaded == []
    assert "script" not in found.tags
    assert found.tags.count("figure") <= 2 * LARGE
    assert {"svg", "table", "style"} <= set(found.tags)


def test_bars_are_as_tall_as_their_shares(watched: Watched, random: np.random.Generator) -> None:
    found = judged(watched, trained(random, 400))
    text = page(found, "prod")
    first = by_distance(item for item in found.comparison.features if item.side == "input")[0]
    titles = re.findall(r"<title>([^<]*): ([0-9.]+)%</title>", text)
    was = {label: float(share) for label, share in titles[0 : 2 * len(first.bins) : 2]}
    assert list(was.values()) == [round(share * 100, 1) for _, share, _ in first.bins]


def test_names_from_outside_are_text_and_nothing_else(watched: Watched, random: np.random.Generator) -> None:
    found = judged(watched, trained(random, 400))
    evil = replace(found.comparison.features[0], name="<script>alert(1)</script>")
    comparison = replace(found.comparison, features=(evil,), skipped=("<b>",), worst={"DriftPsi": "<i>"})
    text = page(replace(found, comparison=comparison), "prod")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;" in text


def test_what_was_lost_left_out_or_labelled_is_said(watched: Watched, random: np.random.Generator) -> None:
    found = judged(watched, trained(random, 400))
    captured = replace(found.captured, lost=7, unreadable=2, left_out=3)
    comparison = replace(found.comparison, labelled=40, correct=38, metrics={"Accuracy": 0.95})
    words = page(replace(found, captured=captured, comparison=comparison), "prod")
    for said in ("7 sampled requests", "2 files could not", "3 files were left out", "38 of 40", "0.950"):
        assert said in words
