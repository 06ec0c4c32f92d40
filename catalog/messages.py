"""``[stages.x.messages]``: who is told when something is wrong.

Addresses of webhooks and routing keys are secrets: the catalog names the SSM parameter (a SecureString) that
holds one, never the secret itself.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from catalog.mistakes import mistake

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PARAMETER = re.compile(r"/[\w.-]+(/[\w.-]+)*")


def _email(value: str) -> str:
    if _EMAIL.fullmatch(value):
        return value
    raise mistake(f"has `{value}`, which is no e-mail address", "Write it as `oncall@example.com`.")


def _parameter(value: str) -> str:
    if _PARAMETER.fullmatch(value) and not value.startswith("/aws"):
        return value
    raise mistake(
        "is no name of an SSM parameter",
        "Store the secret as a SecureString, and write the parameter's name here, as `/switchyard/slack`.",
    )


Parameter = Annotated[str, AfterValidator(_parameter)]


class Messages(BaseModel):
    """Every receiver hears of every alarm that speaks. Somebody who wants less filters there."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    email: Annotated[tuple[Annotated[str, AfterValidator(_email)], ...], Field(strict=False)] = ()
    slack_webhook: Parameter | None = None
    pagerduty_key: Parameter | None = None
