"""``functions.inference.deadline``: what cannot be done in time is said in time."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from functions.inference.deadline import MARGIN_S, Pace
from functions.inference.predictor import BadInputError
from functions.protocol.errors import DeadlineError, TooLargeError
from model_store.contract.events import http_event
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Caller, Layer, lay_out, onnx_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnxruntime as ort


INFER = "/v2/models/digits/infer"


def work_of(seconds: float, watched: list[bool]) -> Callable[[ort.RunOptions | None], str]:
    """Work that takes ``seconds``, and stops when it is told to, as a session does."""

    def work(options: ort.RunOptions | None) -> str:
        watched.append(options is not None)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if options is not None and options.terminate:
                raise BadInputError("Exiting due to terminate flag being set to true")
            time.sleep(0.001)
        return "done"

    return work


def test_without_a_deadline_nothing_is_watched() -> None:
    watched: list[bool] = []
    assert Pace(4).run(work_of(0, watched), 4, None) == "done"
    assert watched == [False]


def test_the_first_run_is_watched_and_those_that_are_surely_quick_are_not() -> None:
    pace = Pace(4)
    watched: list[bool] = []
    for elements in (4, 4, 40):
        assert pace.run(work_of(0.002, watched), elements, 5) == "done"
    assert watched == [True, False, False]


def test_a_run_that_may_take_too_long_is_watched_again() -> None:
    pace = Pace(4)
    watched: list[bool] = []
    pace.run(work_of(0.02, watched), 4, 5)
    pace.run(work_of(0, watched), 4 * 1000, 5)
    assert watched == [True, True]


def test_after_a_restore_nothing_is_known() -> None:
    pace = Pace(4)
    watched: list[bool] = []
    pace.run(work_of(0, watched), 4, 5)
    pace.forget()
    pace.run(work_of(0, watched), 4, 5)
    assert watched == [True, True]


def test_an_ordinary_request_that_is_not_done_in_time_is_the_models_fault() -> None:
    started = time.perf_counter()
    with pytest.raises(DeadlineError, match=r"did not answer within the 0\.1 s that were left for it"):
        Pace(4).run(work_of(5, []), 4, MARGIN_S + 0.1)
    assert time.perf_counter() - started < 2


def test_a_large_request_that_is_not_done_in_time_should_be_smaller() -> None:
    with pytest.raises(TooLargeError, match="send fewer rows at once"):
        Pace(4).run(work_of(5, []), 9, MARGIN_S + 0.1)


def test_what_was_too_much_before_is_refused_at_once() -> None:
    pace = Pace(4)
    watched: list[bool] = []
    for elements in (40, 40, 400):
        with pytest.raises(TooLargeError):
            pace.run(work_of(5, watched), elements, MARGIN_S + 0.05)
    assert watched == [True]
    assert pace.run(work_of(0, watched), 40, 5) == "done"
    assert pace.run(work_of(0, watched), 4, MARGIN_S + 0.05) == "done"


def test_a_request_that_comes_too_late_is_not_begun() -> None:
    watched: list[bool] = []
    with pytest.raises(DeadlineError):
        Pace(4).run(work_of(0, watched), 4, MARGIN_S / 2)
    assert watched == []


def test_another_refusal_stays_what_it_is() -> None:
    def work(options: ort.RunOptions | None) -> str:
        raise BadInputError("other words")

    with pytest.raises(BadInputError, match="other words"):
        Pace(4).run(work, 4, 5)


def test_no_thread_is_left_behind() -> None:
    def timers() -> int:
        """Threads that wait to stop a run; others may come and go with the tests before."""
        return sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())

    before = timers()
    for _ in range(5):
        Pace(4).run(work_of(0, []), 4, 60)
    deadline = time.perf_counter() + 5
    while timers() > before and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert timers() <= before


class Context:
    """What Lambda hands to a handler, as far as it is looked at."""

    aws_request_id = "abc"

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.perf_counter()) * 1000))


@pytest.fixture
def slow_layer(package: Path) -> Layer:
    """x [n, n] multiplied by itself sixty times: minutes for a large n, in many small steps."""
    specs, out = [TensorSpec("x", "FP32", ("n", "n"))], [TensorSpec("y", "FP32", ("n", "n"))]
    names = ["x", *(f"x{at}" for at in range(59)), "y"]
    nodes = [helper.make_node("MatMul", [names[at], "x"], [names[at + 1]]) for at in range(60)]
    return lay_out(
        package,
        {"model.onnx": onnx_model(nodes, specs, out).SerializeToString()},
        inputs=specs,
        outputs=out,
        golden={"x": np.zeros((4, 4), np.float32)},
    )


def test_lambda_never_has_to_kill_the_function(slow_layer: Layer) -> None:
    """Law 8: what cannot finish in time is refused with a clear error before it is killed."""
    caller = Caller(slow_layer.load())
    x: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1000, 1000]}
    text = json.dumps({"inputs": [x | {"parameters": {"binary_data_size": 4_000_000}}]}).encode()
    event = http_event("POST", INFER, text + bytes(4_000_000), content_type="application/octet-stream")
    event["headers"]["inference-header-content-length"] = str(len(text))
    context = Context(0.5)
    reply = caller.event(event, context)
    assert reply.status == 413
    assert reply.json["error"].endswith("send fewer rows at once")
    assert context.get_remaining_time_in_millis() > 0
    small = x | {"shape": [4, 4], "data": [0] * 16}
    again = http_event("POST", INFER, json.dumps({"inputs": [small]}).encode())
    assert caller.event(again, Context(5)).status == 200
