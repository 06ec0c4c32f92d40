"""How pictures look. Every rule stands under ``.switchyard``: CloudWatch puts a widget into its own page."""

from __future__ import annotations

LIGHT = {"ink": "#1c2733", "soft": "#5c6b7a", "line": "#d9dfe6", "paper": "#ffffff", "mark": "#b02a5b"}
DARK = {"ink": "#e8edf2", "soft": "#9fb0c0", "line": "#35424f", "paper": "#151b22", "mark": "#f08bb0"}


def colours(of: dict[str, str]) -> str:
    """Declarations that the rules below refer to."""
    return " ".join(f"--{name}: {colour};" for name, colour in of.items())


PICTURES = """
.switchyard { color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
.switchyard p { margin: 0 0 8px; color: var(--soft); }
.switchyard code { font: 13px ui-monospace, monospace; }
.switchyard .charts { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); }
.switchyard .charts > div { border: 1px solid var(--line); border-radius: 6px; padding: 6px; }
.switchyard svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif;
  fill: var(--ink); }
.switchyard .title { font-size: 13px; font-weight: 600; }
.switchyard .axis, .switchyard .time, .switchyard .value, .switchyard .none { fill: var(--soft); }
.switchyard .value, .switchyard .end { text-anchor: end; }
.switchyard .middle, .switchyard .none { text-anchor: middle; }
.switchyard .grid { stroke: var(--line); }
.switchyard line.mark { stroke: var(--mark); stroke-dasharray: 3 3; }
.switchyard text.mark { fill: var(--mark); font-size: 10px; }
.switchyard table { border-collapse: collapse; width: 100%; margin: 0 0 14px; font-size: 13px; }
.switchyard th, .switchyard td { text-align: left; vertical-align: top; padding: 3px 14px 3px 0;
  border: 0; border-bottom: 1px solid var(--line); }
.switchyard th { color: var(--soft); font-weight: 500; }
.switchyard td { white-space: nowrap; } .switchyard td:last-child { white-space: normal; width: 60%; }
.switchyard td.moved { color: var(--mark); }
"""
"""Of charts and of the table of moves."""
