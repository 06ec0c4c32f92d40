"""Lambda entry point of the monitor. EventBridge calls it once an hour; calling it again does no harm."""

from __future__ import annotations

import json
import os
from typing import Any

from drift.monitor import watch
from model_store.adapters.s3 import S3Store
from model_store.contract.environment import BUCKET, CAPTURE_BUCKET, MONITORED, STAGE
from model_store.contract.errors import SwitchyardError


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Judge every model, or the one that the event names; say how many versions were judged.

    A model that cannot be judged does not keep the others from it; it is named, and the call fails at last.
    """
    store, kept = S3Store(os.environ[BUCKET]), S3Store(os.environ[CAPTURE_BUCKET])
    judged, failed = 0, []
    for monitored in json.loads(os.environ[MONITORED]):
        model = monitored["model"]
        if event.get("model") not in (None, model):
            continue
        try:
            for line in watch(
                store, kept, os.environ[STAGE], model, window_hours=int(monitored["window_hours"])
            ):
                print(json.dumps(line))  # noqa: T201
                judged += "skipped" not in line
        except SwitchyardError as error:
            failed.append(model)
            print(json.dumps({"monitor": "drift", "model": model, "failed": str(error)}))  # noqa: T201
    if failed:
        raise RuntimeError(f"could not judge {', '.join(failed)}")
    return {"judged": judged}
