"""OpenAI-style paths of a language model, passed through to a team's own container and back.

A client's base address is ``<address>/v2/models/<model>/openai/v1``. The body goes on as it came: such a
container knows by the body what is asked (vLLM's SageMaker entry answers all of it at ``/invocations``), and
SageMaker carries no other path. Answers come whole; a stream is not asked for.
"""

from __future__ import annotations

import json

from functions.gateway.service import GatewayService
from functions.inference.quick import Event, Route, body_of, remaining_s
from functions.inference.released import Unreleased
from functions.protocol.encoded import Encoded
from functions.protocol.errors import BadRequestError

ASKED = ("chat/completions", "completions", "embeddings", "responses")


def own_paths(service: GatewayService) -> tuple[str, ...]:
    """How the paths that are passed through end, where there are any."""
    served = service.served
    if isinstance(served, Unreleased) or not served.own_image:
        return ()
    return tuple(f"/openai/v1/{what}" for what in ASKED)


def openai_routes(service: GatewayService) -> dict[tuple[str, str], Route]:
    """The paths that are passed through; none for a model that our own container serves."""
    served = service.served
    if isinstance(served, Unreleased) or not served.own_image:
        return {}
    model, version = served.model, str(served.manifest.ref)

    def ask(event: Event, context: object) -> Encoded:
        body = body_of(event)
        _must_come_whole(body)
        return service.infer(body, model, remaining_s=remaining_s(context))

    def models(_: Event, __: object) -> Encoded:
        one = {"id": version, "object": "model", "owned_by": "switchyard"}
        return Encoded(json.dumps({"object": "list", "data": [one]}).encode())

    place, template = f"/v2/models/{model}/openai/v1", "/v2/models/{model}/openai/v1"
    routes = {("POST", f"{place}/{what}"): Route(f"{template}/{what}", ask) for what in ASKED}
    return routes | {("GET", f"{place}/models"): Route(f"{template}/models", models)}


def _must_come_whole(body: bytes | str) -> None:
    """A Lambda function answers once; who asks for a stream would wait for events that never come."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise BadRequestError("the body is not JSON") from error
    if isinstance(asked, dict) and asked.get("stream"):
        raise BadRequestError("`stream` is true, and answers come whole here")
