"""Steps by name: what flows where, what the caller gives and gets, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from model_store.contract.errors import InvalidArtifactError
from model_store.contract.pipeline import MAX_STEPS, Chain, Step, read_steps, wire

BEFORE = Step("before.onnx", ("text",), ("tokens", "mask"))
MODEL = Step("model.onnx", ("tokens", "mask", "temperature"), ("scores", "hidden"))
AFTER = Step("after.onnx", ("scores", "text"), ("label",))


class Joining:
    """A session that writes down what it was asked: each output names the inputs it was made of."""

    def __init__(self) -> None:
        self.options: list[object] = []

    def run(self, output_names: list[str], input_feed: dict[str, Any], run_options: Any = None) -> list[str]:
        self.options.append(run_options)
        made_of = "+".join(str(value) for value in input_feed.values())
        return [f"{name}({made_of})" for name in output_names]


def test_steps_are_read_in_their_order() -> None:
    assert read_steps(b'{"steps": ["b.onnx", "deep/a.onnx"]}') == ("b.onnx", "deep/a.onnx")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "`steps` alone"),
        (b'{"steps": ["a.onnx"], "run": "me.py"}', "`steps` alone"),
        (b'{"steps": []}', "not a list of files"),
        (b'{"steps": "a.onnx"}', "not a list of files"),
        (b'{"steps": [7]}', "not a list of files"),
        (b'{"steps": ["a.py"]}', "not an ONNX file of this folder"),
        (b'{"steps": ["../a.onnx"]}', "not an ONNX file of this folder"),
        (b'{"steps": ["/a.onnx"]}', "not an ONNX file of this folder"),
        (b'{"steps": ["./a.onnx"]}', "not an ONNX file of this folder"),
        (b'{"steps": ["a.onnx", "a.onnx"]}', "names a graph twice"),
        (str({"steps": [f"{n}.onnx" for n in range(MAX_STEPS + 1)]}).replace("'", '"').encode(), "9 steps"),
    ],
)
def test_what_is_no_list_of_graphs_is_refused_with_a_way_out(data: bytes, says: str) -> None:
    """Law 12: graphs and nothing else."""
    with pytest.raises(InvalidArtifactError, match=says) as caught:
        read_steps(data)
    assert caught.value.hint


def test_what_nobody_gives_the_caller_gives_and_what_nobody_takes_the_caller_gets() -> None:
    wiring = wire([BEFORE, MODEL, AFTER])
    assert wiring.inputs == {"text": "before.onnx", "temperature": "model.onnx"}
    assert wiring.outputs == {"hidden": "model.onnx", "label": "after.onnx"}


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([BEFORE, Step("b.onnx", ("x",), ("tokens",))], "given by before.onnx and by `b.onnx` again"),
        ([BEFORE, Step("b.onnx", ("x",), ("text",))], "given by the caller and by `b.onnx` again"),
        ([Step("a.onnx", ("x",), ("x",))], "given by the caller"),
    ],
)
def test_a_tensor_is_made_once(steps: list[Step], says: str) -> None:
    with pytest.raises(InvalidArtifactError, match=says):
        wire(steps)


def test_a_chain_runs_as_one_session() -> None:
    sessions = [Joining(), Joining(), Joining()]
    chain = Chain(list(zip([BEFORE, MODEL, AFTER], sessions, strict=True)))
    feed = {"text": "t", "temperature": "2"}
    scores = "scores(tokens(t)+mask(t)+2)"
    assert chain.run(None, feed, "options") == ["hidden(tokens(t)+mask(t)+2)", f"label({scores}+t)"]
    assert chain.run(["label"], feed) == [f"label({scores}+t)"]
    assert [session.options for session in sessions] == [["options", None]] * 3
    assert feed == {"text": "t", "temperature": "2"}
