"""One chart as SVG: lines or stacked areas over time, with marks. No library, no script, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from dashboards.asked import Chart, Mark
from dashboards.ports import Line

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 44, 26
COLOURS = ("#2f6fb0", "#d5672b", "#3d9a50", "#8a5fb0", "#b5892f", "#3aa6a6", "#c2497f", "#6b6b6b")
TICKS = 4
LABEL_ROWS, LABEL_WIDTH = 8, 5.4
"""Labels of marks under each other, and about how wide a letter of theirs is, in pixels."""


def draw(
    chart: Chart, lines: Sequence[Line], *, since: float, until: float, marks: Sequence[Mark] = ()
) -> str:
    """Return an ``<svg>`` element. A line is broken where a period has no data."""
    shown = [line for line in lines if line.id in chart.visible and line.points]
    heights = _stacked(shown) if chart.stacked else [dict(line.points) for line in shown]
    top = _nice(max((value for one in heights for value in one.values()), default=0.0))

    def x(at: float) -> float:
        return LEFT + (at - since) / (until - since) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [_frame(chart, top, y), _times(since, until, x)]
    floors: dict[float, float] = {}
    for number, (line, upper) in enumerate(zip(shown, heights, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        for run in _runs(line, chart.period_s):
            above = [(x(at), y(upper[at])) for at in run]
            if chart.stacked:
                below = [(x(at), y(floors.get(at, 0.0))) for at in reversed(run)]
                parts.append(
                    f'<polygon points="{_points([*above, *below])}" fill="{colour}" fill-opacity="0.35"/>'
                )
            if len(above) == 1:
                ((one_x, one_y),) = above
                parts.append(f'<circle cx="{one_x:.1f}" cy="{one_y:.1f}" r="2.5" fill="{colour}"/>')
            else:
                parts.append(
                    f'<polyline points="{_points(above)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
                )
        floors |= upper
    parts += _marks([mark for mark in marks if since <= mark.at < until], x)
    parts.append(_legend([line.label for line in shown]))
    if not shown:
        parts.append(
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" class="none">'
            "no data</text>"
        )
    title = escape(chart.title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f'<text x="{LEFT}" y="16" class="title">{title}</text>{"".join(parts)}</svg>'
    )


def _stacked(lines: Sequence[Line]) -> list[dict[float, float]]:
    """Each line's upper edge: its own values on those below it."""
    floor: dict[float, float] = {}
    found = []
    for line in lines:
        upper = {at: floor.get(at, 0.0) + value for at, value in line.points}
        found.append(upper)
        floor |= upper
    return found


def _runs(line: Line, period_s: int) -> list[list[float]]:
    """The moments of a line, broken where more than a period has no data."""
    runs: list[list[float]] = []
    for at, _ in line.points:
        if runs and at - runs[-1][-1] <= 1.5 * period_s:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _nice(highest: float) -> float:
    """The next number that divides into ticks which people read at once."""
    if highest <= 0 or not math.isfinite(highest):
        return 1.0
    scale = 10.0 ** math.floor(math.log10(highest))
    return next(step * scale for step in (1, 2, 4, 5, 10, 20) if step * scale >= highest)


def _frame(chart: Chart, top: float, y: object) -> str:
    assert callable(y)
    parts = [f'<text x="{LEFT}" y="32" class="axis">{escape(chart.axis)}</text>']
    for number in range(TICKS + 1):
        value = top * number / TICKS
        at = y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" class="value">{_short(value)}</text>')
    return "".join(parts)


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}" if value >= 100 else f"{value:.3g}"


def _times(since: float, until: float, x: object) -> str:
    assert callable(x)
    form = "%H:%M" if until - since <= 86_400 * 2 else "%d %b"
    parts = []
    for number in range(TICKS + 1):
        at = since + (until - since) * number / TICKS
        said = datetime.fromtimestamp(at, UTC).strftime(form)
        anchor = "start" if number == 0 else "end" if number == TICKS else "middle"
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 8}" class="time {anchor}">{said}</text>')
    return "".join(parts)


def _marks(marks: Sequence[Mark], x: object) -> list[str]:
    """A line for each, which says what it is when pointed at; beside it its label, where there is room.

    The newest are written first: of many moves in a minute, those are what people look for.
    """
    assert callable(x)
    parts = []
    taken: list[list[tuple[float, float]]] = [[] for _ in range(LABEL_ROWS)]
    for mark in sorted(marks, key=lambda one: one.at, reverse=True):
        at, label = x(mark.at), escape(mark.label)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="mark">'
            f"<title>{label}</title></line>"
        )
        long = LABEL_WIDTH * len(mark.label) + 6
        ends = at > WIDTH * 0.75
        span = (at - long, at) if ends else (at, at + long)
        free = (row for row, others in enumerate(taken) if not any(_overlap(span, one) for one in others))
        row = next(free, None)
        if row is not None:
            taken[row].append(span)
            anchor, offset = ("end", -3) if ends else ("start", 3)
            parts.append(
                f'<text x="{at + offset:.1f}" y="{TOP + 8 + row * 11}" class="mark {anchor}">{label}</text>'
            )
    return parts


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _legend(labels: Sequence[str]) -> str:
    parts, at = [], float(WIDTH - RIGHT)
    for number, label in reversed(list(enumerate(labels))):
        at -= 7.0 * len(label) + 18
        if at < LEFT + 90:
            break
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<rect x="{at:.0f}" y="24" width="10" height="10" fill="{colour}"/>'
            f'<text x="{at + 13:.0f}" y="33" class="legend">{escape(label)}</text>'
        )
    return "".join(parts)
