"""The package as others install it: its names, and what it asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import switchyard_client
from switchyard_client import errors

HERE = Path(switchyard_client.__file__).parent


def facts(folder: Path) -> dict[str, object]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text())["project"])


def test_every_public_name_is_there_and_in_order() -> None:
    assert switchyard_client.__all__ == sorted(switchyard_client.__all__)
    assert all(hasattr(switchyard_client, name) for name in switchyard_client.__all__)


def test_every_error_can_be_caught_by_its_name() -> None:
    raised = {name for name in vars(errors) if name.endswith("Error")}
    assert raised <= set(switchyard_client.__all__)


def test_on_its_own_it_asks_for_numpy_and_httpx_and_is_of_the_project_s_version() -> None:
    own, project = facts(HERE), facts(HERE.parent)
    assert own["dependencies"] == ["httpx>=0.27", "numpy>=1.26"]
    assert own["version"] == project["version"]
    assert (HERE / "py.typed").is_file()
