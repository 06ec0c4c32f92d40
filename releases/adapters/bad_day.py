"""A Lambda that has a bad day: the same laws, everything late, and calls that fail.

Wraps another ``releases.ports.Functions``, usually the one in memory. What happens is counted, not rolled, so
that a test can say which call meets it. The embedded cloud has the same days with their sources: see
``docs/architecture/local-cloud.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar

from releases.errors import ServiceError
from releases.ports import LATEST, AliasState, FunctionConfig, Functions, Invocation


class Fault(Enum):
    """How a call fails. All three reach the controller as ``ServiceError``; only the last had its effect."""

    THROTTLED = "TooManyRequestsException"
    FAILED = "ServiceException"
    ANSWER_LOST = "the connection was closed before the answer came"


Answer = TypeVar("Answer")
Faults = Callable[[str], Fault | None]


def no_faults(_: str) -> Fault | None:
    """Let every call be answered."""
    return None


class BadDayFunctions:
    """``releases.ports.Functions`` as AWS is when it is not at its best.

    ``pending_reads`` times a published version is read as Pending, and refuses to run, before it is Active.
    ``lagging_calls`` calls by alias still reach the old version after each move. ``undone_updates`` of the
    next updates of a configuration settle and are not there. ``faults`` is asked at each call of a port.
    """

    def __init__(
        self,
        inner: Functions,
        *,
        pending_reads: int = 0,
        lagging_calls: int = 0,
        undone_updates: int = 0,
        faults: Faults = no_faults,
    ) -> None:
        self._inner = inner
        self._pending_reads = pending_reads
        self._lagging_calls = lagging_calls
        self._undone_updates = undone_updates
        self._faults = faults
        self._pending: dict[tuple[str, str], int] = {}
        self._lagging: dict[tuple[str, str], tuple[str, int]] = {}
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        """Every other call of the port: no delay, but faults."""
        call = getattr(self._inner, name)
        return lambda *args, **kwargs: self._through(name, lambda: call(*args, **kwargs))

    def config(self, function: str, qualifier: str | None = None) -> FunctionConfig | None:
        return self._through("config", lambda: self._config(function, qualifier))

    def configure(
        self, function: str, *, layers: tuple[str, ...], environment: dict[str, str], revision: str
    ) -> None:
        self._through("configure", lambda: self._configure(function, layers, environment, revision))

    def publish(self, function: str, *, description: str, code_sha256: str, revision: str) -> FunctionConfig:
        return self._through("publish", lambda: self._publish(function, description, code_sha256, revision))

    def move_alias(self, function: str, alias: str, *, version: str, note: str, revision: str) -> AliasState:
        return self._through("move_alias", lambda: self._move_alias(function, alias, version, note, revision))

    def invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> Invocation:
        return self._through("invoke", lambda: self._invoke(function, qualifier, event))

    def _through(self, name: str, call: Callable[[], Answer]) -> Answer:
        fault = self._faults(name)
        if fault in (Fault.THROTTLED, Fault.FAILED):
            raise _failed(name, fault)
        answer = call()
        if fault is not None:
            raise _failed(name, fault)
        return answer

    def _config(self, function: str, qualifier: str | None) -> FunctionConfig | None:
        config = self._inner.config(function, qualifier)
        if config is None or qualifier in (None, LATEST):
            return config
        with self._lock:
            left = self._pending.get((function, config.version), 0)
            if not left:
                return config
            self._pending[function, config.version] = left - 1
        return replace(config, state="Pending", state_reason="The function is being created.")

    def _configure(
        self, function: str, layers: tuple[str, ...], environment: dict[str, str], revision: str
    ) -> None:
        before = self._inner.config(function) if self._undone_updates else None
        if before is not None:
            self._undone_updates -= 1
            layers, environment = before.layers, before.environment
        self._inner.configure(function, layers=layers, environment=environment, revision=revision)

    def _publish(self, function: str, description: str, code_sha256: str, revision: str) -> FunctionConfig:
        published = self._inner.publish(
            function, description=description, code_sha256=code_sha256, revision=revision
        )
        with self._lock:
            left = self._pending.setdefault((function, published.version), self._pending_reads)
        return replace(published, state="Pending") if left else published

    def _move_alias(self, function: str, alias: str, version: str, note: str, revision: str) -> AliasState:
        before = self._inner.alias(function, alias)
        moved = self._inner.move_alias(function, alias, version=version, note=note, revision=revision)
        if before is not None and before.version != version:
            with self._lock:
                self._lagging[function, alias] = before.version, self._lagging_calls
        return moved

    def _invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> Invocation:
        with self._lock:
            if self._pending.get((function, qualifier), 0):
                return Invocation({}, qualifier, error="ResourceConflictException: the function is Pending")
            old, left = self._lagging.get((function, qualifier), ("", 0))
            if left:
                self._lagging[function, qualifier] = old, left - 1
        return self._inner.invoke(function, old if left else qualifier, event)


def _failed(name: str, fault: Fault) -> ServiceError:
    return ServiceError(
        f"`{name}` did not succeed: {fault.value}",
        hint="Run the same command again; it is safe to repeat.",
    )
