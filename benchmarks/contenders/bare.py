"""A script that imports numpy and onnxruntime, makes the session and runs it: the floor."""

from typing import Any

import numpy as np
import onnxruntime as ort


def start(model_path: str, model: str, dtype: str) -> tuple[Any, Any]:
    """Make the session; the input lies ready as an array."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
    home = model_path.partition(f"/{model}/")[0]

    def handler(_event: object, _context: object) -> dict[str, Any]:
        (scores,) = session.run(None, {"x": np.load(f"{home}/{model}/x.npy").astype(dtype)})
        return {"statusCode": 200, "scores": scores}

    return handler, session
