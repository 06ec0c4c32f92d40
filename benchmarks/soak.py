"""What a soak tried and what it lost: the record of a run, and its section of ``docs/reliability.md``.

The run itself is ``make soak`` (``tests/end_to_end/test_steps_at_random.py``, which needs a deployed
project); what it found stands in ``docs/benchmarks/soak.json``, and the section is made of that and of
nothing else.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.report import write_section

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "reliability.md"
RECORD = DOCS / "benchmarks" / "soak.json"
TITLE = "Faults tried, and what was lost"


@dataclass(slots=True)
class Tried:
    """One kind of fault: how often, and what became of the requests that came meanwhile.

    ``wrong`` are answers that were not that version's answer; ``unanswered`` got no answer but a refusal or
    an error. ``moves`` are moves of the alias that were acknowledged, ``lines_lost`` those without their line
    in the ledger afterwards.
    """

    what: str
    times: int = 0
    requests: int = 0
    wrong: int = 0
    unanswered: int = 0
    moves: int = 0
    lines_lost: int = 0

    def row(self) -> str:
        """A row of the table."""
        numbers = (self.times, self.requests, self.wrong, self.unanswered, self.moves, self.lines_lost)
        return f"| {self.what} | {' | '.join(f'{number:,}' for number in numbers)} |"


@dataclass(slots=True)
class Soaked:
    """A whole run. Memory is the median of all environments, in MB: of the run's first third and its last."""

    seconds: int
    seed: int
    memory_first_mb: float
    memory_last_mb: float
    tried: list[Tried] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(each.wrong for each in self.tried)

    @property
    def lines_lost(self) -> int:
        return sum(each.lines_lost for each in self.tried)

    def section(self) -> str:
        """The text of the section, without its title."""
        requests = sum(each.requests for each in self.tried)
        head = "what was done while requests came | times | requests | wrong answers | not answered | moves"
        rows = [f"| {head} | ledger lines lost |", "|---|---|---|---|---|---|---|"]
        rows += [each.row() for each in self.tried]
        text = [
            f"Written by `make soak` from [its record](benchmarks/soak.json): {_spoken(self.seconds)} on the",
            f"embedded cloud, {requests:,} requests, seed {self.seed}. Every answer was compared with",
            "what that version answers, and after every step the laws were asked: the alias on a version",
            "that passed its checks, lines without gaps, no disagreement. *Not answered* are refusals and",
            "errors that callers saw: Lambda had no environment for them, or theirs was killed under them.",
        ]
        memory = [
            f"The environments took {self.memory_first_mb:.0f} MB each in the first third of the run and",
            f"{self.memory_last_mb:.0f} MB in the last (medians). CI runs the same in a shorter time.",
        ]
        table = "\n".join(rows)
        return f"{' '.join(text)}\n\n{table}\n\n{' '.join(memory)}"

    def to_json(self) -> str:
        """The record."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Soaked:
        body = json.loads(text)
        return cls(**{**body, "tried": [Tried(**each) for each in body["tried"]]})

    def write(self, *, page: Path = PAGE, record: Path = RECORD) -> None:
        """Keep the record and make the section anew."""
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(self.to_json(), "utf-8")
        write_section(TITLE, self.section(), page=page)


def _spoken(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
