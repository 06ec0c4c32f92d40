"""Who a request says it is from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from switchyard_client.auth import (
    Anonymous,
    Bearer,
    Iam,
    Keyed,
    auth_of,
    credentials_of_environment,
    find_credentials,
    key_of_environment,
    region_of,
    token_of_file,
    with_key,
)
from switchyard_client.errors import CredentialsError
from switchyard_client.signing import Credentials

API = "https://abc123.execute-api.eu-central-1.amazonaws.com/v2"


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "SWITCHYARD_TOKEN",
        "SWITCHYARD_TOKEN_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")


def test_words_are_short_for_what_they_mean() -> None:
    given = Bearer("t")
    assert (auth_of("none"), type(auth_of("iam")), auth_of(given)) == (Anonymous(), Iam, given)


def test_the_region_is_the_one_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert region_of(API) == "eu-central-1"
    assert region_of("https://models.example.com") == "us-west-2"


def test_a_profile_may_say_the_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-south-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert region_of("https://models.example.com") == "eu-south-2"
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(CredentialsError):
        region_of("https://models.example.com")


def test_the_region_of_a_private_api_is_in_its_address_too() -> None:
    assert region_of("https://abc123-vpce-0a1b.execute-api.eu-west-1.amazonaws.com/prod") == "eu-west-1"


def test_a_key_goes_beside_the_proof_and_may_be_fetched_each_time() -> None:
    fetched = iter(["one", "two"])
    keyed = with_key(Bearer("mine"), lambda: next(fetched))
    assert keyed.headers("GET", API, {"a": "b"}, b"") == {
        "a": "b",
        "authorization": "Bearer mine",
        "x-api-key": "one",
    }
    assert keyed.headers("GET", API, {}, b"")["x-api-key"] == "two"
    assert with_key(keyed, "other") is keyed
    assert with_key(Anonymous(), None) == Anonymous()
    assert "secret" not in repr(Keyed(Bearer("secret"), "secret"))


def test_the_environment_s_key_is_a_key_or_a_file_with_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SWITCHYARD_API_KEY", "SWITCHYARD_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CredentialsError, match="a caller's key and none is known"):
        key_of_environment()
    (tmp_path / "key").write_text("two words")
    monkeypatch.setenv("SWITCHYARD_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(CredentialsError, match="does not hold one key") as caught:
        key_of_environment()
    assert "two" not in str(caught.value)
    monkeypatch.setenv("SWITCHYARD_API_KEY", "mine")
    assert key_of_environment() == "mine"


def test_an_unknown_region_is_an_error_with_a_way_out() -> None:
    with pytest.raises(CredentialsError, match="no AWS region") as caught:
        region_of("https://models.example.com")
    assert "AWS_REGION" in (caught.value.hint or "")


def test_iam_signs_for_execute_api() -> None:
    headers = Iam(Credentials("AKID", "secret")).headers("GET", API, {"content-type": "x"}, b"")
    assert "/eu-central-1/execute-api/aws4_request" in headers["authorization"]
    assert headers["content-type"] == "x"


def test_a_provider_is_asked_before_every_request() -> None:
    keys = iter(["FIRST", "SECOND"])
    auth = Iam(lambda: Credentials(next(keys), "secret"), region="eu-west-1")
    signed = [auth.headers("GET", API, {}, b"")["authorization"] for _ in range(2)]
    assert ["FIRST" in signed[0], "SECOND" in signed[1]] == [True, True]


@pytest.mark.parametrize("with_botocore", [True, False])
def test_credentials_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, *, with_botocore: bool
) -> None:
    in_environment(monkeypatch)
    if not with_botocore:
        monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert find_credentials()() == Credentials("AKID", "secret", "token")


def test_no_credentials_is_an_error_with_a_way_out() -> None:
    with pytest.raises(CredentialsError, match="no AWS credentials are known") as caught:
        Iam().headers("GET", API, {}, b"")
    assert "AWS_ACCESS_KEY_ID" in (caught.value.hint or "")
    with pytest.raises(CredentialsError):
        credentials_of_environment()


def test_a_bearer_token_is_sent_and_may_be_fetched_each_time() -> None:
    tokens = iter(["one", "two"])
    auth = Bearer(lambda: next(tokens))
    assert [auth.headers("GET", API, {}, b"")["authorization"] for _ in range(2)] == [
        "Bearer one",
        "Bearer two",
    ]
    assert Bearer("fixed").headers("GET", API, {}, b"") == {"authorization": "Bearer fixed"}
    assert "fixed" not in repr(Bearer("fixed"))


def test_the_environment_s_token_is_sent_as_it_is_at_each_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    auth = auth_of("jwt")
    with pytest.raises(CredentialsError, match="asks for a token and none is known") as caught:
        auth.headers("GET", API, {}, b"")
    assert "SWITCHYARD_TOKEN" in (caught.value.hint or "")
    file = tmp_path / "token"
    monkeypatch.setenv("SWITCHYARD_TOKEN_FILE", str(file))
    for token in ("first", "renewed"):
        file.write_text(f"{token}\n")
        assert auth.headers("GET", API, {}, b"") == {"authorization": f"Bearer {token}"}
    monkeypatch.setenv("SWITCHYARD_TOKEN", "said")
    assert auth.headers("GET", API, {"x": "y"}, b"") == {"x": "y", "authorization": "Bearer said"}


@pytest.mark.parametrize("content", [b"", b"two tokens", b"\xff"])
def test_a_file_that_does_not_hold_one_token_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(CredentialsError, match=f"`{file}`"):
        token_of_file(str(file))
