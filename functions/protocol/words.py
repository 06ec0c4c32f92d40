"""How messages name what a caller sent. Apart from the arrays, so that who only passes on needs no numpy."""

from __future__ import annotations

_WORDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def kind(value: object) -> str:
    """Name what a JSON value is, for people. Never its content: it may be large, deep or private."""
    return _WORDS.get(type(value), "something else")


def quoted(text: str) -> str:
    """Repeat a caller's word in a message without repeating a novel."""
    return f"`{text}`" if len(text) <= 80 else f"`{text[:80]}…`"
