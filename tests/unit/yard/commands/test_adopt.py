"""``yard adopt`` on fakes: from a function that answers to a version that serves, and its callers with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import Result

from model_store.adapters.memory import MemoryStore
from model_store.contract.deployment import function_name
from model_store.contract.errors import InvalidNameError
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest, versions
from releases.adapters.memory_fronts import MemoryFronts
from releases.adoption import Integration
from releases.errors import UnfitVersionError
from releases.ports import FunctionConfig
from releases.stage import Stage
from tests.unit.releases.world import STAGE, World, respond
from yard import deployment

Yard = Callable[..., Result]
SCORES = "arn:aws:lambda:eu-central-1:123456789012:function:scores:prod"
WORDS = ("adopt", "lambda:scores", "digits")


def doubles(config: FunctionConfig, event: dict[str, Any]) -> Any:
    """Their function and ours: both double."""
    if "rows" in event:
        return {"scores": [2 * value for value in event["rows"]]}
    if event["rawPath"].endswith("/ready"):
        return respond(config, 200, {"ready": True})
    (x,) = json.loads(event["body"])["inputs"]
    return respond(config, 200, {"outputs": [{**x, "name": "y", "data": [2 * value for value in x["data"]]}]})


@dataclass
class Scene:
    """A deployed stage without a version, a function that answers, and the API of its callers."""

    world: World
    fronts: MemoryFronts
    model: Path

    @property
    def led(self) -> str:
        return self.fronts.integrations("theirs")[0].uri


@pytest.fixture
def scene(new_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    world = new_world(doubles)
    world.deploy()
    world.functions.deploy("scores", memory_mb=128, layers=(), environment={}, code_sha256="theirs")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "doubles", [x], [y], [two])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    fronts = MemoryFronts({"theirs": [Integration("a", SCORES, ("POST /v2/models/digits/infer",))]})

    @dataclass
    class Place:
        stage: str
        signed_by: str | None = None

        def store(self) -> MemoryStore:
            return world.store

        def releases(self, say: Callable[[str], None]) -> Stage:
            return world.stage()

        def fronts(self) -> MemoryFronts:
            return fronts

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "caller", lambda: "ana")
    monkeypatch.setattr(deployment, "check_declared", lambda _: None)
    return Scene(world, fronts, tmp_path / "model.onnx")


def test_what_a_function_runs_becomes_version_1_serves_and_its_callers_follow(
    scene: Scene, yard: Yard
) -> None:
    done = yard(*WORDS, str(scene.model), "--api", "theirs", "--json", "--stage", STAGE)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["version"], said["lineage"]["adopted"]) == (1, "lambda:scores:$LATEST")
    assert said["led"] == [{"integration": "a", "routes": ["POST /v2/models/digits/infer"]}]
    assert scene.world.status().version == 1
    assert scene.led == SCORES.replace("scores:prod", f"{function_name(STAGE, 'digits')}:live")
    back = yard(*WORDS, str(scene.model), "--api", "theirs", "--undo", "--stage", STAGE)
    assert (back.exit_code, scene.led) == (0, SCORES)
    assert "1 integrations of theirs lead to where they led before" in back.stderr


def test_it_may_be_stored_and_released_by_two_people(scene: Scene, yard: Yard) -> None:
    words = (*WORDS, str(scene.model), "--plain", "rows=scores", "--publish-only", "--stage", STAGE)
    done = yard(*words)
    assert (done.exit_code, done.stdout.strip()) == (0, "digits:1")
    assert scene.world.status().version == 0
    assert load_manifest(scene.world.store, ByVersion("digits", 1)).golden.outputs[0].name == "y"


def test_other_files_are_refused_and_nothing_is_stored(scene: Scene, yard: Yard) -> None:
    graph = scene.model.read_bytes().replace(b"Mul", b"Add")
    scene.model.write_bytes(graph)
    done = yard(*WORDS, str(scene.model), "--stage", STAGE)
    assert isinstance(done.exception, UnfitVersionError)
    assert versions(scene.world.store, "digits") == []


def test_what_is_misspelled_is_refused_before_anything_is_asked(scene: Scene, yard: Yard) -> None:
    done = yard("adopt", "ecs:scores", "digits", str(scene.model), "--stage", STAGE)
    assert isinstance(done.exception, InvalidNameError)
    undo = yard(*WORDS, str(scene.model), "--undo", "--stage", STAGE)
    assert (undo.exit_code, "name their HTTP API with --api ID" in undo.output) == (2, True)
