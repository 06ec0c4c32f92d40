"""What runs at start say: measured on a clock that the model itself moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from functions.endpoint.batches import Work
from functions.endpoint.trial import QUICK_S, TRIAL_S, is_quick, rows_that_pay
from functions.inference.predictor import BadInputError, Stop
from functions.protocol.tensors import Array

WORK = Work({"x": np.zeros((1, 1), np.float32)}, ("y",))


class Timed:
    """A model whose runs take as long as ``seconds`` says of their rows, on its own clock."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self._seconds = seconds
        self.now = 0.0
        self.tried: list[int] = []

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        rows = len(inputs["x"])
        self.tried.append(rows)
        self.now += self._seconds(rows)
        return {"y": inputs["x"]}

    def clock(self) -> float:
        return self.now

    def rows_that_pay(self, most: int = 32, work: Work = WORK) -> int:
        return rows_that_pay(self, work, most, clock=self.clock)


def test_quick_is_measured_with_the_largest_batch() -> None:
    engine = Timed(lambda rows: rows * QUICK_S / 4)
    assert is_quick(engine, WORK, 1, clock=engine.clock)
    assert not is_quick(engine, WORK, 32, clock=engine.clock)


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        (lambda rows: 0.01 * rows, 1),
        (lambda rows: 0.01 * rows * (1 + rows / 100), 1),
        (lambda rows: 0.001 + 0.000_01 * rows, 32),
        (lambda _: 0.000_03, 32),
        (lambda rows: 0.001 * max(rows, 4), 4),
        (lambda rows: 0.001 * max(rows, 4) * (1.2 if rows > 8 else 1), 4),
    ],
    ids=["nothing gained", "something lost", "overhead shared", "free", "to four", "to four, then worse"],
)
def test_as_many_rows_are_joined_as_make_each_cheaper(seconds: Callable[[int], float], rows: int) -> None:
    assert Timed(seconds).rows_that_pay() == rows


def test_no_more_is_joined_than_may_be() -> None:
    engine = Timed(lambda rows: 0.001)
    assert engine.rows_that_pay(12) == 12
    assert max(engine.tried) == 12
    assert Timed(lambda rows: 0.001).rows_that_pay(1) == 1


def test_a_model_that_takes_long_is_given_no_more_than_the_time_there_is() -> None:
    """What could not be looked at is left as it was asked for."""
    engine = Timed(lambda rows: 0.3 + 0.001 * rows)
    assert engine.rows_that_pay() == 32
    assert engine.now <= 2 * TRIAL_S
    endless = Timed(lambda rows: 60.0 * rows)
    assert endless.rows_that_pay() == 32
    assert endless.tried == [1]


def test_a_model_that_refuses_company_here_is_left_as_it_was_asked_for() -> None:
    def refusing(
        inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        if len(inputs["x"]) > 1:
            raise BadInputError("only one")
        return {"y": inputs["x"]}

    assert rows_that_pay(refusing, WORK, 32) == 32
    assert not is_quick(refusing, WORK, 32)


def test_a_sample_of_many_rows_is_cut_to_size() -> None:
    engine = Timed(lambda rows: 0.01 * rows)
    assert engine.rows_that_pay(work=Work({"x": np.zeros((5, 1), np.float32)}, ("y",))) == 1
    assert set(engine.tried) == {1, 2, 4, 8, 16, 32}
