"""Parity: the exported file answers as the trained model does, within a stated tolerance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.errors import ExportError

Array = NDArray[Any]
Answers = Callable[[Array], Sequence[Array]]
_CLOSE_ENOUGH_TO_A_BOUNDARY = 1e-3


class Answering(Protocol):
    """A file that something runs: every output by name."""

    @property
    def outputs(self) -> tuple[str, ...]: ...

    def __call__(self, inputs: Array) -> dict[str, Array]: ...


class Session:
    """The file as it will be served: onnxruntime, one input, every output by name."""

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
        taken = self._session.get_inputs()
        if len(taken) != 1:
            raise ExportError(
                f"the model takes {len(taken)} inputs, and models of this room take one",
                hint="Use a version that was published from a recipe.",
            )
        self.input: str = taken[0].name
        self.datatype: str = taken[0].type
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, inputs: Array) -> dict[str, Array]:
        given = self._session.run(list(self.outputs), {self.input: inputs})
        return dict(zip(self.outputs, given, strict=True))


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference of any output on ``rows`` rows, and what was allowed (absolute and relative)."""

    rows: int
    difference: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class ForEdge:
    """What is known of a LiteRT file: its bytes, its operators, and how far it is from the ONNX file."""

    bytes: int
    operators: dict[str, int]
    parity: Parity


def check_parity(trained: Answers, path: Path, samples: Mapping[str, Array], *, tolerance: float) -> Parity:
    """Run both on ``samples`` (named sets of rows, of several sizes) and compare every output.

    Floats may differ by ``tolerance`` and ``tolerance`` times their size; labels must be equal, but where two
    classes are equally probable within a thousandth. Raises ``ExportError`` naming the sample.
    """
    return compare(trained, Session(path), samples, tolerance=tolerance)


def compare(
    expected_of: Answers,
    session: Answering,
    samples: Mapping[str, Array],
    *,
    tolerance: float,
    what: str = "the exported file",
) -> Parity:
    """``check_parity`` for a file that runs already; ``what`` it is called when it answers otherwise."""
    rows, worst = 0, 0.0
    for name, inputs in samples.items():
        expected = expected_of(inputs)
        got = session(inputs)
        floats = [array for array in got.values() if array.dtype.kind == "f"]
        unsure = _unsure(floats[-1]) if floats else np.zeros(len(inputs), dtype=bool)
        for output, want in zip(session.outputs, expected, strict=True):
            have = got[output]
            if have.shape != want.shape:
                raise ExportError(
                    f"`{output}` of {what} has the shape {list(have.shape)}, and {list(want.shape)} before"
                )
            if have.dtype.kind == "f":
                difference = np.abs(have.astype(np.float64) - want)
                if not (difference <= tolerance + tolerance * np.abs(want)).all():
                    raise ExportError(
                        f"`{output}` of {what} differs by {difference.max():.3g} on the {name} "
                        f"sample, and {tolerance:g} is allowed",
                        hint="Look at the network's unusual operators, or raise `export.tolerance`.",
                    )
                worst = max(worst, float(difference.max(initial=0.0)))
            elif not np.array_equal(have[~unsure], want[~unsure]):
                raise ExportError(f"`{output}` of {what} is another one on the {name} sample")
        rows += len(inputs)
    return Parity(rows, worst, tolerance)


def samples_of(golden: Array, *, seed: int, whole_numbers_below: int | None = None) -> dict[str, Array]:
    """What parity is looked at on: ``golden`` rows, random rows like them, and one row alone."""
    drawn = np.random.default_rng(seed)
    if whole_numbers_below is not None:
        random: Array = drawn.integers(0, whole_numbers_below, size=(17, *golden.shape[1:])).astype(
            golden.dtype
        )
    else:
        low, high = golden.min(0), golden.max(0)
        random = drawn.uniform(low, high, size=(17, *golden.shape[1:])).astype(golden.dtype)
    return {"golden": golden, "random": random, "single": golden[:1]}


def _unsure(probabilities: Array) -> Any:
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), dtype=bool)
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -1] - ordered[:, -2] < _CLOSE_ENOUGH_TO_A_BOUNDARY
