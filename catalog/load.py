"""Read ``models.toml``, and say everything that is wrong with it at once.

Reading changes nothing, so it may be repeated at will.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from catalog.alarms import Alarms
from catalog.capture import Capture
from catalog.messages import Messages
from catalog.schema import TARGETS, Catalog, Jwt, Model, Overrides, Stage
from catalog.training import Pipeline, Training
from model_store.contract.errors import CatalogError

_TOP = ("stages", "models")
_PLACE = re.compile(r" \(at (?P<place>.+)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TYPE_WORDS = {
    "int_type": "a whole number",
    "bool_type": "`true` or `false`",
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
Mistake = tuple[str, str]
"""A fact and its remedy."""


def load_catalog(path: Path) -> Catalog:
    """Return the catalog at ``path``, or raise one ``CatalogError`` that lists every mistake in it."""
    written = _read(path)
    mistakes = _unknown_top(written)
    mistakes += _impossible_targets(written)
    mistakes += _unknown_override_stages(written)
    mistakes += _written_names(written)
    known: dict[str, Any] = {key: _named(written[key]) for key in _TOP if key in written}
    try:
        catalog = Catalog.model_validate(known)
    except ValidationError as error:
        mistakes += [_mistake(detail) for detail in error.errors() if not _is_said_already(detail)]
    else:
        if not catalog.stages:
            mistakes.append(("`stages` is empty", "Declare at least one, for example `[stages.prod]`."))
        if not mistakes:
            return catalog
    raise _together(path, mistakes)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise CatalogError(
            f"there is no catalog at `{path}`",
            hint="Give its path, or run from the folder that holds `models.toml`.",
        ) from None
    except OSError as error:
        raise CatalogError(
            f"the catalog `{path}` cannot be read: {error.strerror}",
            hint="Give the path of a file that you may read.",
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CatalogError(
            f"`{path.name}` is not UTF-8 text (line {line})", hint="Save the file as UTF-8."
        ) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = _PLACE.sub("", str(error))
        place = _PLACE.search(str(error))
        where = place["place"] if place else "somewhere"
        raise CatalogError(
            f"`{path.name}` is not TOML, {where}: {what[:1].lower()}{what[1:]}",
            hint="Correct that line; TOML writes text in quotes, tables as `[models.digits]`.",
        ) from error


def _named(tables: Any) -> Any:
    """Tell every table its own name; anything that is not a table stays for pydantic to refuse."""
    if not isinstance(tables, dict):
        return tables
    return {
        name: {**table, "name": name} if isinstance(table, dict) else table for name, table in tables.items()
    }


def _written_names(written: dict[str, Any]) -> list[Mistake]:
    """A table is named by its heading: a key ``name`` inside it would be a second truth."""
    return [
        (
            f"`{_dotted((key, name, 'name'))}` is an unknown key",
            f"The heading names it: `[{_dotted((key, name))}]`.",
        )
        for key in _TOP
        for name, table in _tables(written, key).items()
        if "name" in table
    ]


def _tables(written: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    tables = written.get(key)
    if not isinstance(tables, dict):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _unknown_top(written: dict[str, Any]) -> list[Mistake]:
    return [_unknown_key((key,), _TOP) for key in written if key not in _TOP]


def _impossible_targets(written: dict[str, Any]) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for name, table in _tables(written, "models").items():
        target = table.get("target")
        key = _dotted(("models", name, "target"))
        if isinstance(target, str) and target not in TARGETS:
            guess = _did_you_mean(target, TARGETS)
            mistakes.append((f"`{key}` is `{target}`, an unknown target", f"{guess}{_target_choice()}"))
    return mistakes


def _target_choice() -> str:
    return f"Write {' or '.join(f'`{target}`' for target in TARGETS)}."


def _unknown_override_stages(written: dict[str, Any]) -> list[Mistake]:
    """An override for a stage that does not exist would silently do nothing."""
    stages = tuple(_tables(written, "stages"))
    mistakes: list[Mistake] = []
    for name, table in _tables(written, "models").items():
        for stage in _tables(table, "stages"):
            if stage not in stages:
                choice = " or ".join(f"`{known}`" for known in stages) or "a stage that is declared"
                key = _dotted(("models", name, "stages", stage))
                remedy = f"{_did_you_mean(stage, stages)}Write {choice}."
                mistakes.append((f"`{key}` is about a stage that is not declared", remedy))
    return mistakes


def _is_said_already(detail: ErrorDetails) -> bool:
    """Targets are explained by ``_impossible_targets``, unless one is missing or not even text."""
    return detail["loc"][-1] == "target" and isinstance(detail["input"], str)


def _mistake(detail: ErrorDetails) -> Mistake:
    loc, kind, found = detail["loc"], detail["type"], detail["input"]
    key = _dotted(loc)
    if kind == "mistake":
        context = detail["ctx"]
        if loc[-1] == "name":  # it comes from the table's heading
            key = _dotted(loc[:-1])
        return f"`{key}` {context['fact']}", str(context["hint"])
    if kind == "extra_forbidden":
        return _unknown_key(loc, _keys_at(loc))
    if kind == "missing":
        return f"`{key}` is missing", _how_to_add(loc)
    if kind == "literal_error":
        return (
            f"`{key}` is {_shown(found)}, an unknown word",
            f"Write {detail['ctx']['expected'].replace(chr(39), '`')}.",
        )
    expected = _TYPE_WORDS.get(kind, "something else")
    return f"`{key}` is {_shown(found)}, not {expected}", f"Write {expected}."


def _how_to_add(loc: tuple[int | str, ...]) -> str:
    examples = {
        "target": '`target = "lambda"`',
        "runtime_layer": '`runtime_layer = "build/layers/x86_64"`',
        "stages": "a stage, for example `[stages.prod]`",
    }
    return f"Add {examples.get(str(loc[-1]), f'`{loc[-1]}`')}."


def _keys_at(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    table: type[BaseModel] = Overrides if len(loc) > 4 else Model
    if "capture" in loc[2:-1]:
        table = Capture
    elif "alarms" in loc[2:-1]:
        table = Alarms
    elif "pipeline" in loc[2:-1]:
        table = Pipeline
    elif loc[0] == "stages":
        below: dict[int | str, type[BaseModel]] = {"jwt": Jwt, "messages": Messages, "training": Training}
        table = below.get(loc[2], Stage) if len(loc) > 3 else Stage
    return tuple(field for field in table.model_fields if field != "name")


def _unknown_key(loc: tuple[int | str, ...], known: tuple[str, ...]) -> Mistake:
    guess = _did_you_mean(str(loc[-1]), known)
    return f"`{_dotted(loc)}` is an unknown key", f"{guess}Known keys: {', '.join(known)}."


def _did_you_mean(word: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`? " if close else ""


def _dotted(loc: tuple[int | str, ...]) -> str:
    """The key as the file writes it; a name that TOML would quote is quoted."""
    key = ""
    for part in loc:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += ("." if key else "") + (part if _BARE.fullmatch(part) else f'"{part}"')
    return key


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value}`"


def _together(path: Path, mistakes: list[Mistake]) -> CatalogError:
    if len(mistakes) == 1:
        fact, hint = mistakes[0]
        return CatalogError(f"`{path.name}`: {fact}", hint=hint)
    lines = [f"`{path.name}` has {len(mistakes)} mistakes"]
    lines += [f"  {fact}\n    {hint}" for fact, hint in mistakes]
    return CatalogError("\n".join(lines), hint=f"Correct all of them in `{path.name}`; nothing was changed.")
