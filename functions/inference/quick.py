"""The protocol's calls without a framework: what a function is asked all day, and first after a start.

A function serves one version of one model, so every path it answers is known when it starts. A path is
looked up whole; what is not found here (other models, other versions, wrong methods, the OpenAPI page)
is the framework's, which is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from functions import server_metadata
from functions.inference.released import Service, Unreleased
from functions.protocol.carried import from_base64
from functions.protocol.encoded import Answered, Encoded
from functions.protocol.errors import BadRequestError
from functions.protocol.headers import json_length

Event = dict[str, Any]
Answer = Callable[[Event, object], Encoded | Answered]

ANY_ID = "/{id}"
"""How the path of a route ends whose last part is a name that callers were given."""


class Route(NamedTuple):
    """How a path is answered, and what the log calls it."""

    template: str
    answer: Answer


def quick_routes(service: Service) -> dict[tuple[str, str], Route]:
    """Every method and path that ``service`` answers; before the first release there are hardly any."""
    routes = {
        ("GET", "/v2"): Route("/v2", _says(server_metadata)),
        ("GET", "/v2/health/live"): Route("/v2/health/live", _says(lambda: {"live": True})),
    }
    served = service.served
    if not isinstance(served, Unreleased):
        routes["GET", "/v2/health/ready"] = Route(
            "/v2/health/ready", _says_if_ready(service, {"live": True, "ready": True})
        )
        model = served.model
        routes |= _model_routes(service, "/v2/models/{model}", f"/v2/models/{model}")
        routes |= _model_routes(
            service,
            "/v2/models/{model}/versions/{version}",
            f"/v2/models/{model}/versions/{served.manifest.version}",
        )
    return routes


def _model_routes(service: Service, template: str, path: str) -> dict[tuple[str, str], Route]:
    model = service.served.model

    def infer(event: Event, context: object) -> Encoded:
        return service.infer(
            body_of(event),
            model,
            json_length=json_length((event.get("headers") or {}).items()),
            remaining_s=remaining_s(context),
        )

    return {
        ("POST", f"{path}/infer"): Route(f"{template}/infer", infer),
        ("GET", f"{path}/ready"): Route(
            f"{template}/ready", _says_if_ready(service, {"name": model, "ready": True})
        ),
        ("GET", path): Route(template, _says(lambda: service.metadata(model))),
    }


def body_of(event: Event) -> bytes | str:
    """The body as it is in the event: text stays text, which needs no copy to be read as JSON."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body)
    try:
        return from_base64(body)
    except ValueError:
        raise BadRequestError("the body of this event is not what its `isBase64Encoded` says") from None


def remaining_s(context: object) -> float | None:
    """How long Lambda lets this invocation run; ``None`` where nobody stops it."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return remaining() / 1000 if remaining else None


def _says(content: Callable[[], dict[str, Any]]) -> Answer:
    return lambda _event, _context: Encoded(orjson.dumps(content()))


def _says_if_ready(service: Service, content: dict[str, Any]) -> Answer:
    def answer(_event: Event, _context: object) -> Encoded:
        service.must_be_ready()
        return Encoded(orjson.dumps(content))

    return answer
