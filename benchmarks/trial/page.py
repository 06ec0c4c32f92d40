"""``docs/aws-results.md``: what a trial measured, or that none was run yet. Made of its record alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "aws-results.md"
RECORD = DOCS / "benchmarks" / "aws.json"

_HEAD = """# Results from a real account

Written by `make test-aws`, which deploys a stage of its own, runs the end-to-end and contract tests that need
no embedded cloud, measures what only AWS can tell, and takes everything down again
([how](deploy-to-aws.md#try-it-all)).
"""


@dataclass(slots=True)
class Results:
    """What one trial found. Times in milliseconds, each list as measured, in order."""

    at: str
    region: str
    estimate_dollars: float
    minutes: float
    tests: str
    flip_ms: list[float] = field(default_factory=list)
    """From when a move of the alias had returned to the last answer of the version before; 0 for none."""
    flip_failures: int = 0
    flip_requests: int = 0
    release_ms: list[float] = field(default_factory=list)
    """`yard release` of a version that was never prepared: publishing, the snapshot, the checks."""
    restore_ms: list[float] = field(default_factory=list)
    """What Lambda reports of restoring a snapshot."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read(record: Path = RECORD) -> Results | None:
    """The last trial; ``None`` if there was none."""
    return Results(**json.loads(record.read_text("utf-8"))) if record.exists() else None


def text_of(results: Results | None) -> str:
    """The whole page."""
    if results is None:
        return f"{_HEAD}\n**not run yet**\n"
    rows = [
        ("last old answer after a flip had returned", results.flip_ms),
        ("`yard release` of a new version, SnapStart", results.release_ms),
        ("restoring a snapshot, as Lambda reports it", results.restore_ms),
    ]
    table = ["| what | times | median ms | most ms |", "|---|---|---|---|"]
    for what, found in rows:
        numbers = f"{_median(found):,.0f} | {max(found):,.0f}" if found else "- | -"
        table.append(f"| {what} | {len(found)} | {numbers} |")
    lines = "\n".join(table)
    return (
        f"{_HEAD}\n{results.at}, {results.region}, {results.minutes:.0f} minutes, at most "
        f"${results.estimate_dollars:.2f} by list prices. Tests: {results.tests}.\n\n{lines}\n\n"
        f"{results.flip_requests:,} requests came during the flips; {results.flip_failures} of them failed.\n"
    )


def write(results: Results, *, page: Path = PAGE, record: Path = RECORD) -> None:
    """Keep the record and make the page anew."""
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(results.to_json(), "utf-8")
    page.write_text(text_of(results), "utf-8")


def _median(found: list[float]) -> float:
    ordered = sorted(found)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
