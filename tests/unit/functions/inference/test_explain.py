"""``functions.inference.explain``: what a part was worth, and what cannot be explained."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from functions.inference.door import HttpDoor
from functions.inference.explain import Explainer
from functions.inference.limits import Limits
from functions.inference.request_log import RequestLog
from functions.inference.service import ModelService
from model_store.contract.environment import EXPLAIN_MAX_PARTS
from model_store.contract.events import http_event, read_answer
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import WEIGHTS, Layer, lay_out, onnx_model

PATH = "/v2/models/digits/explain"
X = [1.0, -2.0, 3.0, 0.5]


class Context:
    """Lambda's, with as much time as a test wants."""

    aws_request_id = "test"

    def __init__(self, seconds: float) -> None:
        self._ms = seconds * 1000

    def get_remaining_time_in_millis(self) -> float:
        return self._ms


class Asking:
    """A function that explains, and what was asked of it."""

    def __init__(self, layer: Layer, **limits: Any) -> None:
        self.lines: list[str] = []
        self.service = ModelService(layer.load(), Limits(explain_max_parts=EXPLAIN_MAX_PARTS, **limits))
        log = RequestLog(self.service.served.labels, self.lines.append)
        self._door = HttpDoor(self.service, log, Explainer(self.service).routes)

    def post(self, body: Any, *, path: str = PATH, seconds: float = 60.0) -> tuple[int, dict[str, Any]]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self._door(http_event("POST", path, content), Context(seconds))
        status, _, content = read_answer(answer)
        found: dict[str, Any] = json.loads(content)
        return status, found

    def worth(self, name: str = "x", **asked: Any) -> list[float]:
        status, said = self.post(asked["body"])
        assert status == 200, said
        (found,) = [tensor for tensor in said["outputs"] if tensor["name"] == name]
        assert found["datatype"] == "FP32"
        values: list[float] = found["data"]
        return values


@pytest.fixture
def asking(linear_layer: Layer) -> Asking:
    return Asking(linear_layer)


def body(data: list[Any] = X, **parameters: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(data) // 4, 4], "data": data}
    return {"inputs": [tensor], "parameters": parameters}


def test_of_a_sum_each_part_is_worth_what_it_adds(asking: Asking) -> None:
    """The scores are a sum of products, so the worth of each feature is known exactly."""
    for target in range(3):
        expected = np.array(X) * WEIGHTS[:, target]
        assert np.allclose(asking.worth(body=body(explain_target=target)), expected, atol=1e-6)


def test_without_a_wish_the_largest_value_of_the_first_floats_is_explained(asking: Asking) -> None:
    status, said = asking.post(body())
    assert status == 200
    scores = np.array(X) @ WEIGHTS
    parameters = said["parameters"]
    assert (parameters["method"], parameters["output"]) == ("occlusion", "scores")
    assert parameters["target"] == int(np.argmax(scores))
    assert parameters["value"] == pytest.approx(float(scores.max()), rel=1e-5)
    assert (parameters["runs"], parameters["windows"]) == (5, {"x": 1})
    assert (said["model_name"], said["model_version"]) == ("digits", "2")


def test_a_window_is_one_part_and_a_baseline_is_what_it_is_put_to(asking: Asking) -> None:
    each = np.array(X) * WEIGHTS[:, 1]
    expected = [each[:2].sum(), each[:2].sum(), each[2:].sum(), each[2:].sum()]
    assert np.allclose(asking.worth(body=body(explain_target=1, explain_window=2)), expected, atol=1e-6)
    moved = (np.array(X) - 2) * WEIGHTS[:, 1]
    assert np.allclose(asking.worth(body=body(explain_target=1, explain_baseline=2)), moved, atol=1e-6)


def test_fewer_rows_at_once_explain_the_same(linear_layer: Layer, asking: Asking) -> None:
    few = Asking(linear_layer, max_batch=1)
    assert few.worth(body=body()) == pytest.approx(asking.worth(body=body()))


def test_a_picture_is_cut_along_its_two_longest_axes(tmp_path: Any) -> None:
    """The channels of a place are one part; a picture of 40 by 40 is cut so that there are at most 256."""
    inputs, outputs = [TensorSpec("x", "FP32", ("n", 3, 40, 40))], [TensorSpec("y", "FP32", ("n", 3))]
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
    model = onnx_model(nodes, inputs, outputs, {"axes": np.array([2, 3], np.int64)})
    ones = np.ones((1, 3, 40, 40), np.float32)
    layer = lay_out(
        tmp_path / "python" / "switchyard_model",
        {"model.onnx": model.SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={"x": ones},
    )
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3, 40, 40], "data": ones.ravel().tolist()}
    status, said = Asking(layer).post({"inputs": [tensor]})
    assert status == 200
    assert said["parameters"]["windows"] == {"x": 3}
    assert said["parameters"]["runs"] == 1 + 14 * 14
    worth = np.array(said["outputs"][0]["data"]).reshape(3, 40, 40)
    assert worth[0, 0, 0] == 9
    assert worth[2, 39, 39] == 1, "the last window has what is left"
    assert (worth[0] == worth[1]).all()


def test_inputs_that_do_not_batch_are_explained_one_run_after_the_other(arithmetic_layer: Layer) -> None:
    vectors = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": data}
        for name, data in (("a", [3]), ("b", [4]))
    ]
    asking = Asking(arithmetic_layer)
    request = {"inputs": vectors, "parameters": {"explain_output": "sum"}}
    assert asking.worth("a", body=request) == [3.0]
    assert asking.worth("b", body=request) == [4.0]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"explain_output": "label"}, "output of floats"),
        ({"explain_output": "nothing"}, "output of floats"),
        ({"explain_target": 3}, "from 0 to 2"),
        ({"explain_target": True}, "from 0 to 2"),
        ({"explain_window": 0}, "above 0"),
        ({"explain_window": 1.5}, "above 0"),
        ({"explain_baseline": "black"}, "has to be a number"),
        ({"explain_baseline": 1e39}, "cannot hold"),
        ({"explain_windows": 2}, "there is no parameter `explain_windows`"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else ", ".join(value),
)
def test_what_cannot_be_asked_is_refused_in_words(
    asking: Asking, parameters: dict[str, Any], words: str
) -> None:
    status, said = asking.post(body(**parameters))
    assert status == 400
    assert words in said["error"]


def test_one_row_at_a_time(asking: Asking) -> None:
    status, said = asking.post(body(X + X))
    assert status == 400
    assert "2 rows" in said["error"]


def test_what_would_take_too_long_is_refused_with_what_to_ask_for(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asking.service.run

    def slow(*args: Any) -> Any:
        deadline = time.perf_counter() + 0.05
        while time.perf_counter() < deadline:
            pass
        return run(*args)

    monkeypatch.setattr(asking.service, "run", slow)
    monkeypatch.setattr(asking.service, "batched", ())
    status, said = asking.post(body(), seconds=0.35)
    assert status == 413
    assert "ask for a larger `explain_window`" in said["error"]


def test_an_explanation_is_a_line_of_its_own_and_no_latency_of_inferences(asking: Asking) -> None:
    asking.post(body())
    (line,) = map(json.loads, asking.lines)
    assert line["route"] == "/v2/models/{model}/explain"
    assert "Latency" not in line


PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["explain_output", "explain_target", "explain_baseline", "explain_window", "explain_x", "y"]
    ),
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.just("scores"),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parameters=PARAMETERS, data=st.lists(st.floats(width=32), min_size=4, max_size=8))
def test_whatever_is_asked_it_is_no_fault_of_the_server(
    asking: Asking, parameters: dict[str, Any], data: list[float]
) -> None:
    status, said = asking.post(body(data[: len(data) // 4 * 4], **parameters))
    assert status in (200, 400, 413, 422), said
