"""The learning rate as a function of the step alone: what is resumed needs no state for it."""

from __future__ import annotations

import math

from training.recipe import Schedule


def factor(schedule: Schedule, *, step: int, steps: int, per_epoch: int) -> float:
    """What the recipe's learning rate is multiplied by at ``step`` of ``steps`` (from 0)."""
    warm = round(schedule.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    share = (step - warm) / max(1, steps - warm)
    match schedule.name:
        case "cosine":
            # The floor is a hundredth of the factor: a rate of exactly zero learns nothing in the last epoch.
            floor = schedule.factor / 100
            return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2
        case "linear":
            floor = schedule.factor / 100
            return floor + (1 - floor) * (1 - share)
        case "step":
            return float(schedule.factor ** (step // (per_epoch * schedule.every)))
        case "exponential":
            return float(schedule.factor**share)
        case _:
            return 1.0
