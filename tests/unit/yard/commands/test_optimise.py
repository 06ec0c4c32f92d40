"""``yard optimise``: a table, a picture, and exit code 1 when the gate refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.yard.commands.test_train import recipe as recipe

Yard = Callable[..., Any]


@pytest.fixture
def published(recipe: Path, yard: Yard, store: Any) -> Path:
    assert yard("train", "recipe.toml", "--publish").exit_code == 0
    return recipe


def test_the_table_compares_with_the_parent_and_names_the_version(published: Path, yard: Yard) -> None:
    words = ("optimise", "digits:1", "--recipe", "recipe.toml", "--with", "int8", "--most-loss", "0.2")
    done = yard(*words)
    assert done.exit_code == 0, done.output
    for word in ("digits:1", "parent", "int8", "digits:2", "p95 ms", "accuracy"):
        assert word in done.stdout
    assert (published.parent / "trained" / "digits-1" / "pareto.png").is_file()
    found = json.loads(yard(*words, "--json").stdout)
    assert found["parent"]["how"] == "digits:1"
    assert [way["version"] for way in found["ways"]] == ["digits:2"]


def test_what_loses_too_much_is_not_published(published: Path, yard: Yard) -> None:
    done = yard(
        *("optimise", "digits:1", "--recipe", "recipe.toml", "--with", "prune=0.95", "--most-loss", "0.001")
    )
    assert done.exit_code == 1
    assert "refused" in done.stdout
    assert "the accuracy of prune=0.95 is" in done.stderr
    assert "hint: Choose a milder way" in done.stderr


def test_a_misspelled_way_costs_nothing(published: Path, yard: Yard) -> None:
    done = yard("optimise", "digits:1", "--recipe", "recipe.toml", "--with", "int5")
    assert "`int5` is no way" in str(done.exception)
