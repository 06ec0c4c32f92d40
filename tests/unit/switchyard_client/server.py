"""A V2 server in memory: one model, ``double``, that answers twice its input; with S3 beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from switchyard_client.exchange import Reply, Send
from switchyard_client.messages import HEADER_LENGTH

URL = "https://models.example.com"
BUCKET = "https://bucket.example.com"
JSON = {"content-type": "application/json"}


@dataclass
class Server:
    """Answers ``Send`` steps; keeps them in ``seen``. What happens next can be put into ``next``."""

    extensions: tuple[str, ...] = ("binary_tensor_data",)
    handoff: bool = True
    answer_limit: int = 1 << 30
    queue: bool = False
    busy_looks: int = 0
    seen: list[Send] = field(default_factory=list)
    next: list[Reply | Exception] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, request: Send) -> Reply:
        self.seen.append(request)
        if self.next:
            outcome = self.next.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if request.url.startswith(BUCKET):
            return self._bucket(request)
        path = urlsplit(request.url).path
        if self.queue and path.endswith("/infer"):
            assert request.headers["prefer"] == "respond-async"
            self.queued = request
            return self._json({"id": "job-1", "status": "waiting", "url": "results/job-1"}, 202)
        if path == "/v2/models/double/results/job-1":
            self.busy_looks -= 1
            return self._infer(self.queued) if self.busy_looks < 0 else self._json({"id": "job-1"}, 202)
        routes: dict[str, Callable[[Send], Reply]] = {
            "/v2": lambda _: self._json({"name": "s", "version": "1", "extensions": list(self.extensions)}),
            "/v2/health/live": lambda _: self._json({"live": True}),
            "/v2/health/ready": lambda _: self._json({"ready": True}),
            "/v2/models/double": lambda _: self._metadata(),
            "/v2/models/double/ready": lambda _: self._json({"ready": True}),
            "/v2/models/double/infer": self._infer,
            "/v2/models/double/versions/7/infer": self._infer,
            "/candidate/v2/models/double/infer": self._infer,
            "/v2/models/double/uploads": self._uploads,
        }
        answer = routes.get(path)
        return answer(request) if answer else self._json({"error": f"there is no `{path}` here"}, 404)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {urlsplit(request.url).path}" for request in self.seen]

    def _json(self, body: Any, status: int = 200) -> Reply:
        return Reply(status, {**JSON, "x-switchyard-digest": "sha256:ab"}, json.dumps(body).encode())

    def _metadata(self) -> Reply:
        tensor = {"name": "x", "datatype": "FP32", "shape": [-1]}
        parameters = {"handoff_max_bytes": 1 << 26} if self.handoff else {}
        return self._json(
            {
                "name": "double",
                "versions": ["7"],
                "platform": "onnx_onnxv1",
                "inputs": [tensor],
                "outputs": [{**tensor, "name": "y"}],
                "parameters": parameters,
            }
        )

    def _uploads(self, request: Send) -> Reply:
        if not self.handoff:
            return self._json({"error": "large payloads are not handed off for double"}, 404)
        headers = {"content-length": str(json.loads(request.body)["bytes"])}
        return self._json({"input_ref": "ref-1", "url": f"{BUCKET}/ref-1?signed", "headers": headers})

    def _bucket(self, request: Send) -> Reply:
        assert not request.authorised
        key = urlsplit(request.url).path
        if request.method == "GET":
            return Reply(200, {}, self.stored[key])
        self.stored[key] = request.body
        return Reply(200, {}, b"")

    def _infer(self, request: Send) -> Reply:
        body, length = request.body, request.headers.get(HEADER_LENGTH)
        asked = json.loads(body[: int(length)] if length else body)
        parameters = asked.get("parameters", {})
        allowed = parameters.get("accept_output_url", False)
        if "input_ref" in parameters:
            body = self.stored[f"/{parameters['input_ref']}"]
            length = parameters.get("input_header_length")
            asked = json.loads(body[: int(length)] if length else body)
        (tensor,) = asked["inputs"]
        raw = body[int(length) :] if length else None
        values = np.frombuffer(raw, "<f4") if raw is not None else np.array(tensor["data"], "<f4")
        answer, header_length = self._answer(asked, values * 2)
        headers = {"x-switchyard-digest": "sha256:ab"}
        if len(answer) <= self.answer_limit:
            return Reply(
                200, headers | ({HEADER_LENGTH: str(header_length)} if header_length else {}), answer
            )
        if not allowed:
            return self._json({"error": "the answer is too large"}, 413)
        self.stored["/out-1"] = answer
        pointer = {"output_url": f"{BUCKET}/out-1?signed", "output_header_length": header_length}
        return self._json(
            {"model_name": "double", "model_version": "7", "outputs": [], "parameters": pointer}
        )

    def _answer(self, asked: dict[str, Any], values: Any) -> tuple[bytes, int | None]:
        output: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [len(values)]}
        binary = asked.get("parameters", {}).get("binary_data_output", False)
        raw = values.astype("<f4").tobytes()
        if binary:
            output["parameters"] = {"binary_data_size": len(raw)}
        else:
            output["data"] = values.tolist()
        head = {"model_name": "double", "model_version": "7", "id": asked.get("id"), "outputs": [output]}
        body = json.dumps(head).encode()
        return (body + raw, len(body)) if binary else (body, None)
