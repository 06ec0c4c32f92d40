"""Which metrics a SEARCH expression finds. Pure: it imports nothing of the cloud.

AWS: CloudWatch user guide, "CloudWatch search expression syntax": ``{Namespace,Dim1,Dim2} terms`` finds
metrics with exactly these dimensions; a term is ``Key="exactly"``, ``Key=part`` or a bare word, side by side
they all must hold, ``OR``, ``NOT`` and parentheses do what they say. Words match whole tokens, whatever their
case; here a token ends where a letter or a digit does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_cloud.extension.metric_math import MathError

_SCHEMA = re.compile(r"\s*\{(?P<schema>[^}]*)\}\s*(?P<terms>.*)", re.DOTALL)
_TERM = re.compile(
    r"\s*(?:(?P<sign>[()])|(?P<key>[\w.:/-]+|\"[^\"]+\")\s*=\s*(?P<value>\"[^\"]*\"|[^\s()]+)"
    r"|(?P<word>\"[^\"]*\"|[^\s()=]+))"
)

Holds = Callable[["Found"], bool]


@dataclass(frozen=True)
class Found:
    """A metric as a search sees it."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]

    def value(self, key: str) -> str:
        known = {"metricname": self.name, "namespace": self.namespace}
        return known.get(key.lower()) or self.dimensions.get(key, "")

    @property
    def words(self) -> str:
        return " ".join((self.namespace, self.name, *self.dimensions, *self.dimensions.values()))


def searching(expression: str) -> Holds:
    """Return what says whether a metric is found. Raises ``MathError``."""
    match = _SCHEMA.fullmatch(expression)
    if match is None:
        raise MathError("a search here begins with `{Namespace,Dimension}`")
    namespace, *dimensions = (part.strip().strip('"') for part in match["schema"].split(","))
    wanted = set(dimensions)
    holds = _Terms(match["terms"]).all() if match["terms"].strip() else _anything

    def found(metric: Found) -> bool:
        return metric.namespace == namespace and set(metric.dimensions) == wanted and holds(metric)

    return found


def _anything(_: Found) -> bool:
    return True


class _Terms:
    def __init__(self, text: str) -> None:
        self._found: list[re.Match[str]] = []
        at = 0
        while text[at:].strip():
            match = _TERM.match(text, at)
            if match is None:
                raise MathError(f"`{text[at:].strip()[:20]}` is no term of a search")
            self._found.append(match)
            at = match.end()

    def all(self) -> Holds:
        holds = self._either()
        if self._found:
            raise MathError(f"unexpected `{self._found[0].group().strip()}` in a search")
        return holds

    def _either(self) -> Holds:
        choices = [self._together()]
        while self._next("OR"):
            choices.append(self._together())
        return lambda metric: any(holds(metric) for holds in choices)

    def _together(self) -> Holds:
        parts = [self._one()]
        while self._found and self._found[0]["sign"] != ")" and self._found[0]["word"] != "OR":
            self._next("AND")
            parts.append(self._one())
        return lambda metric: all(holds(metric) for holds in parts)

    def _next(self, word: str) -> bool:
        if self._found and self._found[0]["word"] == word:
            self._found.pop(0)
            return True
        return False

    def _one(self) -> Holds:
        if not self._found:
            raise MathError("a search ends where a term is expected")
        if self._next("NOT"):
            negated = self._one()
            return lambda metric: not negated(metric)
        term = self._found.pop(0)
        if term["sign"] == ")":
            raise MathError("a parenthesis of a search was never opened")
        if term["sign"] == "(":
            inner = self._either()
            if not self._found or self._found.pop(0)["sign"] != ")":
                raise MathError("a parenthesis of a search is not closed")
            return inner
        if term["key"]:
            return _keyed(term["key"].strip('"'), term["value"])
        word = term["word"]
        return lambda metric: _has(metric.words, word.strip('"'))


def _keyed(key: str, value: str) -> Holds:
    if value.startswith('"'):
        exactly = value.strip('"')
        return lambda metric: metric.value(key) == exactly
    return lambda metric: _has(metric.value(key), value)


def _has(text: str, part: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(part.lower())}(?![a-z0-9])", text.lower()) is not None
