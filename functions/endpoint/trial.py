"""What a model's own runs at start say about how to serve it: on which thread, and how many rows at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from functions.endpoint.batches import Work, key_of, repeated
from functions.inference.predictor import Engine

Clock = Callable[[], float]

QUICK_S = 0.002
"""A model whose largest batch takes less than this runs on the event loop: handing it to a thread and back
costs as much processor time as a small model does, and reading one JSON body holds the loop as long."""

TRIAL_S = 2.0
"""What finding out how many rows pay may add to a start."""

_AS_GOOD = 1.03
"""A row may cost so much more than at best. Fewer rows are answered sooner, and timings differ by as much."""

_LOOKS = 3
_LOOK_S = 0.005


def is_quick(engine: Engine, golden: Work, rows: int, *, clock: Clock = time.perf_counter) -> bool:
    """Measure whether the largest run takes less than ``QUICK_S``: the best of a few."""
    work = repeated(golden, rows) if key_of(golden) is not None else golden
    best = float("inf")
    for _ in range(10):
        try:
            best = min(best, _seconds(engine, work, clock))
        except Exception:  # noqa: BLE001 - what it refuses here it may take from a caller
            return False
        if best > 10 * QUICK_S:
            break
    return best < QUICK_S


def rows_that_pay(
    engine: Engine, golden: Work, most: int, *, clock: Clock = time.perf_counter, trial_s: float = TRIAL_S
) -> int:
    """Measure the fewest rows at once at which a row costs about as little as it can; at most ``most``.

    On a processor a model of much arithmetic gains nothing from company: its rows push each other out of
    the caches, and a text encoder with 16 of them takes a tenth longer for each than with one. A small model
    gains, and so does any on a GPU. Where the time does not suffice to see the end of the gain, ``most`` it
    is; so it is for a model that refuses what it is tried with.
    """
    if most < 2 or key_of(golden) is None:
        return most
    cost: dict[int, float] = {}
    left_s = trial_s
    for rows in _sizes(most):
        # Twice the rows take about twice as long, and two looks are the least that says something.
        if cost and 2 * rows * min(cost.values()) > left_s:
            break
        began = clock()
        try:
            cost[rows] = _best(engine, repeated(golden, rows), clock, left_s) / rows
        except Exception:  # noqa: BLE001 - what it refuses here it may take from a caller
            return most
        left_s -= clock() - began
    if not cost:
        return most
    enough = next(rows for rows, each in cost.items() if each <= _AS_GOOD * min(cost.values()))
    return most if enough == max(cost) else enough


def _sizes(most: int) -> Iterator[int]:
    rows = 1
    while rows < most:
        yield rows
        rows *= 2
    yield most


def _best(engine: Engine, work: Work, clock: Clock, left_s: float) -> float:
    """The shortest of a few runs, and of more where they are so short that a pause would be most of one."""
    began, looks, best = clock(), 0, float("inf")
    spent = 0.0
    while not looks or (spent < left_s and (looks < _LOOKS or spent < _LOOK_S)):
        best = min(best, _seconds(engine, work, clock))
        looks, spent = looks + 1, clock() - began
    return best


def _seconds(engine: Engine, work: Work, clock: Clock) -> float:
    started = clock()
    engine(work.inputs, work.outputs)
    return clock() - started
