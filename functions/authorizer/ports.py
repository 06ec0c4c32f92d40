"""What the authorizer needs from outside: two documents of the issuer.

The laws, checked against every adapter in ``tests/contract/test_documents.py``:

* ``get`` returns the JSON object at an address, and waits seconds for it at most.
* What is not there, no JSON object, too large or not reachable raises ``NoDocumentError``.
* An address that is not https is not asked.
"""

from __future__ import annotations

from typing import Any, Protocol

from model_store.contract.errors import SwitchyardError


class NoDocumentError(SwitchyardError):
    """The issuer did not say what was asked for."""


class Documents(Protocol):
    """Fetches what stands at an address."""

    def get(self, url: str) -> dict[str, Any]: ...
