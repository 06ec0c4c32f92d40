"""``yard.calls``: what a call is made of before it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_store.contract.environment import MAX_PAYLOAD_BYTES
from releases.errors import ServiceError
from yard.calls import CallRefusedError, auth_for, call
from yard.deployment import Deployment

IAM = Deployment("prod", "bucket", "https://abc.execute-api.eu-west-1.amazonaws.com", "iam")


def test_a_stage_without_an_api_says_what_is_missing() -> None:
    with pytest.raises(ServiceError, match="has no API yet") as caught:
        call(Deployment("prod", "bucket", None, "iam"), "GET", "/v2")
    assert "cdk deploy" in (caught.value.hint or "")


def test_a_body_that_lambda_would_refuse_is_not_sent() -> None:
    with pytest.raises(CallRefusedError, match="takes at most"):
        call(IAM, "POST", "/v2", bytes(MAX_PAYLOAD_BYTES + 1))


def test_a_call_that_cannot_be_signed_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CallRefusedError, match=r"cannot be signed: .* no AWS credentials") as caught:
        call(IAM, "GET", "/v2")
    assert caught.value.hint


def test_an_api_that_does_not_answer_is_said_so() -> None:
    with pytest.raises(ServiceError, match="did not answer"):
        call(Deployment("prod", "bucket", "http://127.0.0.1:9", "none"), "GET", "/v2")


JWT = Deployment("prod", "bucket", "http://127.0.0.1:9", "jwt")


def test_a_stage_that_asks_for_a_token_gets_one_or_no_call_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SWITCHYARD_TOKEN", "SWITCHYARD_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CallRefusedError, match="this call has no token") as caught:
        call(JWT, "GET", "/v2")
    assert "--token-file" in (caught.value.hint or "")
    file = tmp_path / "token"
    file.write_text("mine")
    monkeypatch.setenv("SWITCHYARD_TOKEN", "the-environment-s")
    assert auth_for(JWT, file).headers("GET", "/", {}, b"") == {"authorization": "Bearer mine"}
    assert auth_for(JWT).headers("GET", "/", {}, b"") == {"authorization": "Bearer the-environment-s"}
    assert auth_for(Deployment("dev", "bucket", None, "none"), file).headers("GET", "/", {}, b"") == {}
