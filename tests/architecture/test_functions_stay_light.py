"""Cold start is a feature: what Lambda imports is a decision, not an accident."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INFERENCE = "functions.inference.handler"
FRONT = "functions.front.handler"

HEAVY = {"aws_cdk", "boto3", "botocore", "moto", "onnx", "pandas", "pydantic_settings", "scipy", "torch"}
ROOMS = {"catalog", "infra", "layers", "local_cloud", "releases", "training", "yard", "tests"}

# What the runtime layer may be made to carry. A new name here is paid for by every cold start.
ALLOWED = {
    INFERENCE: {
        "annotated_doc",
        "annotated_types",
        "anyio",
        "fastapi",
        "functions",
        "mangum",
        "model_store",
        "numpy",
        "onnxruntime",
        "opentelemetry",  # its interfaces only, 7 ms: FastAPI imports them and cannot do without
        "orjson",
        "pydantic",
        "pydantic_core",
        "starlette",
        "typing_extensions",
        "typing_inspection",
    },
    FRONT: {"functions", "model_store"},
}

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


@pytest.mark.parametrize("entry", [INFERENCE, FRONT])
@pytest.mark.parametrize("package", sorted(HEAVY))
def test_a_function_never_imports(package: str, entry: str) -> None:
    assert package not in packages(entry)


@pytest.mark.parametrize("entry", [INFERENCE, FRONT])
@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_function_never_enters(room: str, entry: str) -> None:
    assert room not in packages(entry)


@pytest.mark.parametrize("entry", [INFERENCE, FRONT])
def test_a_function_imports_what_was_decided_and_nothing_else(entry: str) -> None:
    assert packages(entry) <= ALLOWED[entry]


@pytest.mark.parametrize("entry", [INFERENCE, FRONT])
def test_of_the_model_store_only_the_contract_travels(entry: str) -> None:
    ours = {module for module in imported(entry) if module.startswith("model_store.")}
    assert all(module.startswith("model_store.contract") for module in ours)


@pytest.mark.parametrize(("entry", "other"), [(INFERENCE, "functions.front"), (FRONT, "functions.inference")])
def test_a_function_does_not_carry_another_ones_code(entry: str, other: str) -> None:
    assert not any(module.startswith(other) for module in imported(entry))


def test_the_front_does_not_carry_the_codec() -> None:
    assert not any(module.startswith("functions.protocol") for module in imported(FRONT))


@pytest.mark.parametrize(
    "module", ["fastapi.testclient", "httpx", "multipart", "opentelemetry.sdk", "uvicorn"]
)
def test_what_fastapi_can_do_without_stays_out_of_the_inference_function(module: str) -> None:
    assert module not in imported(INFERENCE)
