"""The siblings through Lambda. boto3 comes with the Lambda runtime and is imported when a pin is asked for.

Most functions never meet a pin, and importing boto3 takes longer than a cold start may.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.inference.pinned import NoAnswerError, NoSuchPinError
from model_store.contract.deployment import pinned_version

FUNCTION_VARIABLE = "AWS_LAMBDA_FUNCTION_NAME"

CONNECT_SECONDS = 2
READ_SECONDS = 30
"""No function behind an HTTP API may take longer; who asks gives up earlier, at its own time limit."""

_MEANING = {
    "TooManyRequestsException": ("is throttled", 503),
    "RequestTooLargeException": ("cannot be handed this request: it is too large", 413),
    "ResourceConflictException": ("is not active yet", 503),
    "ResourceNotReadyException": ("is not active yet", 503),
    "SnapStartNotReadyException": ("is not active yet", 503),
    "SnapStartTimeoutException": ("did not start in time", 503),
    "AccessDeniedException": ("may not be asked by this function", 500),
}


class LambdaSiblings:
    """The other versions of one function. Asking is repeated once if the connection broke."""

    def __init__(self, function: str, client: Any = None) -> None:
        self._function = function
        self._client = client or _client()

    def ask(self, qualifier: str, event: dict[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.invoke(
                FunctionName=self._function, Qualifier=qualifier, Payload=json.dumps(event).encode()
            )
            payload = answer["Payload"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceNotFoundException":
                raise NoSuchPinError(f"there is no `{qualifier}`") from error
            words, status = _MEANING.get(code, (f"could not be asked: Lambda answered {code}", 503))
            raise NoAnswerError(words, status=status) from error
        except BotoCoreError as error:
            raise NoAnswerError(f"did not answer ({type(error).__name__})", status=504) from error
        if "FunctionError" in answer:
            raise NoAnswerError("failed on this request: its log has the details", status=500)
        try:
            return json.loads(payload)
        except ValueError as error:
            raise NoAnswerError("answered something that is not JSON", status=500) from error

    def pins(self) -> list[int]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self._client.get_paginator("list_aliases").paginate(FunctionName=self._function)
            found = [_leads_to(alias) for page in pages for alias in page["Aliases"]]
        except (ClientError, BotoCoreError) as error:
            raise NoAnswerError("is all that is known: Lambda did not say more", status=503) from error
        return sorted(number for number in found if number is not None)


def siblings_of(environ: Mapping[str, str]) -> Any:
    """What connects to the siblings of the function that ``environ`` belongs to, once and when asked."""
    return cache(lambda: LambdaSiblings(environ[FUNCTION_VARIABLE]))


def _leads_to(alias: Mapping[str, Any]) -> int | None:
    """The model version that an alias pins; ``None`` for other aliases and for a pin that is parked."""
    version = pinned_version(alias["Name"])
    try:
        return version if json.loads(alias.get("Description", ""))["version"] == version else None
    except (ValueError, KeyError, TypeError):
        return None


def _client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("lambda", config=config)
