"""The facts beside a layer."""

import dataclasses
import json
from pathlib import Path

import pytest

from layers.facts import LayerError, LayerFacts, Package, facts_path, read_facts, write_facts

FACTS = LayerFacts(
    target="x86_64",
    python="3.13",
    machine="x86_64",
    packages={"numpy": Package("2.4.6", "numpy-2.4.6-cp313.whl", "ab" * 32)},
    unzipped_bytes=94_000_000,
    budget_bytes=120_000_000,
    files=950,
    sha256="cd" * 32,
    bytecode=True,
    checked="ran",
    inputs="ef" * 32,
)


def test_facts_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_facts(tmp_path / "local", FACTS)
    assert read_facts(tmp_path / "local") == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["local.json"]


def test_facts_stand_beside_the_layer_even_when_its_name_has_a_dot() -> None:
    assert facts_path(Path("build/layers/v1.2")) == Path("build/layers/v1.2.json")


def test_infra_reads_these_keys_by_itself(tmp_path: Path) -> None:
    write_facts(tmp_path / "local", FACTS)
    data = json.loads((tmp_path / "local.json").read_text())
    assert {"target", "python", "packages", "unzipped_bytes", "sha256", "bytecode"} <= data.keys()
    assert data["packages"]["numpy"] == {
        "version": "2.4.6",
        "wheel": "numpy-2.4.6-cp313.whl",
        "sha256": "ab" * 32,
    }


def test_a_layer_without_facts_was_never_finished(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    with pytest.raises(LayerError, match="no layer is built at") as caught:
        read_facts(tmp_path / "local")
    assert caught.value.hint is not None
    assert "layers.build" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', FACTS.to_json().replace('"files": 950,', "")]
)
def test_facts_that_say_something_else_are_refused(tmp_path: Path, text: str) -> None:
    facts_path(tmp_path / "local").write_text(text)
    with pytest.raises(LayerError, match=r"`.*local\.json` does not hold the facts of a layer"):
        read_facts(tmp_path / "local")


def test_facts_of_equal_layers_are_equal_files() -> None:
    assert FACTS.to_json() == dataclasses.replace(FACTS, packages=dict(FACTS.packages)).to_json()
