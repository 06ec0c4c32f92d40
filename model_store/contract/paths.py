"""Paths inside an artifact: relative, normalised, and names on every machine that they are unpacked on."""

from __future__ import annotations

from model_store.contract.errors import InvalidArtifactError

MAX_PATH_BYTES = 512
MAX_NAME_BYTES = 255
"""Longest name in a folder. Source: Linux ``limits.h``, ``NAME_MAX``."""


def check_artifact_path(text: str) -> str:
    """Return ``text`` if it is a path inside an artifact, or refuse it and say why.

    A path that leaves the artifact's folder, is absolute, or holds what a name may not hold (control
    characters, a backslash, bytes that are not UTF-8) is refused.
    """
    parts = text.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise InvalidArtifactError(
            f"`{shown(text)}` is not a path inside an artifact",
            hint="Paths are relative, normalised and stay in the artifact's own folder.",
        )
    if "\\" in text or not text.isprintable():
        raise InvalidArtifactError(
            f"`{shown(text)}` has a character that a path may not have",
            hint="Rename the file: use letters, digits, spaces and common punctuation.",
        )
    if len(text.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise InvalidArtifactError(
            f"`{shown(text)}` is longer than a path may be",
            hint=f"Keep names to {MAX_NAME_BYTES} and paths to {MAX_PATH_BYTES} bytes.",
        )
    return text


def shown(text: str) -> str:
    """``text`` as a message may print it: escaped, and not endless."""
    safe = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return f"{safe[:80]}…" if len(safe) > 80 else safe
