"""Whether large payloads have a way around Lambda's limit, and what it costs to know: nothing where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model_store.contract.environment import HANDOFF_BUCKET

if TYPE_CHECKING:
    from functions.inference.capture import Recorder
    from functions.inference.quick import Route
    from functions.inference.released import Service


def handoff_routes(
    service: Service, environ: Mapping[str, str], recorder: Recorder | None = None
) -> dict[tuple[str, str], Route]:
    """The routes of the hand-off, if the deploy made a bucket for it."""
    bucket = environ.get(HANDOFF_BUCKET)
    if not bucket:
        return {}
    from functions.inference.adapters.aws import S3Objects
    from functions.inference.handoff import Handoff

    return Handoff(service, S3Objects(), bucket=bucket, recorder=recorder).routes
