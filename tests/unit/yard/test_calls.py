"""``yard.calls``: what is sent, and how it is signed."""

from __future__ import annotations

import re

import pytest

from model_store.contract.environment import MAX_PAYLOAD_BYTES
from releases.errors import ServiceError
from yard.calls import CallRefusedError, _signed, call
from yard.deployment import Deployment

PLACE = Deployment("prod", "bucket", "http://127.0.0.1:9", "none")


def test_a_body_that_lambda_would_refuse_is_not_sent() -> None:
    with pytest.raises(CallRefusedError, match="takes at most"):
        call(PLACE, "POST", "/v2", bytes(MAX_PAYLOAD_BYTES + 1))


def test_an_api_that_does_not_answer_is_said_so() -> None:
    with pytest.raises(ServiceError, match="did not answer"):
        call(PLACE, "GET", "/v2")


def test_a_stage_without_an_api_is_refused() -> None:
    with pytest.raises(ServiceError, match="no API yet"):
        call(Deployment("prod", "bucket", None, "iam"), "GET", "/v2")


def test_calls_to_an_iam_api_are_signed_for_execute_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    signed = _signed("POST", "https://api.example/v2", {"content-type": "application/json"}, b"{}")
    assert re.search(
        r"Credential=AKIDEXAMPLE/\d{8}/eu-central-1/execute-api/aws4_request", signed["Authorization"]
    )
    assert "content-type" in signed["Authorization"]


def test_without_credentials_the_caller_is_told_to_sign_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    nowhere = str(tmp_path_factory.mktemp("empty") / "none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
    monkeypatch.setenv("AWS_CONFIG_FILE", nowhere)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CallRefusedError, match="no AWS credentials"):
        _signed("GET", "https://api.example/v2", {}, None)
