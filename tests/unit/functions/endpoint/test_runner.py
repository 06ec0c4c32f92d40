"""``functions.endpoint.runner``: whose fault a failure is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from functions.endpoint.batches import Work
from functions.endpoint.errors import EngineFailedError
from functions.endpoint.runner import PROBE_EVERY_S, Runner
from functions.inference.predictor import BadInputError, Stop
from functions.protocol.tensors import Array


class Engine:
    """Answers, refuses negative numbers, and fails altogether once it is ``dead``."""

    def __init__(self) -> None:
        self.dead: Exception | None = None
        self.runs = 0

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        self.runs += 1
        if self.dead is not None:
            raise self.dead
        if (inputs["x"] < 0).any():
            raise BadInputError("negative")
        return {"y": inputs["x"]}


class Desk:
    """A runner with its engine, its clock and what it reported."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.broken: list[str] = []
        self.failures: list[Exception] = []
        self.now = 0.0
        self.run = Runner(
            self.engine,
            work(1),
            on_broken=self.broken.append,
            on_failure=self.failures.append,
            clock=lambda: self.now,
        )


class Flag:
    terminate = True


def work(value: float) -> Work:
    return Work({"x": np.array([[value]], np.float32)}, ("y",))


def test_a_bad_request_is_its_caller_s_and_the_engine_stays_trusted() -> None:
    desk = Desk()
    good, bad = desk.run([work(1), work(-1)], None)
    assert isinstance(good, dict)
    assert isinstance(bad, BadInputError)
    assert desk.broken == []
    assert desk.failures == []


def test_an_engine_that_fails_its_golden_sample_is_broken() -> None:
    desk = Desk()
    desk.engine.dead = RuntimeError("CUDA error: an illegal memory access")
    (result,) = desk.run([work(1)], None)
    assert isinstance(result, EngineFailedError)
    assert "CUDA" not in str(result), "callers hear no internals"
    assert desk.broken == ["the engine fails on the golden sample"]
    assert desk.failures


def test_an_engine_that_refuses_its_golden_sample_is_broken_too() -> None:
    desk = Desk()
    desk.engine.dead = BadInputError("allocation failed")
    desk.run([work(1)], None)
    assert desk.broken == ["the model refuses its own golden sample: allocation failed"]


def test_rubbish_all_day_buys_one_golden_run_a_second() -> None:
    desk = Desk()
    for _ in range(5):
        desk.run([work(-1)], None)
    assert desk.engine.runs == 5 + 1
    desk.now += PROBE_EVERY_S
    desk.run([work(-1)], None)
    assert desk.engine.runs == 6 + 2


def test_a_run_that_was_stopped_says_nothing_about_the_engine() -> None:
    desk = Desk()
    desk.run([work(-1)], Flag())
    assert desk.engine.runs == 1
