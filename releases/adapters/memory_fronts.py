"""HTTP APIs in memory: obeys the laws of ``releases.adoption.Fronts``. Ships with the package, for tests."""

from __future__ import annotations

from dataclasses import replace

from releases.adoption import Integration
from releases.errors import NotDeployedError


class MemoryFronts:
    """``releases.adoption.Fronts`` without AWS."""

    def __init__(self, apis: dict[str, list[Integration]]) -> None:
        self._apis = {api: {item.id: item for item in items} for api, items in apis.items()}
        self.allowed: set[tuple[str, str, str]] = set()

    def integrations(self, api: str) -> list[Integration]:
        return list(self._of(api).values())

    def lead(self, api: str, integration: str, *, uri: str, note: str) -> None:
        found = self._of(api)
        if integration not in found:
            raise NotDeployedError(f"integration `{integration}` of the API `{api}` does not exist")
        found[integration] = replace(found[integration], uri=uri, note=note)

    def let_in(self, api: str, function: str, alias: str) -> None:
        self.allowed.add((api, function, alias))

    def _of(self, api: str) -> dict[str, Integration]:
        if api not in self._apis:
            raise NotDeployedError(f"the API `{api}` does not exist")
        return self._apis[api]
