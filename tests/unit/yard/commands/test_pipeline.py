"""``yard pipeline``: what is better is released, what is not leaves everything as it is."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.names import ByVersion
from model_store.versions import versions
from releases.ledger import Step
from tests.unit.yard.commands.test_train import recipe as recipe
from training.errors import GateError
from yard import deployment

Yard = Callable[..., Any]


class Controlled:
    """A controller whose ledger is a list of versions."""

    released: list[ByVersion]

    def __init__(self, stage: Any) -> None:
        self.stage = stage

    def history(self, model: str, *, alias: str) -> list[ByVersion]:
        return self.released

    def release(self, ref: ByVersion, *, alias: str, reason: str) -> None:
        assert reason
        self.released.append(ref)


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch, store: Any) -> list[ByVersion]:
    @dataclass
    class Place:
        stage: str

        def store(self) -> Any:
            return store

        def releases(self, say: Any) -> str:
            return self.stage

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr("releases.controller.Controller", Controlled)
    monkeypatch.setattr(
        "releases.ledger.in_force", lambda lines: Step(len(lines), lines[-1].version, "1") if lines else None
    )
    monkeypatch.setattr(Controlled, "released", [], raising=False)
    return Controlled.released


def test_what_is_better_is_released_and_the_same_again_is_not(
    recipe: Path, yard: Yard, released: list[ByVersion], store: Any
) -> None:
    (recipe.parent / "pipeline.toml").write_text('recipe = "recipe.toml"\n')
    done = yard("pipeline", "pipeline.toml", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["version"] == "digits:1"
    assert found["live"] is None
    assert released == [ByVersion("digits", 1)]
    assert Path(found["report"]).is_file()

    again = yard("pipeline", "pipeline.toml")
    assert isinstance(again.exception, GateError)
    assert released == [ByVersion("digits", 1)]
    assert versions(store, "digits") == [1]
