"""What an answer of an endpoint hangs on: a function's path, passed on where the catalog has it."""

from __future__ import annotations

from collections.abc import Mapping

from functions.gateway.service import GatewayService
from functions.inference.quick import Event, Route, body_of, remaining_s
from functions.inference.released import Unreleased
from functions.protocol.encoded import Encoded
from functions.protocol.headers import json_length
from model_store.contract.environment import EXPLAIN


def explain_routes(service: GatewayService, environ: Mapping[str, str]) -> dict[tuple[str, str], Route]:
    """The routes that explain, if the catalog has them and there is a version to explain."""
    served = service.served
    if EXPLAIN not in environ or isinstance(served, Unreleased):
        return {}
    model = served.model

    def answer(event: Event, context: object) -> Encoded:
        return service.infer(
            body_of(event),
            model,
            json_length=json_length((event.get("headers") or {}).items()),
            remaining_s=remaining_s(context),
            explain=True,
        )

    places = {
        "/v2/models/{model}": f"/v2/models/{model}",
        "/v2/models/{model}/versions/{version}": f"/v2/models/{model}/versions/{served.manifest.version}",
    }
    return {
        ("POST", f"{path}/explain"): Route(f"{template}/explain", answer) for template, path in places.items()
    }
