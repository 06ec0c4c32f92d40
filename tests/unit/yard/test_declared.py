"""``yard.declared``: which models a command speaks of when nobody names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.releases.world import STAGE, World
from yard import declared

CATALOG = """
[stages.{stage}]
auth = "none"
runtime_layer = "build/layers/local"

[models.digits]
target = "lambda"
aliases = ["live", "candidate"]

[models.bert]
target = "lambda"
"""


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(CATALOG.format(stage=STAGE))
    monkeypatch.setenv("SWITCHYARD_CATALOG", str(path))
    return path


def test_the_catalog_says_which_aliases_there_are(world: World, catalog: Path) -> None:
    pairs = [("digits", "live"), ("digits", "candidate"), ("bert", "live")]
    assert declared.aliases(None, world.stage()) == pairs
    assert declared.aliases("digits", world.stage()) == pairs[:2]
    assert declared.models(world.stage()) == ["digits", "bert"]


def test_a_model_that_the_catalog_does_not_have_is_asked_for_by_live(world: World, catalog: Path) -> None:
    assert declared.aliases("other", world.stage()) == [("other", "live")]


def test_a_stage_that_the_catalog_does_not_have_is_read_from_its_store(world: World, catalog: Path) -> None:
    catalog.write_text(CATALOG.format(stage="elsewhere"))
    assert declared.aliases(None, world.stage()) == [("digits", "live")]
