"""``yard pipeline``: what is better is released, what is not leaves everything as it is."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.names import ByVersion
from model_store.versions import versions
from releases import candidates, watch
from releases.watch import DONE, TAKEN_BACK, Look
from tests.unit.yard.commands.test_train import RECIPE
from tests.unit.yard.commands.test_train import recipe as recipe
from training.errors import GateError
from yard import deployment

Yard = Callable[..., Any]


@dataclass
class Alias:
    """What goes live at once, or is on its way there by a shift whose end is told."""

    live: list[ByVersion] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    ends: str = DONE

    def go_live(self, stage: Any, ref: ByVersion, **asked: Any) -> str | None:
        self.asked.append(asked)
        if not self.live:
            self.live.append(ref)
            return None
        if self.ends == DONE:
            self.live.append(ref)
        return "live-1"

    def follow(self, stage: Any, model: str, **_: Any) -> Iterator[Look]:
        yield Look(model, "live", 0.0, self.ends, None, None, 1, 1, 0.0, 1.0, 1, "9 of 9 invocations failed")


@pytest.fixture
def alias(monkeypatch: pytest.MonkeyPatch, store: Any) -> Alias:
    made = Alias()

    @dataclass
    class Place:
        stage: str
        signed_by: str | None = None

        def store(self) -> Any:
            return store

        def releases(self, say: Any) -> str:
            return self.stage

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(candidates, "go_live", made.go_live)
    monkeypatch.setattr(candidates, "live_version", lambda *_, **__: made.live[-1] if made.live else None)
    monkeypatch.setattr(watch, "follow", made.follow)
    return made


def train_longer(recipe: Path, epochs: int) -> None:
    recipe.write_text(RECIPE.replace("epochs = 2", f"epochs = {epochs}"))


def test_what_is_better_goes_live_by_a_shift_and_the_same_again_does_not(
    recipe: Path, yard: Yard, alias: Alias, store: Any
) -> None:
    (recipe.parent / "pipeline.toml").write_text(
        'recipe = "recipe.toml"\nshift = { steps = [10, 50], bake_s = 60 }\n'
    )
    done = yard("pipeline", "pipeline.toml", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["version"], found["live"], found["phase"], found["shift"]) == (
        "digits:1",
        None,
        "done",
        None,
    )
    assert Path(found["report"]).is_file()

    train_longer(recipe, 12)
    done = yard("pipeline", "pipeline.toml", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["live"]["version"], found["phase"], found["shift"]) == ("digits:1", "done", "live-1")
    assert alias.asked[-1]["against"] == ByVersion("digits", 1)
    assert alias.asked[-1]["steps"] == candidates.Steps((10.0, 50.0), 60.0, 1800.0, 30)
    assert alias.asked[-1]["reason"] == "pipeline pipeline.toml: better than digits:1 on the same test data"

    again = yard("pipeline", "pipeline.toml")
    assert isinstance(again.exception, GateError)
    assert alias.live == [ByVersion("digits", 1), ByVersion("digits", 2)]
    assert versions(store, "digits") == [1, 2]


def test_a_shift_that_was_taken_back_is_a_failure(recipe: Path, yard: Yard, alias: Alias) -> None:
    (recipe.parent / "pipeline.toml").write_text('recipe = "recipe.toml"\n')
    assert yard("pipeline", "pipeline.toml").exit_code == 0
    alias.ends = TAKEN_BACK
    train_longer(recipe, 12)
    done = yard("pipeline", "pipeline.toml", "--json")
    assert done.exit_code == 1
    assert (json.loads(done.stdout)["phase"], json.loads(done.stdout)["released"]) == ("taken back", False)
    assert "9 of 9 invocations failed" in done.stderr
    assert alias.live == [ByVersion("digits", 1)]
