"""FastAPI + Mangum with the raw body and orjson: what people write who have measured the tutorial."""

from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
from fastapi import FastAPI, Request, Response
from mangum import Mangum


def start(model_path: str, model: str, dtype: str) -> tuple[Any, Any]:
    """Make the session and the app around it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
    app = FastAPI(title=model)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        body = orjson.loads(await request.body())
        x = np.array(body["data"], dtype=dtype)
        (scores,) = session.run(None, {"x": x})
        answer = orjson.dumps({"scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(answer, media_type="application/json")

    return Mangum(app, lifespan="off"), session
