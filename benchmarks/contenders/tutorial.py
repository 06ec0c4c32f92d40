"""FastAPI + Mangum + pydantic lists, the way tutorials serve a model from a function."""

from typing import Any

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

NESTED: dict[str, Any] = {
    "perceptron": list[list[float]],
    "resnet": list[list[list[list[float]]]],
    "encoder": list[list[int]],
}


class PredictResponse(BaseModel):
    """What ``scores.tolist()`` is."""

    scores: list[list[float]]


def start(model_path: str, model: str, dtype: str) -> tuple[Any, Any]:
    """Make the session and the app around it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
    app = FastAPI()
    nested = NESTED[model]

    class PredictRequest(BaseModel):
        data: nested  # type: ignore[valid-type]

    @app.post("/predict")
    def predict(request: PredictRequest) -> PredictResponse:
        x = np.array(request.data, dtype=dtype)
        (scores,) = session.run(None, {"x": x})
        return PredictResponse(scores=scores.tolist())

    return Mangum(app), session
