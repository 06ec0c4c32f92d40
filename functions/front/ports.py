"""What the front needs from the cloud: to ask a function one thing.

The laws, checked against every adapter in ``tests/contract/test_invoker.py``:

* ``invoke`` returns what the function returned, and waits for it.
* A function that is not there, does not answer in time, or fails raises ``NoAnswerError``, and its
  message is fit for a caller: no stack trace, no ARN.
"""

from __future__ import annotations

from typing import Any, Protocol

from model_store.contract.errors import SwitchyardError


class NoAnswerError(SwitchyardError):
    """The function could not be asked, or failed."""


class Invoker(Protocol):
    """Invokes a function's alias and waits for its answer. Called from several threads at once."""

    def invoke(self, function: str, alias: str, event: dict[str, Any]) -> dict[str, Any]: ...
