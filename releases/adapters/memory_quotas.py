"""Quotas in memory: obeys the laws of ``releases.quotas.Quotas``."""

from __future__ import annotations

from dataclasses import dataclass, field

from model_store.contract.errors import AccessDeniedError
from releases.quotas import Executions, Storage, Used


@dataclass
class MemoryQuotas:
    """An account as a test wants it. ``denied`` names what may not be read."""

    listed: dict[tuple[str, str], float] = field(default_factory=dict)
    stored: Storage = field(default_factory=lambda: Storage(75 * 1024**3, 0))
    running: Executions = field(default_factory=lambda: Executions(1_000, 0))
    alarm_names: list[str] = field(default_factory=list)
    endpoint_names: list[str] = field(default_factory=list)
    denied: frozenset[str] = frozenset()

    def granted(self, service: str, name: str) -> float | None:
        self._read("quotas")
        wanted = (service, name.casefold())
        return next((v for (s, n), v in self.listed.items() if (s, n.casefold()) == wanted), None)

    def storage(self) -> Storage:
        self._read("lambda")
        return self.stored

    def executions(self) -> Executions:
        self._read("lambda")
        return self.running

    def alarms(self, prefixes: tuple[str, ...]) -> Used:
        self._read("alarms")
        return Used(len(self.alarm_names), sum(name.startswith(prefixes) for name in self.alarm_names))

    def endpoints(self, prefix: str) -> Used:
        self._read("endpoints")
        return Used(len(self.endpoint_names), sum(name.startswith(prefix) for name in self.endpoint_names))

    def _read(self, what: str) -> None:
        if what in self.denied:
            raise AccessDeniedError(f"AWS denies access to the {what}", hint="Ask for it.")
