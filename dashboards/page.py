"""A page as one HTML file that needs nothing else, and the widget of it that CloudWatch asks for.

No script, no network, light and dark. What people wrote (reasons, names) is escaped: whoever may move an
alias writes into a page that others look at with rights of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from dashboards.asked import Chart, Mark, Page
from dashboards.picture import draw
from dashboards.ports import BoardReader
from dashboards.style import DARK, LIGHT, PICTURES, colours

MOVES_SHOWN = 12
"""The newest so many moves are listed; the charts mark all of them."""

WHY_LENGTH = 300

_STYLE = f"""
:root {{ color-scheme: light dark; {colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {colours(DARK)} }} }}
body {{ margin: 24px; background: var(--paper); }}
h1 {{ font-size: 22px; margin: 0 0 4px; }}
h2 {{ font-size: 15px; margin: 0 0 4px; }}
ul {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0 16px; }}
li {{ border: 1px solid var(--line); border-radius: 4px; padding: 2px 8px; font-size: 13px; }}
li.ALARM {{ background: #b3261e; color: #fff; border-color: #b3261e; }}
li.OK {{ border-left: 4px solid #3d9a50; }}
li.INSUFFICIENT_DATA {{ color: var(--soft); }}
{PICTURES}"""


def draw_page(
    page: Page, reader: BoardReader, *, since: float, until: float, marks: Sequence[Mark] = ()
) -> str:
    """Ask for every chart of ``page`` and return it as HTML."""
    title = next((line.lstrip("# ") for text in page.words for line in text.splitlines()), "Switchyard")
    left_out = f"<p>Not drawn here: {escape(', '.join(page.left_out))}.</p>" if page.left_out else ""
    moves = f"<h2>Releases</h2>{_moves(marks)}" if page.tells_moves else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><style>{_STYLE}</style></head><body class="switchyard">'
        f"{''.join(_words(text) for text in page.words)}"
        f"<p>{_moment(since)} to {_moment(until)} UTC, as CloudWatch counted it.</p>{left_out}"
        f"{_alarms(page.alarms, reader.states(page.alarms))}{moves}"
        f"{_charts(page.charts, reader, since, until, marks)}</body></html>\n"
    )


def draw_widget(
    charts: Sequence[Chart],
    reader: BoardReader,
    *,
    since: float,
    until: float,
    marks: Sequence[Mark],
    dark: bool = False,
) -> str:
    """Ask for ``charts`` and return them, with the moves under them, as a piece of somebody else's page."""
    return (
        f'<div class="switchyard" style="{colours(DARK if dark else LIGHT)}"><style>{PICTURES}</style>'
        f"{_charts(charts, reader, since, until, marks)}{_moves(marks)}</div>"
    )


def _charts(
    charts: Sequence[Chart], reader: BoardReader, since: float, until: float, marks: Sequence[Mark]
) -> str:
    pictures = (
        draw(
            chart,
            reader.lines(chart.queries, since=since, until=until),
            since=since,
            until=until,
            marks=marks,
        )
        for chart in charts
    )
    return f'<div class="charts">{"".join(f"<div>{picture}</div>" for picture in pictures)}</div>'


def _moves(marks: Sequence[Mark]) -> str:
    """The newest moves first, each with who did it and why."""
    if not marks:
        return "<p>No alias was moved in this time.</p>"
    rows = "".join(
        f'<tr><td>{_moment(mark.at)}</td><td class="moved">{escape(mark.label)}</td>'
        f"<td>{escape(mark.by)}</td><td>{escape(mark.why[:WHY_LENGTH])}</td></tr>"
        for mark in sorted(marks, key=lambda one: one.at, reverse=True)[:MOVES_SHOWN]
    )
    more = len(marks) - MOVES_SHOWN
    earlier = f"<p>{more} earlier ones: <code>yard history</code>.</p>" if more > 0 else ""
    head = "".join(f"<th>{word}</th>" for word in ("when (UTC)", "what", "who", "why"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{earlier}"


def _words(markdown: str) -> str:
    """The little of Markdown that the pages use: a heading, paragraphs, code."""
    parts = []
    for line in markdown.splitlines():
        pieces = escape(line.lstrip("# ")).split("`")
        text = "".join(
            f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces)
        )
        parts.append(f"<h1>{text}</h1>" if line.startswith("#") else f"<p>{text}</p>")
    return "".join(parts)


def _alarms(names: Sequence[str], states: Mapping[str, str]) -> str:
    if not names:
        return ""
    shown = []
    for name in names:
        state = states.get(name, "not there")
        kind = state if name in states else "INSUFFICIENT_DATA"
        said = "/".join(part for part in name.split("/")[2:] if part != "Alias")
        shown.append(f'<li class="{kind}" title="{escape(name)}">{escape(said)}: {escape(state)}</li>')
    return f"<ul>{''.join(shown)}</ul>"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
