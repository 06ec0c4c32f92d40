"""Say what a pickle would import, without loading it (law 12).

A pickle is a program for a small machine; the instructions are read one by one with the standard
library's own disassembler and none is carried out. What cannot be followed with certainty counts as
code.
"""

from __future__ import annotations

import pickletools
from pathlib import Path

from model_store.contract.errors import InvalidArtifactError

MAX_PICKLE_BYTES = 64 * 1024 * 1024
"""Longest pickle that is looked at: those of torch hold a module's outline, its weights lie beside it."""

SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dill"})
"""File names that promise a pickle."""

UNKNOWN = "something that cannot be told without running it"

_STRINGS = frozenset(
    {
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    }
)
_STILL = frozenset({"PROTO", "FRAME", "STOP"})


def looks_like_pickle(head: bytes) -> bool:
    """Whether these first bytes of a file are those of a pickle, protocol 2 to 5."""
    # It begins with PROTO and its number; then comes FRAME, GLOBAL, a collection, a memo or a number.
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and head[2:3] in b"\x95c}](\x8c\x8aXKUM)"


def imports(data: bytes, name: str) -> frozenset[str]:
    """Name everything that loading the pickle ``data`` would import, as ``module.name``.

    Raises ``InvalidArtifactError`` when it is not a whole pickle. ``UNKNOWN`` stands for an import whose
    name is put together while the pickle runs.
    """
    found: set[str] = set()
    pushed: list[str | None] = [None, None]
    memo: dict[int, str | None] = {}
    try:
        for operation, argument, _ in pickletools.genops(data):
            code = operation.name
            if code in ("GLOBAL", "INST"):
                found.add(str(argument).replace(" ", "."))
            elif code == "STACK_GLOBAL":
                module, attribute = pushed[-2:]
                found.add(f"{module}.{attribute}" if module and attribute else UNKNOWN)
            elif code.startswith("EXT"):
                found.add(UNKNOWN)
            pushed = _after(code, argument, pushed, memo)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise InvalidArtifactError(
            f"`{name}` is not a whole pickle", hint="Save the model again; this file is damaged."
        ) from error
    return frozenset(found)


def _after(
    code: str, argument: object, pushed: list[str | None], memo: dict[int, str | None]
) -> list[str | None]:
    """The last two things pushed: a string where that is certain, ``None`` for anything else."""
    if code in _STRINGS:
        return [pushed[-1], str(argument)]
    if code == "MEMOIZE":
        memo[len(memo)] = pushed[-1]
        return pushed
    if code in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[int(str(argument))] = pushed[-1]
        return pushed
    if code in ("GET", "BINGET", "LONG_BINGET"):
        return [pushed[-1], memo.get(int(str(argument)))]
    return pushed if code in _STILL else [pushed[-1], None]


def promises_pickle(name: str) -> bool:
    """Whether a file of this name is a pickle by its own account."""
    return Path(name).suffix.lower() in SUFFIXES
