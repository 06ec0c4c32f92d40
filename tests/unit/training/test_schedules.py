"""The learning rate follows from the step alone."""

from itertools import pairwise

import pytest

from training.recipe import Schedule
from training.schedules import factor


def _all(schedule: Schedule, steps: int = 20) -> list[float]:
    return [factor(schedule, step=step, steps=steps, per_epoch=5) for step in range(steps)]


@pytest.mark.parametrize("name", ["cosine", "linear", "exponential"])
def test_a_falling_schedule_falls_from_one_and_never_reaches_zero(name: str) -> None:
    rates = _all(Schedule.model_validate({"name": name}))
    assert rates[0] == 1.0
    assert all(after < before for before, after in pairwise(rates))
    assert rates[-1] > 0


def test_steps_multiply_every_so_many_epochs() -> None:
    rates = _all(Schedule(name="step", every=2, factor=0.5))
    assert rates == [1.0] * 10 + [0.5] * 10


def test_warmup_rises_to_the_rate_and_then_hands_over() -> None:
    rates = _all(Schedule(name="constant", warmup=0.25))
    assert rates[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert rates[5:] == [1.0] * 15
