"""What a built layer is: the facts file beside its folder, and the error this room raises.

The facts are written last, so a layer without facts is a layer that was not finished.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1


class LayerError(Exception):
    """A layer was refused or could not be built; the one that stood before still stands.

    The room imports no other, so this is not a ``SwitchyardError``; ``hint`` means the same.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel in a layer, named by its bytes."""

    version: str
    wheel: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What was built, from what, and how far it was checked.

    ``inputs`` names everything the layer depends on: a build with equal inputs is not repeated.
    ``sha256`` names the tree (see ``layers.tree``). ``checked`` is ``ran`` when the layer was
    imported and used by an interpreter it is made for, ``inspected`` when only its files were read.
    """

    target: str
    python: str
    machine: str
    packages: dict[str, Package]
    unzipped_bytes: int
    budget_bytes: int
    files: int
    sha256: str
    bytecode: bool
    checked: str
    inputs: str
    schema: int = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> LayerFacts:
        data: dict[str, Any] = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}")
        data["packages"] = {name: Package(**package) for name, package in data["packages"].items()}
        return cls(**data)


def facts_path(layer: Path) -> Path:
    """Where the facts of the layer in folder ``layer`` stand: beside it, never in it."""
    return layer.with_name(layer.name + ".json")


def read_facts(layer: Path) -> LayerFacts:
    """Read the facts of the layer in folder ``layer``.

    Raises ``LayerError`` when the layer was never finished, or its facts are of another version.
    """
    path = facts_path(layer)
    try:
        return LayerFacts.from_json(path.read_text("utf-8"))
    except FileNotFoundError:
        raise LayerError(
            f"no layer is built at `{layer}`",
            hint="Run `python -m layers.build --for local` (or `x86_64`, `arm64`).",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayerError(
            f"`{path}` does not hold the facts of a layer: {error}",
            hint="Build the layer again with `python -m layers.build`.",
        ) from error


def write_facts(layer: Path, facts: LayerFacts) -> None:
    """Put the facts beside the layer, whole or not at all."""
    path = facts_path(layer)
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(facts.to_json(), "utf-8")
    unfinished.replace(path)
