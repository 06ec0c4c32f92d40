"""A page as one HTML file that needs nothing else: no script, no network, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from dashboards.asked import Mark, Page
from dashboards.picture import draw
from dashboards.ports import BoardReader

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1c2733; --soft: #5c6b7a; --line: #d9dfe6; --paper: #fff; --mark: #b02a5b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf2; --soft: #9fb0c0; --line: #35424f; --paper: #151b22; --mark: #f08bb0; } }
body { margin: 24px; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } p { margin: 0 0 8px; color: var(--soft); }
code { font: 13px ui-monospace, monospace; }
.charts { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); }
.charts > div { border: 1px solid var(--line); border-radius: 6px; padding: 6px; }
svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 13px; font-weight: 600; } .axis, .time, .value, .none { fill: var(--soft); }
.value, .end { text-anchor: end; } .middle, .none { text-anchor: middle; }
.grid { stroke: var(--line); } line.mark { stroke: var(--mark); stroke-dasharray: 3 3; }
text.mark { fill: var(--mark); font-size: 10px; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0 16px; }
li { border: 1px solid var(--line); border-radius: 4px; padding: 2px 8px; font-size: 13px; }
li.ALARM { background: #b3261e; color: #fff; border-color: #b3261e; }
li.OK { border-left: 4px solid #3d9a50; }
li.INSUFFICIENT_DATA { color: var(--soft); }
"""


def draw_page(
    page: Page, reader: BoardReader, *, since: float, until: float, marks: Sequence[Mark] = ()
) -> str:
    """Ask for every chart of ``page`` and return it as HTML."""
    pictures = [
        draw(
            chart,
            reader.lines(chart.queries, since=since, until=until),
            since=since,
            until=until,
            marks=marks,
        )
        for chart in page.charts
    ]
    title = next((line.lstrip("# ") for text in page.words for line in text.splitlines()), "Switchyard")
    left_out = f"<p>Not drawn here: {escape(', '.join(page.left_out))}.</p>" if page.left_out else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"{''.join(_words(text) for text in page.words)}"
        f"<p>{_moment(since)} to {_moment(until)} UTC, as CloudWatch counted it.</p>{left_out}"
        f"{_alarms(page.alarms, reader.states(page.alarms))}"
        f'<div class="charts">{"".join(f"<div>{picture}</div>" for picture in pictures)}</div>'
        "</body></html>\n"
    )


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
