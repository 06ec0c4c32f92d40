"""The two small languages of CloudWatch Logs: conditions of Insights queries, and filter patterns on JSON.

AWS: CloudWatch Logs user guide, "CloudWatch Logs Insights language query syntax" (``filter``: comparisons,
``and``, ``or``, ``not``, ``like`` with a text or a regular expression, ``in``, ``ispresent``; fields of JSON
lines are discovered, nested ones with dots) and "Filter pattern syntax for metric filters" (``IS TRUE``,
``IS FALSE``, ``IS NULL``, ``NOT EXISTS``, comparisons, ``&&`` and ``||``).

What is not understood here raises ``ValueError``, so that nothing is silently let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]
Condition = Callable[[Record], bool]
Value = Callable[[Record], Any]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<regex>/(?:\\.|[^/\\])+/i?)
    | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<operator><=|>=|!=|&&|\|\||[=<>(){},\[\]])
    | (?P<name>[@$\w][\w.$@-]*)
    )""",
    re.VERBOSE,
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
}


def insights_condition(text: str) -> Condition:
    """What follows ``filter``."""
    return _Reader(text).whole()


def json_pattern(text: str) -> Condition:
    """What stands between braces in a filter pattern."""
    return _Reader(text.strip().removeprefix("{").removesuffix("}"), pattern=True).whole()


def discovered(message: str) -> dict[str, Any]:
    """The fields of a log line that is a JSON object, nested ones with dots; none of any other."""
    try:
        document = json.loads(message)
    except ValueError:
        return {}
    found: dict[str, Any] = {}
    if isinstance(document, dict):
        _flatten("", document, found)
    return found


def _flatten(prefix: str, document: Mapping[str, Any], found: dict[str, Any]) -> None:
    for name, value in document.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}{name}.", value, found)
        elif isinstance(value, list):
            _flatten(f"{prefix}{name}.", {str(index): item for index, item in enumerate(value)}, found)
        else:
            found[prefix + name] = value


def compare(operator: str, one: Any, other: Any) -> bool:
    """Numbers as numbers where both sides are any, else as texts; what is missing is like nothing."""
    if one is None or other is None:
        return operator == "!=" and one is not other
    try:
        return _COMPARE[operator](float(one), float(other))
    except (TypeError, ValueError):
        return _COMPARE[operator](str(one), str(other))


class _Reader:
    """Reads one condition, loosest binding first: or, and, not, comparison."""

    def __init__(self, text: str, *, pattern: bool = False) -> None:
        self._pattern = pattern
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"unexpected `{text[at : at + 20]}`")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()

    def whole(self) -> Condition:
        condition = self._either()
        if self._tokens:
            raise ValueError(f"unexpected `{self._tokens[0][1]}`")
        return condition

    def _next(self, *words: str) -> bool:
        if self._tokens and self._tokens[0][1].lower() in words:
            del self._tokens[0]
            return True
        return False

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._next("or", "||"):
            parts.append(self._both())
        return lambda record: any(part(record) for part in parts)

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._next("and", "&&"):
            parts.append(self._single())
        return lambda record: all(part(record) for part in parts)

    def _single(self) -> Condition:
        if self._next("not"):
            inner = self._single()
            return lambda record: not inner(record)
        if self._next("("):
            inside = self._either()
            self._must(")")
            return inside
        if self._next("ispresent"):
            self._must("(")
            field = self._field(self._take())
            self._must(")")
            return lambda record: field(record) is not None
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self._value()
        negated = self._next("not")
        if negated and self._next("exists"):
            return lambda record: left(record) is None
        if self._next("is"):
            wanted = {"true": True, "false": False, "null": None}[self._take()[1].lower()]
            return lambda record: left(record) is wanted
        if self._next("like"):
            return self._like(left, negated=negated)
        if self._next("in"):
            return self._among(left, negated=negated)
        kind, operator = self._take()
        if kind != "operator" or operator not in _COMPARE:
            raise ValueError(f"`{operator}` is no comparison")
        right = self._value()
        return lambda record: compare(operator, left(record), right(record))

    def _like(self, left: Value, *, negated: bool) -> Condition:
        kind, raw = self._take()
        if kind == "regex":
            body, _, flags = raw[1:].rpartition("/")
            sought = re.compile(body.replace("\\/", "/"), re.IGNORECASE if flags == "i" else 0)
        else:
            sought = re.compile(re.escape(_unquoted(raw)))

        def matches(record: Record) -> bool:
            value = left(record)
            return (value is not None and sought.search(str(value)) is not None) != negated

        return matches

    def _among(self, left: Value, *, negated: bool) -> Condition:
        self._must("[")
        values = [self._value()]
        while self._next(","):
            values.append(self._value())
        self._must("]")

        def is_among(record: Record) -> bool:
            return any(compare("=", left(record), value(record)) for value in values) != negated

        return is_among

    def _value(self) -> Value:
        kind, raw = token = self._take()
        if kind == "text":
            text = _unquoted(raw)
            return lambda _: text
        if kind == "number":
            number = float(raw)
            return lambda _: number
        return self._field(token)

    def _field(self, token: tuple[str, str]) -> Value:
        kind, name = token
        if kind != "name":
            raise ValueError(f"`{name}` is no field")
        name = name.removeprefix("$.") if self._pattern else name
        return lambda record: record.get(name)

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise ValueError("the condition ends too early")
        return self._tokens.pop(0)

    def _must(self, word: str) -> None:
        if not self._next(word):
            raise ValueError(f"`{word}` is missing")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in "\"'" else text
