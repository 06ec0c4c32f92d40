"""A simulator of Lambda's concurrency rules: flips, shifts and rollbacks at 10,000 requests a second.

Run ``python -m benchmarks.concurrency [--write]``. Nothing is measured: time is counted in steps of 10 ms and
requests come evenly, so every run gives the same numbers. What is played (Lambda developer guide,
"Understanding Lambda function scaling", "Configuring provisioned concurrency", "Lambda quotas"):

* one environment answers one request at a time; one that has to start first counts as in flight meanwhile;
* a function starts 1,000 environments at once and 100 more each second, unused ones are not saved up;
* an account answers so many requests at once, a function with a reservation exactly that many;
* ten times as many requests a second as may be in flight;
* provisioned environments are started before the first request; what they cannot take is started on demand.

Whether Lambda keeps idle environments is not documented, so both are played. Not played: uneven arrivals,
clients that try again.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import write_section
from releases.headroom import BURST, START_S, Headroom

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
PICTURE = ROOT / "docs" / "benchmarks" / "concurrency.svg"

STEP_S = 0.01
REFILL_PER_S = 100
"""Environments that a function may start besides, each second: 1,000 in ten."""
REQUESTS_PER_EXECUTION = 10
"""Requests a second for each execution that may be in flight."""

RATE = 10_000
DURATION_S = 0.05
PEAK = int(RATE * DURATION_S)
LIMIT = 3_000
PROVISIONED = 600


@dataclass(slots=True)
class Version:
    """One Lambda version: environments that are free, and what is in flight until which step."""

    idle: int = 0
    in_flight: int = 0
    ends: deque[tuple[int, int]] = field(default_factory=deque)

    def settle(self, step: int) -> None:
        """Free the environments whose request has ended by ``step``."""
        waiting: deque[tuple[int, int]] = deque()
        for end, count in self.ends:
            if end <= step:
                self.in_flight -= count
                self.idle += count
            else:
                waiting.append((end, count))
        self.ends = waiting

    def take(self, count: int, until: int) -> None:
        self.in_flight += count
        if self.ends and self.ends[-1][0] == until:
            until, before = self.ends.pop()
            count += before
        self.ends.append((until, count))


class Function:
    """One function of an account: its versions, and how many environments it may start now.

    ``limit`` is what it may have in flight: its reservation, or what others leave of the account's.
    """

    def __init__(self, limit: int, *, duration_s: float = DURATION_S, start_s: float = START_S) -> None:
        self.limit = limit
        self.tokens = float(BURST)
        self.versions: dict[str, Version] = {}
        self.throttled = 0
        self.step = 0
        self._duration = max(round(duration_s / STEP_S), 1)
        self._start = round(start_s / STEP_S)
        self._second: deque[int] = deque([0], maxlen=round(1 / STEP_S))

    def provision(self, version: str, count: int) -> None:
        """Environments of ``version`` that stand before the first request."""
        self.versions.setdefault(version, Version()).idle += count

    def forget_idle(self, version: str) -> None:
        """Lambda took the idle environments of ``version`` away."""
        self.versions[version].idle = 0

    @property
    def in_flight(self) -> int:
        return sum(version.in_flight for version in self.versions.values())

    def tick(self, arrivals: dict[str, int]) -> int:
        """10 ms pass, in which so many requests arrive for each version; how many are throttled."""
        self.step += 1
        self.tokens = min(self.tokens + REFILL_PER_S * STEP_S, float(BURST))
        self._second.append(0)
        for version in self.versions.values():
            version.settle(self.step)
        refused = sum(count - self._begin(name, count) for name, count in arrivals.items())
        self.throttled += refused
        return refused

    def _begin(self, name: str, count: int) -> int:
        version = self.versions.setdefault(name, Version())
        rate = self.limit * REQUESTS_PER_EXECUTION - sum(self._second)
        allowed = max(min(count, self.limit - self.in_flight, rate), 0)
        warm = min(allowed, version.idle)
        cold = min(allowed - warm, int(self.tokens + 1e-9))
        if warm:
            version.idle -= warm
            version.take(warm, self.step + self._duration)
        if cold:
            self.tokens -= cold
            version.take(cold, self.step + self._start + self._duration)
        self._second[-1] += warm + cold
        return warm + cold


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario: requests throttled for each second of it."""

    name: str
    rules: str
    said: str
    throttled: int
    by_second: tuple[int, ...]

    def line(self) -> str:
        return f"| {self.name} | {self.rules} | {self.said} | {self.throttled:,} |"


def serving(*, provisioned: int = 0) -> Function:
    """A function whose version ``old`` answers 10,000 requests a second, and has for a while."""
    function = Function(LIMIT)
    function.provision("old", max(PEAK + 10, provisioned))
    for _ in range(round(1 / STEP_S)):
        function.tick({"old": round(RATE * STEP_S)})
    # The provisioned ones of the new version stand before the alias moves (releases/warm.py).
    function.provision("new", provisioned)
    # It has been quiet about environments for long: the burst is there as a whole.
    function.tokens = float(BURST)
    assert function.throttled == 0
    return function


def drive(function: Function, weights: dict[str, float], seconds: float) -> list[int]:
    """10,000 requests a second, divided by ``weights``; what was throttled each second."""
    owed = dict.fromkeys(weights, 0.0)
    by_second: list[int] = []
    refused = 0
    for step in range(1, round(seconds / STEP_S) + 1):
        arrivals: dict[str, int] = {}
        for name, share in weights.items():
            owed[name] += RATE * STEP_S * share
            arrivals[name] = int(owed[name] + 1e-9)
            owed[name] -= arrivals[name]
        refused += function.tick(arrivals)
        if step % round(1 / STEP_S) == 0:
            by_second.append(refused)
            refused = 0
    return by_second


def flip(function: Function, *, to: str = "new", seconds: float = 30) -> list[int]:
    """Every request comes to the other version from now on."""
    return drive(function, {to: 1.0}, seconds)


def shift(function: Function, shares: Sequence[float], *, kept: bool, bake_s: float = 20) -> list[int]:
    """The steps of a shift, each held for ``bake_s``, and the flip at its end.

    Unless they are ``kept``, Lambda takes environments that idle away between two steps, as it may.
    """
    by_second: list[int] = []
    for share in (*shares, 1.0):
        weights = {"new": share, "old": 1.0 - share} if share < 1 else {"new": 1.0}
        by_second += drive(function, weights, bake_s)
        if not kept:
            function.forget_idle("new")
    return by_second


def headroom(*, provisioned: int = 0) -> Headroom:
    """What the rules know of the function: what CloudWatch would say of it."""
    return Headroom(PEAK, LIMIT, others=0, provisioned=provisioned, per_second=RATE)


def fine_steps(found: Headroom) -> tuple[float, ...]:
    """As few even steps as the rules let pass."""
    count = -(-100 // found.largest_step)
    return tuple(round(number / count, 4) for number in range(1, count))


def scenarios() -> list[Played]:
    """Everything that is shown, each with the rules off and on."""
    cold, warm = headroom(), headroom(provisioned=PROVISIONED)
    coarse, fine = (0.05, 0.25, 0.5), fine_steps(cold)
    return [
        _off("flip at once, nothing provisioned", flip(serving())),
        _on("flip at once, nothing provisioned", cold.suffices, lambda: flip(serving())),
        _off("shift 5, 25, 50 %, idle environments kept", shift(serving(), coarse, kept=True)),
        _off("shift 5, 25, 50 %, idle environments taken", shift(serving(), coarse, kept=False)),
        _on("shift 5, 25, 50 %", cold.suffices_for(coarse), lambda: shift(serving(), coarse, kept=False)),
        _on(
            f"shift in {len(fine) + 1} even steps, as the refusal asks",
            cold.suffices_for(fine),
            lambda: shift(serving(), fine, kept=False),
        ),
        _on(
            f"flip at once, {PROVISIONED} provisioned",
            warm.suffices,
            lambda: flip(serving(provisioned=PROVISIONED)),
        ),
        _off("rollback a minute later, environments kept", _back(at_once=True)),
        _off("rollback much later, environments taken", _back(at_once=False)),
        _on(
            f"rollback much later, {PROVISIONED} provisioned on both",
            warm.suffices,
            lambda: _back(at_once=False, provisioned=PROVISIONED),
        ),
    ]


def _back(*, at_once: bool, provisioned: int = 0) -> list[int]:
    """A rollback from ``new``, which serves; only the seconds after it count."""
    function = Function(LIMIT)
    function.provision("new", max(PEAK + 10, provisioned))
    function.provision("old", PEAK + 10 if at_once else provisioned)
    for _ in range(round(1 / STEP_S)):
        function.tick({"new": round(RATE * STEP_S)})
    function.tokens = float(BURST)
    return flip(function, to="old")


def _off(name: str, by_second: list[int]) -> Played:
    return Played(name, "off", "done", sum(by_second), tuple(by_second))


def _on(name: str, allowed: bool, run: Callable[[], list[int]]) -> Played:
    by_second = run() if allowed else [0]
    return Played(name, "on", "done" if allowed else "refused", sum(by_second), tuple(by_second))


def main() -> None:
    """Play everything, print the table, and if asked, write it down."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md and the picture")
    options = parser.parse_args()
    played = scenarios()
    table = "\n".join(
        [
            "| what | headroom rules | came of it | requests throttled |",
            "|---|---|---|---|",
            *(each.line() for each in played),
        ]
    )
    print(table)
    if not options.write:
        return
    _plot(played)
    introduction = (
        "Written by `python -m benchmarks.concurrency --write`: Lambda's documented rules, played, not "
        f"measured. {RATE:,} requests a second of {DURATION_S * 1000:.0f} ms each ({PEAK} in flight), an "
        f"environment that takes {START_S:g} s to start, {LIMIT:,} executions at once in the account. While "
        "the first environments start, every request that comes starts another: a flip at once needs not "
        f"{PEAK} of them but {headroom().to_start:,}, and Lambda starts {BURST:,} in ten seconds. With the "
        "[rules](adr/0049-a-flip-is-priced-in-environments-that-start.md) on, what would throttle is refused "
        "before the alias moves, and the refusal says which steps fit.\n\n"
        "A rollback is never refused (law 6): on a model without provisioned environments it meets idle ones "
        "for as long as Lambda keeps them, which nobody promises."
    )
    picture = "![Throttled requests by second](benchmarks/concurrency.svg)"
    write_section(
        "Flips, shifts and rollbacks at 10,000 requests a second",
        f"{introduction}\n\n{table}\n\n{picture}",
        page=PAGE,
    )


def _plot(played: list[Played]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "switchyard"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for each in played:
        if each.said == "done":
            label = f"{each.name} (rules {each.rules})"
            axes.plot(range(1, len(each.by_second) + 1), each.by_second, label=label)
    axes.set_xlabel("seconds after the move")
    axes.set_ylabel("throttled requests a second")
    axes.set_xlim(0, 60)
    axes.legend(fontsize=7)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
