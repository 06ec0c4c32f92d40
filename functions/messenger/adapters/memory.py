"""The reference adapter: remembers what went out. Ships with the package for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.messenger.ports import NotDeliveredError


class MemoryWaysOut:
    """``functions.messenger.ports.WaysOut`` without AWS and without a web. ``deaf`` addresses refuse."""

    def __init__(
        self,
        *,
        reasons: Mapping[str, str] | None = None,
        serving: Mapping[tuple[str, str], str] | None = None,
        secrets: Mapping[str, str] | None = None,
        deaf: Sequence[str] = (),
    ) -> None:
        self._reasons = dict(reasons or {})
        self._serving = dict(serving or {})
        self._secrets = dict(secrets or {})
        self._deaf = set(deaf)
        self.mailed: list[tuple[str, str]] = []
        self.posted: list[tuple[str, Mapping[str, Any]]] = []

    def reasons(self, alarms: Sequence[str]) -> Mapping[str, str]:
        return {name: self._reasons[name] for name in alarms if name in self._reasons}

    def serving(self, function: str, alias: str) -> str:
        return self._serving.get((function, alias), "")

    def secret(self, parameter: str) -> str:
        try:
            return self._secrets[parameter]
        except KeyError:
            raise NotDeliveredError(f"there is no parameter `{parameter}`") from None

    def mail(self, subject: str, text: str) -> None:
        if "mail" in self._deaf:
            raise NotDeliveredError("the topic of messages did not take it")
        self.mailed.append((subject, text))

    def post(self, url: str, body: Mapping[str, Any]) -> None:
        if url in self._deaf:
            raise NotDeliveredError("the receiver answered 503")
        self.posted.append((url, body))
