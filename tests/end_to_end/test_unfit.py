"""A version that does not compute what it computed at publish: refused, written down, tried again anew."""

from __future__ import annotations

import os
from dataclasses import replace

import httpx
import pytest

from model_store.adapters.s3 import S3Store
from model_store.contract.keys import manifest_key
from model_store.contract.names import ByVersion
from model_store.versions import latest, load_manifest
from tests.conftest import ROOT, Deployed
from yard import deployment

pytestmark = pytest.mark.cloud

MODEL = ROOT / "examples" / "digits" / "v1" / "model.onnx"


@pytest.fixture
def store(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in deployed.environment().items():
        if name.startswith(("AWS_", "SWITCHYARD_")):
            monkeypatch.setenv(name, value)
    assert os.environ["AWS_ENDPOINT_URL"]
    return deployment.find("local").store()


def test_a_version_that_lies_is_refused_each_time_on_a_lambda_version_of_its_own(
    deployed: Deployed, store: S3Store
) -> None:
    """Law 5: a failed release changes nothing, and what failed is never used."""
    deployed.yard_json("publish", "digits", str(MODEL))
    deployed.yard_json("release", "digits:1")
    honest = load_manifest(store, ByVersion("digits", 1))
    number = latest(store, "digits") + 1
    outputs = tuple(
        replace(tensor, data=tuple(0 if isinstance(value, float) else value for value in tensor.data))
        for tensor in honest.golden.outputs
    )
    lying = replace(honest, version=number, golden=replace(honest.golden, outputs=outputs))
    store.put_once(manifest_key("digits", number), lying.to_json())

    for _ in range(2):
        refused = deployed.yard("release", f"digits:{number}")
        assert refused.returncode == 1
        assert b"does not reproduce its golden sample" in refused.stderr
    (model,) = deployed.yard_json("status", "digits")["models"]
    (mark,) = [unfit for unfit in model["refused"] if unfit["version"] == number]
    assert "golden sample" in mark["why"]
    assert deployed.yard("history", "digits").stdout.decode().count("refused") >= 2
    answer = httpx.get(f"{deployed.api_url}/v2/models/digits", timeout=35)
    assert answer.json()["versions"] == ["1"]
