"""The reference adapter: functions are Python callables. Ships with the package for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from functions.front.ports import NoAnswerError

Function = Callable[[dict[str, Any]], dict[str, Any]]


class MemoryInvoker:
    """Invokes what it was given under ``(function, alias)``; an exception in there is a failed function."""

    def __init__(self, functions: Mapping[tuple[str, str], Function]) -> None:
        self._functions = dict(functions)

    def invoke(self, function: str, alias: str, event: dict[str, Any]) -> dict[str, Any]:
        try:
            called = self._functions[function, alias]
        except KeyError:
            raise NoAnswerError("it is not deployed") from None
        try:
            return called(event)
        except Exception as error:
            raise NoAnswerError(f"it failed with {type(error).__name__}") from error
