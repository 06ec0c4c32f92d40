"""What stands at the API's address itself, beside the models' own routes.

``GET /v2`` and ``/v2/health/*`` speak for the server. Every other path that reaches the front leads
nowhere, and the answer says which models the address does serve.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from functions import server_metadata
from functions.front.ports import Invoker, NoAnswerError
from model_store.contract.deployment import DEFAULT_ALIAS, check_stage, function_name
from model_store.contract.environment import MODELS, STAGE
from model_store.contract.errors import SwitchyardError
from model_store.contract.events import NotAnHttpAnswerError, http_event, read_answer
from model_store.contract.names import ByAlias, check_alias, check_name
from model_store.contract.rest_events import as_http_event, is_rest_event

MAX_THREADS = 32

_SERVER_ROUTES = frozenset({"/v2", "/v2/health/live", "/v2/health/ready"})
_MODEL_PATH = re.compile(r"(?:/(?P<alias>[^/]+))?/v2/models/(?P<model>[^/]+)(?P<rest>/.*)?")
_SHOWN = 80

Answer = tuple[int, dict[str, Any]]


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Front:
    """Answers for a stage. Holds no state; every call is safe to repeat."""

    stage: str
    models: tuple[ByAlias, ...]
    connect: Callable[[], Invoker]
    write_log: Callable[[str], object] = _to_stdout

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], connect: Callable[[], Invoker]) -> Front:
        """Read ``SWITCHYARD_STAGE`` and ``SWITCHYARD_MODELS``, a JSON list of {"model", "alias"}.

        Raises ``SwitchyardError`` at start for anything else, so that a wrong deploy fails at once.
        """
        try:
            listed = json.loads(environ[MODELS])
            models = tuple(ByAlias(check_name(m["model"]), check_alias(m["alias"])) for m in listed)
            return cls(check_stage(environ[STAGE]), models, connect)
        except (KeyError, TypeError, ValueError) as error:
            raise SwitchyardError(
                f"`{STAGE}` and `{MODELS}` do not name a stage and its models: {error}"
            ) from error

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """Answer an event of an HTTP API or of a REST API; an exception never gets past here."""
        started = time.perf_counter()
        if isinstance(event, Mapping) and is_rest_event(event):
            event = as_http_event(event)
        method, path, request_id = _called(event)
        failure: dict[str, str] = {}
        try:
            status, content = self.answer(method, path)
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            failure = {"failure": type(error).__name__}
            status, content = 500, {"error": "the server failed on this request: its log has the details"}
        line = {
            "request_id": request_id or getattr(context, "aws_request_id", "unknown"),
            "method": method[:_SHOWN],
            "route": path if path in _SERVER_ROUTES else "unknown",
            "status": status,
            "ms": round((time.perf_counter() - started) * 1000, 3),
            **failure,
        }
        self.write_log(json.dumps(line) + "\n")
        return {
            "statusCode": status,
            "headers": {"content-type": "application/json"},
            "body": json.dumps(content),
            "isBase64Encoded": False,
        }

    def answer(self, method: str, path: str) -> Answer:
        """The status and the content for one call."""
        path = path.rstrip("/") or "/"
        if path not in _SERVER_ROUTES:
            return 404, self._leads_nowhere(method, path)
        if method != "GET":
            return 405, {"error": f"`{path}` does not take {method[:_SHOWN]}"}
        if path == "/v2":
            return 200, server_metadata()
        if path == "/v2/health/live":
            return 200, {"live": True}
        return self._readiness()

    def _readiness(self) -> Answer:
        reasons = self._not_ready()
        if not reasons:
            return 200, {"live": True, "ready": True}
        listed = [
            {"model": asked.model, "alias": asked.alias, "reason": reason}
            for asked, reason in reasons.items()
        ]
        names = ", ".join(f"`{asked}`" for asked in reasons)
        return 503, {"live": True, "ready": False, "error": f"not ready: {names}", "not_ready": listed}

    def _not_ready(self) -> dict[ByAlias, str]:
        """Every alias that does not answer ready, with why; all are asked at the same time."""
        if not self.models:
            return {}
        invoker = self.connect()
        with ThreadPoolExecutor(min(MAX_THREADS, len(self.models))) as pool:
            answers = pool.map(lambda asked: self._why_not_ready(invoker, asked), self.models)
            return {asked: why for asked, why in zip(self.models, answers, strict=True) if why}

    def _why_not_ready(self, invoker: Invoker, asked: ByAlias) -> str | None:
        event = http_event("GET", f"/v2/models/{asked.model}/ready")
        try:
            returned = invoker.invoke(function_name(self.stage, asked.model), asked.alias, event)
            status, _, body = read_answer(returned)
        except NoAnswerError as error:
            return str(error)
        except NotAnHttpAnswerError:
            return "it did not answer an HTTP call"
        return None if status == 200 else _error_in(body) or f"it answers {status}"

    def _leads_nowhere(self, method: str, path: str) -> dict[str, Any]:
        return {"error": self._why_nowhere(method, path), "models": _names(self.models)}

    def _why_nowhere(self, method: str, path: str) -> str:
        found = _MODEL_PATH.fullmatch(path)
        if found is None:
            return f"there is no `{method[:_SHOWN]} {path[:_SHOWN]}` here"
        model, alias = found["model"], found["alias"] or DEFAULT_ALIAS
        aliases = [asked.alias for asked in self.models if asked.model == model]
        if not aliases:
            return f"no model `{model[:_SHOWN]}` is served here"
        if alias not in aliases:
            return f"no alias `{alias[:_SHOWN]}` of `{model}` is served here"
        return f"there is no `{method[:_SHOWN]} {(found['rest'] or '/')[:_SHOWN]}` for `{model}`"


def _called(event: object) -> tuple[str, str, str | None]:
    """Method, path and request id of an event, empty where it is not an HTTP call."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    http = context.get("http") if isinstance(context, Mapping) else None
    if not isinstance(context, Mapping) or not isinstance(http, Mapping):
        return "", "", None
    return str(http.get("method", "")), str(http.get("path", "")), context.get("requestId")


def _error_in(body: bytes) -> str | None:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(error)


def _names(models: Iterable[ByAlias]) -> list[str]:
    return sorted({asked.model for asked in models})
