"""What an answer hangs on: ``POST /v2/models/<model>/explain``, switched on by the catalog.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014): one part
of the input after the other is put to a baseline, and what the answer loses by that is what the part was
worth. It needs nothing of a model but that it runs, so every ONNX graph can be asked.

The request is an inference request with one row; what it asks besides stands in its ``parameters``:

| parameter | means | else |
|---|---|---|
| ``explain_output`` | the output to explain | the first of floats |
| ``explain_target`` | which of its values, row-major | the largest |
| ``explain_baseline`` | what a part is put to | 0 |
| ``explain_window`` | how many neighbours are one part, along each axis | what makes 256 parts |
| ``explain_method`` | how; here there is ``occlusion`` alone, on endpoints more | what there is |

The answer has a tensor for each explained input, of its name and shape in FP32: positive where the part
spoke for the target, negative where against it. Inputs that hold no numbers keep their values. Along axes
other than the two longest (the channels of a picture) everything is one part.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from functions.inference.deadline import MARGIN_S
from functions.inference.quick import Event, Route, body_of, remaining_s
from functions.inference.served import Served
from functions.protocol.answers import encode_answer
from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError, TooLargeError
from functions.protocol.headers import json_length
from functions.protocol.requests import InferRequest, decode_request
from functions.protocol.tensors import Array, quoted
from functions.protocol.words import kind
from model_store.contract.environment import EXPLAIN_MAX_PARTS

if TYPE_CHECKING:
    from functions.inference.service import ModelService

ROWS_AT_ONCE = 64
"""Occluded copies that are run together, where the model takes rows and nobody allows fewer."""

OCCLUSION = "occlusion"
METHOD = "explain_method"

_ASKED = ("explain_output", "explain_target", "explain_baseline", "explain_window", METHOD)


class Asked(NamedTuple):
    """What to explain, checked against one request and what the model answered to it."""

    output: str
    target: int
    value: float
    baseline: float


class Explanation(NamedTuple):
    """What each element of each explained input was worth, and how it was found out."""

    asked: Asked
    attributions: dict[str, Array]
    windows: dict[str, int]
    runs: int


class Explainer:
    """The route. Stateless; as many callers at once as inference has."""

    def __init__(self, service: ModelService) -> None:
        self._service = service

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """The model's own path, and that of the version that is served."""
        served = self._service.select()
        places = {
            "/v2/models/{model}": f"/v2/models/{served.model}",
            "/v2/models/{model}/versions/{version}": (
                f"/v2/models/{served.model}/versions/{served.manifest.version}"
            ),
        }
        return {
            ("POST", f"{path}/explain"): Route(f"{template}/explain", self.answer)
            for template, path in places.items()
        }

    def answer(self, event: Event, context: object) -> Encoded:
        """Explain one inference, or raise ``ProtocolError`` or ``BadInputError``."""
        served = self._service.select()
        length = json_length((event.get("headers") or {}).items())
        request = decode_request(body_of(event), served.signature, json_length=length)
        if (method := request.parameters.get(METHOD, OCCLUSION)) != OCCLUSION:
            raise BadRequestError(f"`{METHOD}` is {quoted(str(method))}, and here there is: {OCCLUSION}")
        answer = occluded(self._service, served, request, remaining_s(context))
        self._service.must_fit(answer)
        return answer


def occluded(service: ModelService, served: Served, request: InferRequest, left_s: float | None) -> Encoded:
    """The answer to a request for an explanation by occlusion."""
    found = explain(service, served, request, left_s)
    said = {
        "method": OCCLUSION,
        "output": found.asked.output,
        "target": found.asked.target,
        "value": found.asked.value,
        "baseline": found.asked.baseline,
        "windows": found.windows,
        "runs": found.runs,
    }
    return written(served, request, found.attributions, said)


def written(
    served: Served, request: InferRequest, attributions: dict[str, Array], said: dict[str, Any]
) -> Encoded:
    """What each input was worth as an answer of the protocol, and how it was found out in ``parameters``."""
    return encode_answer(
        served.manifest.ref,
        attributions,
        id_=request.id,
        binary=frozenset(attributions) if request.binary else (),
        parameters=said,
    )


def explain(
    service: ModelService, served: Served, request: InferRequest, left_s: float | None
) -> Explanation:
    """Occlude every part of every numeric input, in time to say so if there is too little of it."""
    clock = _Clock(math.inf if left_s is None else time.perf_counter() + left_s - MARGIN_S)
    asked = asked_of(service, served, request, left_s)
    explained = [name for name, array in request.inputs.items() if _is_numeric(array)]
    if not explained:
        raise BadRequestError("none of the inputs holds numbers, and only numbers can be put to a baseline")
    for name in explained:
        _must_hold(name, request.inputs[name], asked.baseline)
    parts = {name: _Parts.of(request.inputs[name], name in service.batched, request) for name in explained}
    clock.total = sum(part.total for part in parts.values())
    attributions: dict[str, Array] = {}
    for name, part in parts.items():
        worth = np.zeros(request.inputs[name].shape, np.float32)
        together = _together(service, served, name, asked.output)
        for places in _chunks(part.places(), together):
            values = _occluded(service, served, request, name, places, asked, clock.left_s)
            for place, value in zip(places, values, strict=True):
                worth[place] = asked.value - value
            clock.ran(len(places))
        attributions[name] = worth
    windows = {name: part.window for name, part in parts.items()}
    return Explanation(asked, attributions, windows, 1 + clock.total)


def asked_of(
    service: ModelService,
    served: Served,
    request: InferRequest,
    left_s: float | None,
    known: tuple[str, ...] = _ASKED,
) -> Asked:
    """What a request wants explained, checked against what the model answers to it; ``known`` parameters."""
    if (rows := service.rows_of(request)) != 1:
        raise BadRequestError(f"the inputs have {rows} rows, and one is explained at a time")
    outputs = service.run(served, request._replace(outputs=tuple(served.signature.outputs)), left_s)
    return _asked(request.parameters, outputs, known)


class _Clock:
    """Whether all runs can be made in time, by those that were."""

    def __init__(self, end: float) -> None:
        self._end = end
        self._began = time.perf_counter()
        self._done = 0
        self.total = 0

    @property
    def left_s(self) -> float | None:
        return None if self._end == math.inf else self._end - time.perf_counter() + MARGIN_S

    def ran(self, count: int) -> None:
        """Count runs. Raises ``TooLargeError`` when the others would take too long."""
        self._done += count
        now = time.perf_counter()
        each = (now - self._began) / self._done
        if now + each * (self.total - self._done) > self._end:
            raise TooLargeError(
                f"explaining takes {self.total} runs of the model, and there is time for about "
                f"{max(0, int((self._end - self._began) / each))}: ask for a larger `explain_window`"
            )


def _together(service: ModelService, served: Served, name: str, output: str) -> int:
    """How many copies are run at once: one, where rows in are not rows out."""
    given = served.signature.outputs[output].wire_shape
    if name not in service.batched or not given or given[0] >= 0:
        return 1
    return min(ROWS_AT_ONCE, service.limits.max_batch or ROWS_AT_ONCE)


def _occluded(
    service: ModelService,
    served: Served,
    request: InferRequest,
    name: str,
    places: list[tuple[slice, ...]],
    asked: Asked,
    left_s: float | None,
) -> list[float]:
    """The target's value with each of ``places`` of input ``name`` put to the baseline."""
    count = len(places)
    inputs = {
        each: np.repeat(array, count, axis=0) if each in service.batched else array.copy()
        for each, array in request.inputs.items()
    }
    for row, place in enumerate(places):
        inputs[name][(slice(row, row + 1), *place[1:]) if count > 1 else place] = asked.baseline
    outputs = service.run(served, InferRequest(inputs, (asked.output,)), left_s)
    values = outputs[asked.output].reshape(count, -1)
    return [float(value) for value in values[:, asked.target]]


class _Parts(NamedTuple):
    """How an input is cut: ``axes`` in steps of ``window``, everything along the others together."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    window: int

    @classmethod
    def of(cls, array: Array, batched: bool, request: InferRequest) -> _Parts:
        free = [axis for axis in range(1 if batched else 0, array.ndim) if array.shape[axis] > 1]
        axes = tuple(sorted(sorted(free, key=lambda axis: -array.shape[axis])[:2]))
        window = request.parameters.get("explain_window")
        if window is None:
            window = next(
                size for size in itertools.count(1) if cls(array.shape, axes, size).total <= EXPLAIN_MAX_PARTS
            )
        elif type(window) is not int or window < 1:
            raise BadRequestError(f"`explain_window` is {kind(window)}, and has to be a whole number above 0")
        found = cls(array.shape, axes, window)
        if found.total > EXPLAIN_MAX_PARTS:
            raise TooLargeError(
                f"a window of {window} makes {found.total} parts of an input of shape "
                f"{list(array.shape)}, and at most {EXPLAIN_MAX_PARTS} are explained: ask for a larger "
                "`explain_window`"
            )
        return found

    @property
    def total(self) -> int:
        return math.prod(-(-self.shape[axis] // self.window) for axis in self.axes)

    def places(self) -> Iterator[tuple[slice, ...]]:
        steps = [range(0, self.shape[axis], self.window) for axis in self.axes]
        for corner in itertools.product(*steps):
            place = [slice(None)] * len(self.shape)
            for axis, start in zip(self.axes, corner, strict=True):
                place[axis] = slice(start, start + self.window)
            yield tuple(place)


def _asked(parameters: Mapping[str, Any], outputs: Mapping[str, Array], known: tuple[str, ...]) -> Asked:
    unknown = [name for name in parameters if name.startswith("explain_") and name not in known]
    if unknown:
        raise BadRequestError(f"there is no parameter {quoted(unknown[0])}; there are {', '.join(known)}")
    floats = [name for name, array in outputs.items() if array.dtype.kind == "f" and array.size]
    output = parameters.get("explain_output", floats[0] if floats else None)
    if output not in floats:
        there = ", ".join(quoted(name) for name in floats) or "none"
        raise BadRequestError(
            f"`explain_output` has to name an output of floats, of which there are: {there}"
        )
    values = outputs[output].reshape(-1)
    target = parameters.get("explain_target", int(np.argmax(values)))
    if type(target) is not int or not 0 <= target < values.size:
        raise BadRequestError(
            f"`explain_target` has to be a whole number from 0 to {values.size - 1}: "
            f"so many values has {quoted(output)}"
        )
    baseline = parameters.get("explain_baseline", 0)
    if type(baseline) not in (int, float):
        raise BadRequestError(f"`explain_baseline` is {kind(baseline)}, and has to be a number")
    return Asked(output, target, float(values[target]), baseline)


def _is_numeric(array: Array) -> bool:
    return array.dtype.kind in "fiu" and array.size > 0


def _must_hold(name: str, array: Array, baseline: float) -> None:
    """Refuse a baseline that the input's datatype cannot hold."""
    if array.dtype.kind == "f":
        limits: Any = np.finfo(array.dtype)
        fits = float(limits.min) <= baseline <= float(limits.max)
    else:
        limits = np.iinfo(array.dtype)
        fits = baseline == int(baseline) and int(limits.min) <= baseline <= int(limits.max)
    if not fits:
        raise BadRequestError(f"`explain_baseline` is {baseline}, which input {quoted(name)} cannot hold")


def _chunks(places: Iterator[tuple[slice, ...]], size: int) -> Iterator[list[tuple[slice, ...]]]:
    """A few at first, which tell how long the others take."""
    chunk = list(itertools.islice(places, min(size, 4)))
    while chunk:
        yield chunk
        chunk = list(itertools.islice(places, size))
