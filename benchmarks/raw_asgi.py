"""What somebody writes by hand who wants nothing but speed: raw ASGI, orjson, ``session.run`` on the loop.

No checks, no queue, no metrics, no drain, one route. ``python -m benchmarks.raw_asgi GRAPH PORT``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
BYTES = (b"content-type", b"application/octet-stream")
LENGTH = b"inference-header-content-length"


class RawApp:
    """An ASGI app that trusts its callers."""

    def __init__(self, graph: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer an inference, whatever the path, and say yes to anything that is no POST."""
        if scope["method"] != "POST":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        length = next((int(value) for name, value in scope["headers"] if name == LENGTH), None)
        if length is None:
            tensor = orjson.loads(body)["inputs"][0]
            array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
            headers, answer = [JSON], self._json(array)
        else:
            tensor = orjson.loads(body[:length])["inputs"][0]
            array = np.frombuffer(body, np.float32, offset=length).reshape(tensor["shape"])
            text, data = self._binary(array)
            headers, answer = [BYTES, (LENGTH, str(len(text)).encode())], text + data
        headers.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _json(self, array: Any) -> bytes:
        (result,) = self._session.run(["y"], {"x": array})
        output = {"name": "y", "datatype": "FP32", "shape": result.shape, "data": result.reshape(-1)}
        return orjson.dumps(
            {"model_name": "perceptron", "outputs": [output]}, option=orjson.OPT_SERIALIZE_NUMPY
        )

    def _binary(self, array: Any) -> tuple[bytes, bytes]:
        (result,) = self._session.run(["y"], {"x": array})
        data = result.tobytes()
        output = {
            "name": "y",
            "datatype": "FP32",
            "shape": result.shape,
            "parameters": {"binary_data_size": len(data)},
        }
        return orjson.dumps({"model_name": "perceptron", "outputs": [output]}), data


if __name__ == "__main__":
    uvicorn.run(
        RawApp(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
