"""What the messenger needs from the cloud and the web.

Laws, checked against every adapter in ``tests/contract/test_ways_out.py``:

* ``reasons`` names only alarms that are there, each with why it is in its state; none asked, nobody asked.
* ``serving`` is the model version that an alias serves; empty before the first release, or if nobody knows:
  a message without a version is better than none.
* ``mail`` and ``post`` have delivered when they return; else they raise ``NotDeliveredError``, and its words
  hold no address and no key.
* ``secret`` is read from its parameter; one that is not there raises ``NotDeliveredError`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from model_store.contract.errors import SwitchyardError


class NotDeliveredError(SwitchyardError):
    """A message did not go out on one of its ways. Lambda calls again; the other ways hear it twice."""


class WaysOut(Protocol):
    """Looking up what a message needs, and sending it."""

    def reasons(self, alarms: Sequence[str]) -> Mapping[str, str]: ...

    def serving(self, function: str, alias: str) -> str: ...

    def secret(self, parameter: str) -> str: ...

    def mail(self, subject: str, text: str) -> None: ...

    def post(self, url: str, body: Mapping[str, Any]) -> None: ...
