"""``functions.endpoint.explanations``: by gradients where there are some, by occlusion everywhere, in time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from functions.endpoint.errors import QueueFullError
from functions.endpoint.explanations import WAITING, Explanations
from functions.inference.limits import Limits
from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError, TooLargeError
from functions.protocol.tensors import Array
from tests.unit.functions.conftest import Layer
from tests.unit.functions.endpoint.test_service import make

X = [1.0, -2.0, 3.0, 0.5]


def body(**parameters: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": X}
    return json.dumps({"inputs": [tensor], "parameters": parameters}).encode()


class Gradients:
    """An engine with gradients: every value is worth half of itself, whatever is asked."""

    has_gradients = True

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.asked: list[dict[str, Any]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, *arguments: Any, **named: Any) -> dict[str, Array]:
        found: dict[str, Array] = self._engine(*arguments, **named)
        return found

    def integrated(
        self, inputs: Mapping[str, Array], output: str, target: int, **how: Any
    ) -> tuple[dict[str, Array], float, float]:
        assert self.goes_on.wait(60)
        self.asked.append({"output": output, "target": target, **how})
        return {"x": inputs["x"] / 2}, 3.0, 1.5


def explaining(
    layer: Layer, test: Callable[[Explanations, Gradients], Awaitable[None]], **limits: Any
) -> None:
    """Run ``test`` with explanations of the layer's model, on an engine with gradients."""

    async def run() -> None:
        service = make(layer, Limits(**limits))
        engine = Gradients(service.loaded.predictor)
        service._loaded = service._served = service.loaded._replace(predictor=engine)
        explanations = Explanations(service, timeout_s=60)
        try:
            await test(explanations, engine)
        finally:
            explanations.close()

    asyncio.run(run())


def test_where_there_are_gradients_they_are_what_explains(linear_layer: Layer) -> None:
    async def test(explanations: Explanations, engine: Gradients) -> None:
        said = json.loads((await explanations.begin(body(explain_target=2, explain_steps=7), None)).body)
        (worth,) = said["outputs"]
        assert (worth["name"], worth["data"]) == ("x", [0.5, -1.0, 1.5, 0.25])
        (asked,) = engine.asked
        assert (asked["target"], asked["steps"], asked["baseline"]) == (2, 7, 0)
        told = said["parameters"]
        assert (told["method"], told["value"], told["baseline_value"]) == ("integrated_gradients", 3.0, 1.5)
        assert told["unexplained"] == pytest.approx(3.0 - 1.5 - 1.25)

    explaining(linear_layer, test)


def test_occlusion_can_be_asked_for_and_is_what_a_graph_without_gradients_has(linear_layer: Layer) -> None:
    async def test(explanations: Explanations, engine: Gradients) -> None:
        asked = body(explain_method="occlusion", explain_target=1)
        by_choice = (await explanations.begin(asked, None)).body
        assert engine.asked == []
        plain = Explanations(make(linear_layer, Limits()), timeout_s=60)
        assert (await plain.begin(body(explain_target=1), None)).body == by_choice
        with pytest.raises(BadRequestError, match=r"this version has: occlusion$"):
            await plain.begin(body(explain_method="integrated_gradients"), None)
        plain.close()

    explaining(linear_layer, test)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"explain_steps": 0}, "`explain_steps` is 0"),
        ({"explain_steps": "many"}, "`explain_steps` is"),
        ({"explain_window": 2}, "there is no parameter `explain_window`"),
        ({"explain_method": "guess"}, "this version has: integrated_gradients, occlusion"),
        ({"explain_target": 99}, "`explain_target`"),
    ],
    ids=["steps", "no-number", "window", "method", "target"],
)
def test_what_cannot_be_asked_is_refused_in_words(
    parameters: dict[str, Any], said: str, linear_layer: Layer
) -> None:
    async def test(explanations: Explanations, engine: Gradients) -> None:
        with pytest.raises(BadRequestError, match=said):
            await explanations.begin(body(**parameters), None)
        assert engine.asked == []

    explaining(linear_layer, test)


def test_a_few_wait_for_the_one_that_runs_and_more_are_refused(linear_layer: Layer) -> None:
    async def test(explanations: Explanations, engine: Gradients) -> None:
        engine.goes_on.clear()
        begun: list[asyncio.Future[Encoded]] = [explanations.begin(body(), None) for _ in range(1 + WAITING)]
        with pytest.raises(QueueFullError):
            explanations.begin(body(), None)
        engine.goes_on.set()
        assert len({answer.body for answer in await asyncio.gather(*begun)}) == 1
        await explanations.begin(body(), None)

    explaining(linear_layer, test)


def test_bytes_are_bounded_as_those_of_inferences_are(linear_layer: Layer) -> None:
    async def test(explanations: Explanations, engine: Gradients) -> None:
        with pytest.raises(TooLargeError):
            explanations.begin(body() + b" " * 200, None)

    assert len(body()) < 200
    explaining(linear_layer, test, max_payload_bytes=200)
