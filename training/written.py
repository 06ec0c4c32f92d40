"""Read one of this room's TOML files into its type, and say everything that is wrong with it at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from training.errors import RecipeError


class Strict(BaseModel):
    """A table of a TOML file: unknown keys are mistakes, and what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Written = TypeVar("Written", bound=BaseModel)


def read(path: Path, kind: type[Written]) -> Written:
    """Return the file at ``path`` as ``kind``, or raise one ``RecipeError`` that lists every mistake."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise RecipeError(
            f"`{path}` cannot be read: {error.strerror}", hint="Give the path of a file that is there."
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"`{path}` is not UTF-8 text", hint="Save it as UTF-8.") from error
    try:
        return kind.model_validate_json(_as_json(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"`{path.name}` is not TOML: {error}", hint="Correct that line.") from error
    except ValidationError as error:
        raise RecipeError(mistakes(path.name, error), hint="Correct these keys, then repeat.") from error


def mistakes(name: str, error: ValidationError) -> str:
    """Every mistake of a table in one sentence, with the key it is about."""
    said = []
    for detail in error.errors():
        key = ".".join(str(step) for step in detail["loc"] if step != "function-after")
        message = detail["msg"].removeprefix("Value error, ")
        said.append(f"`{key}` {message[0].lower()}{message[1:]}" if key else message)
    return f"`{name}`: " + "; ".join(said)


def _as_json(tables: dict[str, object]) -> str:
    import json

    # Strict types from JSON: lists may become tuples there, numbers are not taken for texts.
    return json.dumps(tables, default=str)
