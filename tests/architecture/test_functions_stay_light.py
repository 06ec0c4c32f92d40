"""Cold start is a feature: what Lambda imports is a decision, not an accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from model_store.contract.capture import CaptureSettings
from model_store.contract.environment import CAPTURE, CAPTURE_BUCKET, MODEL_PACKAGE
from model_store.contract.events import http_event
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Layer, lay_out, onnx_model

ROOT = Path(__file__).parents[2]

INFERENCE = "functions.inference.handler"
FRONT = "functions.front.handler"
GATEWAY = "functions.gateway.handler"

HEAVY = {"aws_cdk", "boto3", "botocore", "moto", "onnx", "pandas", "pydantic_settings", "scipy", "torch"}
ROOMS = {"catalog", "infra", "layers", "local_cloud", "releases", "training", "yard", "tests"}

# What may be imported before the first answer. A new name here is paid for by every cold start.
ALLOWED = {
    INFERENCE: {"functions", "model_store", "numpy", "onnxruntime", "orjson"},
    FRONT: {"functions", "model_store"},
    GATEWAY: {"functions", "model_store", "orjson"},
}

# The same for the standard library, beyond what numpy, onnxruntime and orjson have imported by themselves.
ALLOWED_OF_PYTHON = {
    *("_blake2", "_hashlib", "hashlib"),  # law 2
    *("binascii", "mmap", "threading"),
}

# What comes with the OpenAPI page and every other route that the framework answers.
FRAMEWORK = {"anyio", "asyncio", "fastapi", "mangum", "opentelemetry", "pydantic", "starlette"}

ENVIRON = {"SWITCHYARD_MODEL": "digits", "SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": "[]"}

PROBE = """
import sys
before = set(sys.modules)
__import__(sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""


@cache
def imported(entry: str) -> frozenset[str]:
    """Modules in a fresh interpreter, after importing what Lambda imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, entry],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ENVIRON,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(done.stdout.split())


def packages(entry: str) -> set[str]:
    tops = {module.partition(".")[0] for module in imported(entry)}
    return {
        top for top in tops if top not in sys.stdlib_module_names and not top.startswith("_sysconfigdata")
    }


@pytest.mark.parametrize("entry", [INFERENCE, FRONT, GATEWAY])
@pytest.mark.parametrize("package", sorted(HEAVY))
def test_a_function_never_imports(package: str, entry: str) -> None:
    assert package not in packages(entry)


@pytest.mark.parametrize("entry", [INFERENCE, FRONT, GATEWAY])
@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_function_never_enters(room: str, entry: str) -> None:
    assert room not in packages(entry)


@pytest.mark.parametrize("entry", [INFERENCE, FRONT, GATEWAY])
def test_a_function_imports_what_was_decided_and_nothing_else(entry: str) -> None:
    assert packages(entry) <= ALLOWED[entry]


@pytest.mark.parametrize("entry", [INFERENCE, FRONT, GATEWAY])
def test_of_the_model_store_only_the_contract_travels(entry: str) -> None:
    ours = {module for module in imported(entry) if module.startswith("model_store.")}
    assert all(module.startswith("model_store.contract") for module in ours)


@pytest.mark.parametrize(
    ("entry", "other"),
    [(INFERENCE, "functions.front"), (INFERENCE, "functions.gateway"), (FRONT, "functions.inference")],
)
def test_a_function_does_not_carry_another_ones_code(entry: str, other: str) -> None:
    assert not any(module.startswith(other) for module in imported(entry))


def test_the_front_does_not_carry_the_codec() -> None:
    assert not any(module.startswith("functions.protocol") for module in imported(FRONT))


FIRST_ANSWERS = """
import json, sys
import numpy, onnxruntime, orjson
before = set(sys.modules)
from functions.inference.handler import handler
status = [handler(event, None)["statusCode"] for event in json.loads(sys.argv[1])]
print(json.dumps({"status": status, "modules": sorted(set(sys.modules) - before)}))
"""


@cache
def after_answering(*events: str, **environ: str) -> tuple[list[int], frozenset[str]]:
    """Statuses, and what was imported besides numpy, onnxruntime and orjson, in a fresh interpreter."""
    layer = digits_layer()
    done = subprocess.run(
        [sys.executable, "-c", FIRST_ANSWERS, f"[{','.join(events)}]"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{layer.package.parent}"}
        | layer.environ
        | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    answered = json.loads(done.stdout.splitlines()[-1])
    return answered["status"], frozenset(answered["modules"])


@cache
def digits_layer() -> Layer:
    x, y = TensorSpec("x", "FP32", ("batch", 4)), TensorSpec("y", "FP32", ("batch", 4))
    package = Path(tempfile.mkdtemp(prefix="switchyard-light-")) / "python" / MODEL_PACKAGE
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])], [x], [y])
    golden = {"x": np.ones((1, 4), np.float32)}
    files = {"model.onnx": model.SerializeToString()}
    return lay_out(package, files, inputs=[x], outputs=[y], golden=golden)


def infer_event(*, binary: bool) -> str:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    data = np.ones((1, 4), np.float32).tobytes()
    if not binary:
        body = json.dumps({"inputs": [x | {"data": [1, 2, 3, 4]}]}).encode()
        return json.dumps(http_event("POST", "/v2/models/digits/infer", body))
    asked = {
        "inputs": [x | {"parameters": {"binary_data_size": 16}}],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(asked).encode()
    event = http_event(
        "POST", "/v2/models/digits/infer", text + data, content_type="application/octet-stream"
    )
    event["headers"]["inference-header-content-length"] = str(len(text))
    return json.dumps(event)


CALLS = {
    "infer": infer_event(binary=False),
    "infer-binary": infer_event(binary=True),
    "ready": json.dumps(http_event("GET", "/v2/models/digits/ready")),
    "metadata": json.dumps(http_event("GET", "/v2/models/digits")),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_first_answer_needs_no_framework(call: str) -> None:
    """ADR 11: the protocol's own calls never wait for FastAPI."""
    status, modules = after_answering(CALLS[call])
    assert status == [200]
    tops = {module.partition(".")[0] for module in modules}
    ours = {"functions", "model_store"}
    assert not tops & FRAMEWORK
    of_python = {top for top in tops - ours if top in sys.stdlib_module_names}
    assert of_python <= ALLOWED_OF_PYTHON


def test_a_function_that_keeps_requests_answers_without_http_or_aws() -> None:
    """ADR 39: what captures is imported where the catalog asks for it, and what writes by its own thread."""
    kept = {CAPTURE: CaptureSettings(1e-9, 10).to_json(), CAPTURE_BUCKET: "kept"}
    call = json.loads(CALLS["infer"])
    call["requestContext"]["apiId"] = "a1b2c3"
    status, modules = after_answering(json.dumps(call), **kept)
    assert status == [200]
    assert "functions.inference.capture" in modules
    assert not {"http", "ssl", "email", "urllib", "boto3", "botocore"} & {
        module.partition(".")[0] for module in modules
    }
    _, without = after_answering(CALLS["infer"])
    assert not any("capture" in module or "parquet" in module for module in without)


def test_the_framework_is_there_when_it_is_asked_for() -> None:
    status, modules = after_answering(json.dumps(http_event("GET", "/v2/models/digits/openapi.json")))
    assert status == [200]
    assert {module.partition(".")[0] for module in modules} >= FRAMEWORK


@pytest.mark.parametrize(
    "module", ["fastapi.testclient", "httpx", "multipart", "opentelemetry.sdk", "uvicorn"]
)
def test_what_fastapi_can_do_without_stays_out_of_the_inference_function(module: str) -> None:
    _, modules = after_answering(json.dumps(http_event("GET", "/v2/models/digits/openapi.json")))
    assert module not in modules
