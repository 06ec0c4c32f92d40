"""``functions.front.handler`` in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import functions
from model_store.contract.events import http_event, read_answer

INVOKE = """
import json, sys
from functions.front.handler import handler
answer = handler(json.load(sys.stdin), None)
print(json.dumps({"answer": answer, "boto3": "boto3" in sys.modules}))
"""


def run(path: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    root = str(Path(functions.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", INVOKE],
        input=json.dumps(http_event("GET", path)),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_front_answers_without_loading_boto3() -> None:
    models = json.dumps([{"model": "digits", "alias": "live"}])
    ran = run("/v2/models/spam", {"SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": models})
    assert ran.stderr == ""
    said = json.loads(ran.stdout.splitlines()[-1])
    status, _, body = read_answer(said["answer"])
    assert status == 404
    assert json.loads(body) == {"error": "no model `spam` is served here", "models": ["digits"]}
    assert said["boto3"] is False


def test_a_wrong_environment_fails_at_init() -> None:
    ran = run("/v2", {})
    assert ran.returncode != 0
    assert "do not name a stage and its models" in ran.stderr
