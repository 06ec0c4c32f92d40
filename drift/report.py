"""The report: one page of HTML that needs nothing else. Tables, and histograms as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from drift.compare import (
    CATEGORY_LIMIT,
    KS_LIMIT,
    LEAST_ROWS,
    MISSING_LIMIT,
    OUT_OF_RANGE_LIMIT,
    PSI_LIMIT,
    Drift,
    by_distance,
)
from model_store.contract.baseline import INPUT, OUTPUT
from model_store.contract.environment import (
    ACCURACY_METRIC,
    CATEGORY_SHIFT_METRIC,
    DRIFT_KS_METRIC,
    DRIFT_PSI_METRIC,
    MISSING_RATE_METRIC,
    OUT_OF_RANGE_RATE_METRIC,
    OUTPUT_DRIFT_METRIC,
)

if TYPE_CHECKING:
    from drift.monitor import Judgement

LARGE = 6
"""So many of the farthest features of each side are drawn large."""

MOST_LABELS = 8

LIMITS = {
    DRIFT_PSI_METRIC: PSI_LIMIT,
    DRIFT_KS_METRIC: KS_LIMIT,
    CATEGORY_SHIFT_METRIC: CATEGORY_LIMIT,
    MISSING_RATE_METRIC: MISSING_LIMIT,
    OUT_OF_RANGE_RATE_METRIC: OUT_OF_RANGE_LIMIT,
    OUTPUT_DRIFT_METRIC: PSI_LIMIT,
}
MEANINGS = {
    DRIFT_PSI_METRIC: "population stability index, worst input",
    DRIFT_KS_METRIC: "Kolmogorov-Smirnov distance, worst input",
    CATEGORY_SHIFT_METRIC: "share of rows with another word, worst input",
    MISSING_RATE_METRIC: "more missing values than at training, worst input",
    OUT_OF_RANGE_RATE_METRIC: "values that training never saw, worst input",
    OUTPUT_DRIFT_METRIC: "population stability index, worst output",
    ACCURACY_METRIC: "right among answers with a known truth",
}

HEADS = (
    *("feature", "PSI", "by chance", "KS", "category shift", "missing", "out of range"),
    *("mean, then → now", ""),
)

_STYLE = """
:root {
  color-scheme: light dark; --ink: #1c2330; --soft: #5b6577; --line: #d8dde6; --page: #fff; --card: #f5f7fa;
  --was: #9aa5b8; --now: #2563c9; --bad: #b3261e; --good: #1d7a46;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6eaf1; --soft: #9aa5b8; --line: #333c4b; --page: #12161d; --card: #1b212b;
    --was: #5e6a7e; --now: #6ea3f5; --bad: #ff8a80; --good: #6fcf97;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 40px 0 12px; }
p { margin: 4px 0; }
.soft, small { color: var(--soft); }
.verdict { border-left: 5px solid; padding: 10px 16px; margin: 20px 0; background: var(--card); }
.verdict span { color: var(--ink); }
.bad { color: var(--bad); }
.good { color: var(--good); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px; }
.tile { background: var(--card); border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 20px; }
figure { margin: 0; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
figcaption small { font-weight: 400; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 10px system-ui, sans-serif; }
.was { fill: var(--was); }
.now { fill: var(--now); }
.wide { overflow-x: auto; margin-top: 16px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
td svg { width: 130px; margin-left: auto; }
.key i { display: inline-block; width: 12px; height: 12px; margin: 0 5px 0 14px; border-radius: 2px; }
"""


def page(judgement: Judgement, stage: str) -> str:
    """The whole page. Everything that came from outside is escaped; nothing is loaded from anywhere."""
    ref = judgement.ref
    body = "".join(
        (
            f"<h1>{escape(str(ref))}: inputs and outputs against the training data</h1>",
            f'<p class="soft">stage {escape(stage)} · {_window(judgement)}</p>',
            _verdict(judgement),
            _tiles(judgement),
            *_side(judgement, INPUT, "Inputs"),
            *_side(judgement, OUTPUT, "Outputs"),
            _notes(judgement),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Drift of {escape(str(ref))}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def _window(judgement: Judgement) -> str:
    since, until = judgement.since, judgement.until
    rows, trained = judgement.comparison.rows, judgement.baseline.rows
    when = f"{since:%d %B %Y %H:%M} to {until:%d %B %Y %H:%M} UTC"
    return f"{when} · {rows:,} captured rows against {trained:,} of training"


def _verdict(judgement: Judgement) -> str:
    comparison = judgement.comparison
    if not comparison.enough:
        return (
            f'<div class="verdict"><span>Too few rows to judge: {comparison.rows} of the {LEAST_ROWS} that '
            "chance cannot imitate.</span></div>"
        )
    drifted = comparison.drifted
    if not drifted:
        said = "Every feature is within its limits."
        return f'<div class="verdict good"><b>No drift.</b> <span>{said}</span></div>'
    named = ", ".join(escape(item.name) for item in drifted[:5])
    more = f" and {len(drifted) - 5} more" if len(drifted) > 5 else ""
    return (
        f'<div class="verdict bad"><b>{len(drifted)} of {len(comparison.features)} features drifted.</b> '
        f"<span>Farthest: {named}{more}.</span></div>"
    )


def _tiles(judgement: Judgement) -> str:
    comparison = judgement.comparison
    tiles = []
    for name, value in comparison.metrics.items():
        limit = LIMITS.get(name)
        beyond = limit is not None and value >= limit
        where = f"{escape(comparison.worst[name])}; " if name in comparison.worst else ""
        told = f"limit {limit:g}" if limit is not None else f"{comparison.labelled:,} labels"
        mark = "bad" if beyond else ""
        tiles.append(
            f'<div class="tile"><small>{escape(name)}</small><b class="{mark}">{value:.3f}</b>'
            f"<small>{escape(MEANINGS[name])}<br>{where}{told}</small></div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _side(judgement: Judgement, side: str, heading: str) -> Iterator[str]:
    features = by_distance(item for item in judgement.comparison.features if item.side == side)
    if not features:
        return
    yield f'<h2>{heading}</h2><p class="key soft"><i style="background:var(--was)"></i>training'
    yield '<i style="background:var(--now)"></i>now</p><div class="plots">'
    for item in features[:LARGE]:
        yield f"<figure><figcaption>{escape(item.name)} <small>{_said(item)}</small></figcaption>"
        yield f"{_histogram(item.bins)}</figure>"
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    yield f'</div><div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for item in features:
        yield _row(item)
    yield "</tbody></table></div>"


def _said(item: Drift) -> str:
    found = item.findings
    if not found:
        return f"PSI {item.psi:.3f}, within limits"
    return f'<span class="bad">{escape(", ".join(found))}</span> · PSI {item.psi:.3f}'


def _row(item: Drift) -> str:
    number, category = item.kind == "number", item.kind == "category"
    index = DRIFT_PSI_METRIC if item.side == INPUT else OUTPUT_DRIFT_METRIC
    cells = (
        (f"{item.psi:.3f}", index),
        (f"{item.by_chance:.3f}", ""),
        (f"{item.ks:.3f}" if number else "", DRIFT_KS_METRIC),
        (f"{item.category_shift:.3f}" if category else "", CATEGORY_SHIFT_METRIC),
        (f"{item.missing:.1%}", MISSING_RATE_METRIC),
        (f"{item.out_of_range:.1%}", OUT_OF_RANGE_RATE_METRIC),
        (f"{item.mean[0]:.4g} → {item.mean[1]:.4g}" if item.mean else "", ""),
    )
    marked = "".join(
        f'<td class="bad"><b>{text}</b></td>' if name in item.findings else f"<td>{text}</td>"
        for text, name in cells
    )
    return f"<tr><td>{escape(item.name)}</td>{marked}<td>{_small(item.bins)}</td></tr>"


def _histogram(bins: Sequence[tuple[str, float, float]]) -> str:
    """Two bars for each bin, with labels below and the largest share at the side."""
    if not bins:
        return '<p class="soft">no value to draw</p>'
    width, height, left, top, foot = 340, 170, 34, 8, 34
    most = max(max(was, now) for _, was, now in bins) or 1.0
    step = (width - left) / len(bins)
    bar = max(1.0, step * 0.38)
    every = -(-len(bins) // MOST_LABELS)
    parts = [
        f'<text x="0" y="{top + 8}">{most:.0%}</text>',
        f'<text x="0" y="{height - foot}">0%</text>',
        f'<line x1="{left}" x2="{width}" y1="{height - foot}" y2="{height - foot}" stroke="var(--line)"/>',
    ]
    for at, (label, was, now) in enumerate(bins):
        x = left + at * step + step * 0.1
        for offset, share, kind in ((0.0, was, "was"), (bar, now, "now")):
            tall = (height - foot - top) * share / most
            parts.append(
                f'<rect class="{kind}" x="{x + offset:.1f}" y="{height - foot - tall:.1f}" width="{bar:.1f}" '
                f'height="{tall:.1f}"><title>{escape(label)}: {share:.1%}</title></rect>'
            )
        if at % every == 0:
            short = label if len(label) <= 9 else label[:8] + "…"
            y = height - foot + 14 + (12 if len(bins) > 5 and (at // every) % 2 else 0)
            parts.append(f'<text x="{x + bar:.1f}" y="{y}" text-anchor="middle">{escape(short)}</text>')
    label = "shares of rows in each bin, training and now"
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _small(bins: Sequence[tuple[str, float, float]]) -> str:
    if not bins:
        return ""
    most = max(max(was, now) for _, was, now in bins) or 1.0
    step = 130 / len(bins)
    bars = "".join(
        f'<rect class="{kind}" x="{at * step + offset * step:.1f}" y="{24 - 24 * share / most:.1f}" '
        f'width="{step * 0.42:.1f}" height="{24 * share / most:.1f}"/>'
        for at, (_, was, now) in enumerate(bins)
        for offset, share, kind in ((0.05, was, "was"), (0.5, now, "now"))
    )
    return f'<svg viewBox="0 0 130 24" aria-hidden="true">{bars}</svg>'


def _notes(judgement: Judgement) -> str:
    captured, comparison = judgement.captured, judgement.comparison
    notes = [
        "PSI compares shares of rows over tenths of the training data, with one bin more on each side.",
        "“By chance” is the PSI that one window of a thousand of this size exceeds though nothing moved.",
        "Missing is beyond the share that training had. Limits are where alarms stand by default.",
    ]
    if comparison.skipped:
        named = ", ".join(comparison.skipped[:12])
        more = f" and {len(comparison.skipped) - 12} more" if len(comparison.skipped) > 12 else ""
        notes.append(f"Not captured, so not compared: {named}{more}.")
    if comparison.labelled:
        notes.append(
            f"{comparison.correct:,} of {comparison.labelled:,} answers with a known truth were right."
        )
    if captured.lost:
        notes.append(f"{captured.lost:,} sampled requests could not be kept.")
    if captured.unreadable:
        notes.append(f"{captured.unreadable:,} files could not be read.")
    if captured.left_out:
        notes.append(f"{captured.left_out:,} files were left out by chance: there were rows enough.")
    return "<h2>How to read this</h2>" + "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)
