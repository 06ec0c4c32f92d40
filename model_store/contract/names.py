"""How people write models: ``digits@live`` (alias) or ``digits:7`` (version).

Two spellings, two types: code that needs a version cannot be handed an alias.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model_store.contract.errors import InvalidNameError

MAX_NAME_LENGTH = 40
"""Longest model name. It goes into Lambda function names (64 characters in all) with stage and prefix."""

MAX_VERSION = 999_999_999

_WORD = r"[a-z](?:[a-z0-9]|-(?!-)){0,39}(?<!-)"
_NAME = re.compile(_WORD)
_BY_ALIAS = re.compile(rf"(?P<model>{_WORD})@(?P<alias>{_WORD})")
_BY_VERSION = re.compile(rf"(?P<model>{_WORD}):(?P<version>[1-9][0-9]{{0,8}})")
_LOOKS_LIKE_A_VERSION = re.compile(r"v?[0-9]+")
_RESERVED_ALIASES = frozenset({"latest", "unreleased"})


@dataclass(frozen=True, slots=True)
class ByVersion:
    """One immutable version of a model, ``digits:7``."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True)
class ByAlias:
    """Whatever version an alias means at the moment, ``digits@live``."""

    model: str
    alias: str

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}"


ModelRef = ByVersion | ByAlias


def parse_ref(text: str) -> ModelRef:
    """Read a reference as a person writes it.

    >>> parse_ref("digits:7")
    ByVersion(model='digits', version=7)
    >>> parse_ref("digits@live")
    ByAlias(model='digits', alias='live')
    """
    if found := _BY_VERSION.fullmatch(text):
        return ByVersion(found["model"], int(found["version"]))
    if found := _BY_ALIAS.fullmatch(text):
        return ByAlias(found["model"], check_alias(found["alias"]))
    raise InvalidNameError(
        f"`{text}` is not a model reference",
        hint="Write `name:version` (digits:7) or `name@alias` (digits@live).",
    )


def parse_version_ref(text: str) -> ByVersion:
    """Read ``name:version``; an alias or a bare name is refused with what to type instead."""
    if found := _BY_VERSION.fullmatch(text):
        return ByVersion(found["model"], int(found["version"]))
    raise InvalidNameError(
        f"`{text}` does not name one version",
        hint="Write `name:version`, for example `digits:7`.",
    )


def check_name(name: str) -> str:
    """Return ``name`` if it can name a model, or say what a name looks like."""
    if _NAME.fullmatch(name):
        return name
    raise InvalidNameError(
        f"`{name}` is not a model name",
        hint=(
            "Use 1 to 40 lower-case letters, digits and single hyphens, starting with a letter and "
            "not ending with a hyphen, for example `digits` or `fraud-eu`."
        ),
    )


def check_alias(alias: str) -> str:
    """Return ``alias`` if it can name an alias; words that read like versions are refused."""
    if alias in _RESERVED_ALIASES or _LOOKS_LIKE_A_VERSION.fullmatch(alias):
        raise InvalidNameError(
            f"`{alias}` cannot be an alias: it reads like a version",
            hint="Choose a word that says who is served, for example `live` or `candidate`.",
        )
    if _NAME.fullmatch(alias):
        return alias
    raise InvalidNameError(
        f"`{alias}` is not an alias name",
        hint="Use lower-case letters, digits and single hyphens, for example `live`.",
    )
