"""The Lambda adapter. boto3 comes with the Lambda runtime and is imported when it is first needed.

Most requests that reach the front are answered without it, and importing it takes longer than they do.
"""

from __future__ import annotations

import json
from typing import Any

from functions.front.ports import NoAnswerError

CONNECT_SECONDS = 2
READ_SECONDS = 10
"""Long enough for a cold start of a small model, well within the API's 30 seconds."""

CONNECTIONS = 32

_MEANING = {
    "ResourceNotFoundException": "it is not deployed",
    "TooManyRequestsException": "it is throttled",
    "AccessDeniedException": "the front may not invoke it",
}


class LambdaInvoker:
    """Asks once, with short timeouts and no retries: the next readiness check is the retry."""

    def __init__(self, client: Any = None) -> None:
        self._client = client or _client()

    def invoke(self, function: str, alias: str, event: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.invoke(
                FunctionName=function, Qualifier=alias, Payload=json.dumps(event).encode()
            )
            payload = answer["Payload"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise NoAnswerError(_MEANING.get(code, f"Lambda answered {code}")) from error
        except BotoCoreError as error:
            raise NoAnswerError(f"Lambda did not answer ({type(error).__name__})") from error
        return _returned(payload, failed="FunctionError" in answer)


def _client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=CONNECTIONS,
    )
    return boto3.client("lambda", config=config)


def _returned(payload: bytes, *, failed: bool) -> dict[str, Any]:
    try:
        returned = json.loads(payload)
    except ValueError as error:
        raise NoAnswerError("it answered something that is not JSON") from error
    if not isinstance(returned, dict):
        raise NoAnswerError("it answered something that is not a JSON object")
    if failed:
        raise NoAnswerError(f"it failed with {returned.get('errorType', 'an unnamed error')}")
    return returned
