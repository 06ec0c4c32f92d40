"""Metric math: what an expression over time series means. Pure: it imports nothing of the cloud.

AWS: CloudWatch user guide, "Using math expressions with CloudWatch metrics": operators and functions, what a
function makes of a scalar, a series and a list of series; a moment that one of two series lacks is a moment
that their result lacks; a division by zero gives no datapoint. Here are the functions that dashboards and
alarms of this project use, and their nearest neighbours; any other is refused by name.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol


class MathError(ValueError):
    """An expression that cannot be read, or that asks for what is not known here."""


@dataclass(frozen=True)
class Series:
    """Values by the moment at which their period begins. ``properties`` name what it is, for its label."""

    points: Mapping[float, float]
    label: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


Value = float | str | Series | list[Series]


class Sources(Protocol):
    """What an expression is about: other queries by their ids, and whatever a cloud has to look up."""

    @property
    def moments(self) -> Sequence[float]:
        """When every period begins that is looked at, with data or without."""

    @property
    def period_s(self) -> float: ...

    def named(self, name: str) -> Value:
        """The query with this id. Raises ``MathError`` if there is none."""

    def metrics(self, within: str) -> list[Series]:
        """Every query that is a metric and whose id contains ``within``."""

    def search(self, expression: str, statistic: str, period_s: float) -> list[Series]: ...

    def band(self, name: str, width: float) -> list[Series]:
        """The lower and the upper edge of what is expected of a metric; nothing while that is not known."""


def evaluate(expression: str, sources: Sources) -> Value:
    """Return what ``expression`` gives. Raises ``MathError``."""
    parser = _Parser(_tokens(expression), sources)
    value = parser.either()
    if parser.word is not None:
        raise MathError(f"unexpected `{parser.word}`")
    return value


def every(value: Value) -> list[Series]:
    """A result as a list of series; a bare number is none."""
    if isinstance(value, Series):
        return [value]
    if isinstance(value, list):
        return value
    raise MathError("the result is not a time series")


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],]))"
)
_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "<": lambda a, b: float(a < b),
    ">": lambda a, b: float(a > b),
    "<=": lambda a, b: float(a <= b),
    ">=": lambda a, b: float(a >= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "AND": lambda a, b: float(bool(a) and bool(b)),
    "OR": lambda a, b: float(bool(a) or bool(b)),
}
_ALSO = {"&&": "AND", "||": "OR"}


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise MathError(f"`{text[at:].strip()[:20]}` cannot be read")
        kind = str(match.lastgroup)
        word = match[kind]
        found.append((kind, _ALSO.get(word, word)))
        at = match.end()
    return found


class _Parser:
    """Reads and evaluates in one go: the rules of precedence, one method each, loosest first."""

    def __init__(self, tokens: list[tuple[str, str]], sources: Sources) -> None:
        self._tokens = tokens
        self._at = 0
        self._sources = sources

    @property
    def word(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    @property
    def _kind(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    def _take(self, expected: str | None = None) -> str:
        word = self.word
        if word is None or (expected is not None and word != expected):
            raise MathError(f"`{expected or 'an operand'}` is missing")
        self._at += 1
        return word

    def either(self) -> Value:
        return self._chain(self._both, ("OR",))

    def _both(self) -> Value:
        return self._chain(self._compared, ("AND",))

    def _compared(self) -> Value:
        return self._chain(self._sum, ("<", ">", "<=", ">=", "==", "!="))

    def _sum(self) -> Value:
        return self._chain(self._product, ("+", "-"))

    def _product(self) -> Value:
        return self._chain(self._power, ("*", "/"))

    def _power(self) -> Value:
        return self._chain(self._signed, ("^",))

    def _chain(self, operand: Callable[[], Value], signs: tuple[str, ...]) -> Value:
        left = operand()
        while self.word in signs and self._kind != "text":
            sign = self._take()
            left = _combine(_SIGNS[sign], left, operand())
        return left

    def _signed(self) -> Value:
        if self.word == "-":
            self._take()
            return _combine(operator.mul, -1.0, self._signed())
        return self._operand()

    def _operand(self) -> Value:
        kind = self._kind
        word = self._take()
        if kind == "number":
            return float(word)
        if kind == "text":
            return word[1:-1]
        if word == "(":
            value = self.either()
            self._take(")")
            return value
        if word == "[":
            return [one for value in self._arguments("]") for one in every(value)]
        if kind != "word":
            raise MathError(f"unexpected `{word}`")
        if self.word == "(":
            self._take()
            return self._call(word)
        if word.isupper():  # ids begin with a small letter: this is a word such as REPEAT
            return word
        return self._sources.named(word)

    def _arguments(self, end: str) -> list[Value]:
        found: list[Value] = []
        while self.word != end:
            found.append(self.either())
            if self.word != end:
                self._take(",")
        self._take(end)
        return found

    def _call(self, name: str) -> Value:
        if name == "ANOMALY_DETECTION_BAND":
            return self._band()
        arguments = self._arguments(")")
        if name == "METRICS":
            return self._sources.metrics(str(arguments[0]) if arguments else "")
        if name == "SEARCH":
            expression, statistic, *period = arguments
            seconds = float(_number(period[0])) if period else self._sources.period_s
            return self._sources.search(str(expression), str(statistic), seconds)
        if name == "FILL":
            return _filled(arguments[0], arguments[1], self._sources.moments)
        if name == "PERIOD":
            return self._sources.period_s
        function = _FUNCTIONS.get(name)
        if function is None:
            raise MathError(f"the function {name} is not known here")
        return function(*arguments)

    def _band(self) -> Value:
        name = self._take()
        width = 2.0
        if self.word == ",":
            self._take()
            width = _number(self.either())
        self._take(")")
        return list(self._sources.band(name, width))


def _number(value: Value) -> float:
    if isinstance(value, float):
        return value
    raise MathError("a number is expected")


def _combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        raise MathError("a text is no operand")
    if isinstance(left, list):
        if isinstance(right, list):
            raise MathError("two lists of time series are no operands of one operator")
        return [_each(function, one, right) for one in left]
    if isinstance(right, list):
        return [_each(function, left, one) for one in right]
    if isinstance(left, float) and isinstance(right, float):
        return _tried(function, left, right)
    return _each(function, left, right)


def _each(function: Callable[[float, float], float], left: float | Series, right: float | Series) -> Series:
    known = [set(one.points) for one in (left, right) if isinstance(one, Series)]
    moments = sorted(set.intersection(*known))
    values = {at: _tried(function, _at(left, at), _at(right, at)) for at in moments}
    named = left if isinstance(left, Series) else right
    assert isinstance(named, Series)
    return replace(named, points={at: value for at, value in values.items() if math.isfinite(value)})


def _at(value: float | Series, moment: float) -> float:
    return value.points[moment] if isinstance(value, Series) else value


def _tried(function: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        return float(function(left, right))
    except (ZeroDivisionError, OverflowError):
        return math.nan


def _over(function: Callable[[Sequence[float]], float]) -> Callable[..., Value]:
    """Of one series a number; of several one series, moment by moment."""

    def call(value: Value) -> Value:
        if isinstance(value, Series):
            return float(function(list(value.points.values()))) if value.points else math.nan
        series = every(value)
        moments = sorted({at for one in series for at in one.points})
        return Series(
            {at: float(function([one.points[at] for one in series if at in one.points])) for at in moments}
        )

    return call


def _mapped(function: Callable[[float], float]) -> Callable[..., Value]:
    def call(value: Value) -> Value:
        if isinstance(value, float):
            return float(function(value))
        made = [
            replace(one, points={at: float(function(item)) for at, item in one.points.items()})
            for one in every(value)
        ]
        return made if isinstance(value, list) else made[0]

    return call


def _if(condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    choices = [one for one in (condition, then, otherwise) if isinstance(one, Series)]
    if any(isinstance(one, list | str) for one in (condition, then, otherwise)):
        raise MathError("IF takes numbers and single time series")
    if not choices:
        return then if condition else _missing(otherwise)
    moments = condition.points if isinstance(condition, Series) else {at for c in choices for at in c.points}
    points: dict[float, float] = {}
    for at in sorted(moments):
        holds = condition.points[at] if isinstance(condition, Series) else condition
        chosen = then if holds else otherwise
        if isinstance(chosen, Series):
            if at in chosen.points:
                points[at] = chosen.points[at]
        elif isinstance(chosen, float):
            points[at] = chosen
    return replace(choices[0], points=points)


def _missing(value: Value | None) -> Value:
    return math.nan if value is None else value


def _filled(value: Value, by: Value, moments: Sequence[float]) -> Value:
    series = every(value)
    made = [replace(one, points=_without_holes(one.points, by, moments)) for one in series]
    return made if isinstance(value, list) else made[0]


def _without_holes(points: Mapping[float, float], by: Value, moments: Sequence[float]) -> dict[float, float]:
    found: dict[float, float] = {}
    last: float | None = None
    for at in moments:
        if at in points:
            last = found[at] = points[at]
        elif by == "REPEAT":
            if last is not None:
                found[at] = last
        else:
            found[at] = _number(by)
    return found


def _running(series: Value) -> Value:
    (one,) = every(series)
    total, points = 0.0, {}
    for at in sorted(one.points):
        total += one.points[at]
        points[at] = total
    return replace(one, points=points)


def _differences(series: Value, *, per_second: bool = False) -> Value:
    (one,) = every(series)
    return replace(
        one,
        points={
            then: (one.points[then] - one.points[before]) / (then - before if per_second else 1.0)
            for before, then in pairwise(sorted(one.points))
        },
    )


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "SUM": _over(math.fsum),
    "AVG": _over(statistics.fmean),
    "MIN": _over(min),
    "MAX": _over(max),
    "STDDEV": _over(statistics.pstdev),
    "ABS": _mapped(abs),
    "CEIL": _mapped(math.ceil),
    "FLOOR": _mapped(math.floor),
    "IF": _if,
    "RUNNING_SUM": _running,
    "DIFF": _differences,
    "RATE": lambda series: _differences(series, per_second=True),
    "REMOVE_EMPTY": lambda series: [one for one in every(series) if one.points],
}
