"""Ways to reach an endpoint, one per target; each is imported where its target is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from functions.inference.released import Unreleased
from functions.protocol.errors import NotReadyError
from model_store.contract.endpoints import SAGEMAKER

if TYPE_CHECKING:
    from functions.gateway.pin import Pin
    from functions.gateway.ports import Endpoint


def endpoint_of(pin: Pin | Unreleased, environ: Mapping[str, str]) -> Endpoint:
    """What asks the endpoint that ``pin`` names."""
    if isinstance(pin, Unreleased):
        raise NotReadyError(f"no version of {pin.model} is released yet")
    if pin.target == SAGEMAKER:
        from functions.gateway.adapters.sagemaker import SageMakerEndpoint

        return SageMakerEndpoint.from_environment(pin.endpoint, environ)
    from functions.gateway.adapters.balanced import BalancedEndpoint

    return BalancedEndpoint.from_environment(pin, environ)
