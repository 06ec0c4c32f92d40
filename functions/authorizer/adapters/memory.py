"""Documents that stand in memory. Ships for tests, and obeys the same laws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from functions.authorizer.ports import NoDocumentError


@dataclass
class MemoryDocuments:
    """``held`` by address; ``asked`` says what was fetched, in order."""

    held: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def get(self, url: str) -> dict[str, Any]:
        if not url.startswith("https://"):
            raise NoDocumentError(f"`{url}` is no https address")
        self.asked.append(url)
        found = self.held.get(url)
        if not isinstance(found, dict):
            raise NoDocumentError(f"`{url}` answered no JSON object")
        return dict(found)
