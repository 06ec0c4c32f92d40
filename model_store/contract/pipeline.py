"""Steps around a model: ONNX graphs that run one after the other as if they were one.

An artifact whose entry is ``pipeline.json`` names its graphs in the order they run, for example text to
numbers, the model, numbers to labels. Tensors flow by name: whatever an earlier step gave, or the caller,
a later step may take. What nobody gives is what the caller has to; what no step takes is what the caller
gets. Graphs and nothing else, but for files of pictures, which no graph can read
(``model_store.contract.pictures``): no code of an artifact is ever executed (law 12).

The file is part of the artifact like any other, so the digest that names a version covers the order of its
steps too, and the manifest needs no word for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from model_store.contract.environment import PIPELINE_FILE as PIPELINE_FILE
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.pictures import PictureStep

MAX_STEPS = 8
"""More is a program; every step is a session to start."""

_EXAMPLE = 'Write `{"steps": ["before.onnx", "model.onnx", "after.onnx"]}`.'


class Session(Protocol):
    """What runs one graph: onnxruntime's ``InferenceSession``, or a ``Chain`` of them."""

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the file of its graph, and the names of what it takes and gives."""

    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, picture: PictureStep) -> Step:
        """A picture step as a step among graphs."""
        return cls(picture.path, (picture.input,), (picture.output,))


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the caller gives (by step, the first that takes it) and gets (by step, the one that gives it)."""

    inputs: dict[str, str]
    outputs: dict[str, str]


def read_steps(data: bytes) -> tuple[str | PictureStep, ...]:
    """What ``pipeline.json`` names, in order: pictures first, if any, then graphs by their files.

    Raises ``InvalidArtifactError`` for anything but a list of those, the files inside the artifact.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidArtifactError(f"`{PIPELINE_FILE}` is not JSON: {error}", hint=_EXAMPLE) from None
    if not isinstance(document, dict) or set(document) != {"steps"}:
        raise InvalidArtifactError(f"`{PIPELINE_FILE}` is not an object with `steps` alone", hint=_EXAMPLE)
    steps = document["steps"]
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str | dict) for step in steps):
        raise InvalidArtifactError(f"`steps` of `{PIPELINE_FILE}` is not a list of files", hint=_EXAMPLE)
    if len(steps) > MAX_STEPS:
        raise InvalidArtifactError(
            f"`{PIPELINE_FILE}` has {len(steps)} steps, more than {MAX_STEPS}",
            hint="Merge some of the graphs.",
        )
    graphs = [step for step in steps if isinstance(step, str)]
    pictures = [PictureStep.from_json(step) for step in steps if not isinstance(step, str)]
    if not graphs or steps[len(pictures) :] != graphs:
        raise InvalidArtifactError(
            f"`{PIPELINE_FILE}` reads pictures after a graph, or names no graph",
            hint="Put the picture steps first and the graphs after them.",
        )
    for step in graphs:
        path = PurePosixPath(step)
        if path.suffix != ".onnx" or path.is_absolute() or ".." in path.parts or str(path) != step:
            raise InvalidArtifactError(
                f"`{step}` in `{PIPELINE_FILE}` is not an ONNX file of this folder", hint=_EXAMPLE
            )
    if len(set(graphs)) != len(graphs):
        raise InvalidArtifactError(
            f"`{PIPELINE_FILE}` names a graph twice, and a tensor is made once", hint="Name each graph once."
        )
    return (*pictures, *graphs)


def wire(steps: Sequence[Step]) -> Wiring:
    """Follow every tensor by its name, or say which one is made twice."""
    inputs: dict[str, str] = {}
    given: dict[str, str] = {}
    taken: set[str] = set()
    for step in steps:
        for name in step.inputs:
            if name not in given:
                inputs.setdefault(name, step.path)
            taken.add(name)
        for name in step.outputs:
            if name in given or name in inputs:
                first = given.get(name) or "the caller"
                raise InvalidArtifactError(
                    f"tensor `{name}` is given by {first} and by `{step.path}` again",
                    hint="Rename it in one of the graphs.",
                )
            given[name] = step.path
    outputs = {name: path for name, path in given.items() if name not in taken}
    return Wiring(inputs, outputs)


class Chain:
    """Runs the steps of a pipeline. Its ``run`` is that of a single session."""

    def __init__(self, steps: Sequence[tuple[Step, Session]]) -> None:
        self._steps = tuple(steps)
        self._outputs = tuple(wire([step for step, _ in steps]).outputs)

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Any]:
        """Every wanted output, all if ``None``. Raises what the sessions raise; keeps nothing."""
        values = dict(input_feed)
        for step, session in self._steps:
            feed = {name: values[name] for name in step.inputs}
            values.update(zip(step.outputs, session.run(list(step.outputs), feed, run_options), strict=True))
        return [values[name] for name in (self._outputs if output_names is None else output_names)]
