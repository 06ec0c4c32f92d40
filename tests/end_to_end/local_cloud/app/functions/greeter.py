import os
from typing import Any

from words import punctuation  # type: ignore[import-not-found]  # from the layer


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {"statusCode": 200, "body": f"{os.environ['ANSWER']}{punctuation} {event['rawPath']}"}
