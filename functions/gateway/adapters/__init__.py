"""Ways to reach an endpoint, one per target; each is imported where its target is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, cast

from functions.inference.artifact import required
from functions.inference.released import Unreleased
from functions.protocol.errors import NotReadyError
from model_store.contract.endpoints import SAGEMAKER
from model_store.contract.environment import ASYNCHRONOUS, HANDOFF_BUCKET
from model_store.contract.errors import IntegrityError

if TYPE_CHECKING:
    from functions.gateway.later import Later
    from functions.gateway.pin import Pin
    from functions.gateway.ports import Endpoint, Queueing
    from functions.gateway.service import GatewayService
    from functions.inference.capture import Recorder
    from functions.inference.quick import Route


def endpoint_of(pin: Pin | Unreleased, environ: Mapping[str, str]) -> Endpoint:
    """What asks the endpoint that ``pin`` names."""
    if isinstance(pin, Unreleased):
        raise NotReadyError(f"no version of {pin.model} is released yet")
    if pin.target == SAGEMAKER:
        from functions.gateway.adapters.sagemaker import SageMakerEndpoint

        return SageMakerEndpoint.from_environment(pin.endpoint, environ)
    from functions.gateway.adapters.balanced import BalancedEndpoint

    return BalancedEndpoint.from_environment(pin, environ)


def later_of(
    pin: Pin | Unreleased, environ: Mapping[str, str], connect: Callable[[], Endpoint]
) -> Callable[[], Later] | None:
    """The queue of a model whose endpoints answer later; ``None`` for one that is answered at once."""
    if ASYNCHRONOUS not in environ or isinstance(pin, Unreleased):
        return None
    if pin.target != SAGEMAKER:
        raise IntegrityError(f"`{ASYNCHRONOUS}` is set, and endpoints of `{pin.target}` have no queue")

    @cache
    def later() -> Later:
        from functions.gateway.later import Later
        from functions.gateway.ports import Patience
        from functions.inference.adapters.aws import S3Objects

        return Later(
            pin,
            S3Objects(),
            bucket=required(environ, HANDOFF_BUCKET),
            connect=lambda: cast("Queueing", connect()),
            patience=Patience(**json.loads(environ[ASYNCHRONOUS])),
        )

    return later


def job_routes(
    service: GatewayService, environ: Mapping[str, str], recorder: Recorder | None = None
) -> dict[tuple[str, str], Route]:
    """The routes of a model whose endpoints answer later."""
    from functions.gateway.jobs import Jobs
    from functions.inference.adapters.aws import S3Objects

    return Jobs(service, S3Objects(), bucket=required(environ, HANDOFF_BUCKET), recorder=recorder).routes
