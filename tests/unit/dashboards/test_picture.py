"""``dashboards.picture``: what a chart shows, read from its SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from dashboards.asked import Chart, Mark
from dashboards.picture import HEIGHT, WIDTH, draw
from dashboards.ports import Line

BEGIN, END = 1_800_000_000.0, 1_800_003_600.0
CHART = Chart(
    "Latency, p99", "Milliseconds", stacked=False, queries=(), visible=frozenset({"q0"}), period_s=60
)


def line(label: str, *values: float | None, id_: str = "q0") -> Line:
    points = ((BEGIN + 60 * number, value) for number, value in enumerate(values))
    return Line(id_, label, tuple((at, value) for at, value in points if value is not None))


def drawn(*lines: Line, chart: Chart = CHART, marks: tuple[Mark, ...] = ()) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart, lines, since=BEGIN, until=END, marks=marks))


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter("text")]


def test_each_line_is_drawn_in_its_colour_and_named() -> None:
    svg = drawn(line("v1", 10, 20, 30), line("v2", 5, 5, 6))
    lines = list(svg.iter("polyline"))
    assert len({one.get("stroke") for one in lines}) == 2
    assert {"v1", "v2", "Latency, p99", "Milliseconds"} <= set(texts(svg))


def test_higher_is_further_up_and_later_further_right() -> None:
    (points,) = [one.get("points", "") for one in drawn(line("v1", 10, 40)).iter("polyline")]
    (x0, y0), (x1, y1) = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert x0 < x1
    assert y0 > y1
    assert 0 < x0 < WIDTH
    assert 0 < y1 < HEIGHT


def test_a_period_without_data_breaks_the_line_and_one_alone_is_a_dot() -> None:
    svg = drawn(line("v1", 10, 20, None, None, 30))
    assert (len(list(svg.iter("polyline"))), len(list(svg.iter("circle")))) == (1, 1)


def test_stacked_versions_stand_on_each_other() -> None:
    chart = Chart("Traffic", "Requests", stacked=True, queries=(), visible=frozenset({"q0"}), period_s=60)
    svg = drawn(line("v1", 10, 10), line("v2", 30, 30), chart=chart)
    first, second = [one.get("points", "").split()[0].split(",")[1] for one in svg.iter("polyline")]
    assert float(second) < float(first)
    assert "40" in texts(svg)
    assert len(list(svg.iter("polygon"))) == 2


def test_what_only_helps_is_not_shown() -> None:
    svg = drawn(line("ran", 1, 2, id_="ran"))
    assert "no data" in texts(svg)


def test_releases_are_marked_within_the_time_that_is_shown() -> None:
    marks = (Mark(BEGIN + 600, "live: v2"), Mark(BEGIN - 600, "live: v1"))
    svg = drawn(line("v1", 1), marks=marks)
    assert [one.get("class") for one in svg.iter("line")].count("mark") == 1
    assert "live: v2" in texts(svg)
    assert "live: v1" not in texts(svg)


def test_of_many_moves_at_once_each_has_its_line_and_the_newest_can_be_read() -> None:
    many = tuple(
        Mark(BEGIN + 3_000 + 10 * number, f"live: rollback, back to v{number}") for number in range(20)
    )
    svg = drawn(line("v1", 1), marks=many)
    lines = [one for one in svg.iter("line") if one.get("class") == "mark"]
    assert {one.findtext("title") for one in lines} == {mark.label for mark in many}
    labels = [one for one in svg.iter("text") if "mark" in (one.get("class") or "")]
    assert [one.text for one in labels] == [mark.label for mark in many[:-9:-1]]
    assert len({one.get("y") for one in labels}) == len(labels)


def test_names_of_others_cannot_become_markup() -> None:
    svg = drawn(line("<script>", 1, 2))
    assert "<script>" in texts(svg)


def test_the_axis_is_written_as_people_write_numbers() -> None:
    assert [text for text in texts(drawn(line("v1", 3_600))) if text.isdigit()] == [
        *("0", "1000", "2000", "3000", "4000"),
    ]
    assert "15k" in texts(drawn(line("v1", 19_000)))
