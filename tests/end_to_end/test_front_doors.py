"""A stage whose door is a REST API: tokens and keys, rates and quotas, and the same protocol behind it.

One deploy of its own, with one model. The other door's tests are everywhere else.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from local_cloud import cloud as embedded
from local_cloud.deploy import deploy
from switchyard_client import AccessDeniedError, Bearer, Client, Retries, ThrottledError, TooLargeError
from tests.conftest import ROOT, Deployed
from tests.end_to_end.digits import DIGITS, REQUEST
from tests.end_to_end.issuer import Issuer, serving
from tests.end_to_end.proxies import yard_proxy

pytestmark = pytest.mark.cloud

CATALOG = """
[stages.local]
api = "rest"
auth = "jwt"
keep_data = false
runtime_layer = "build/layers/local"
jwt = {{ issuer = "{issuer}", audience = ["models"], scopes = ["infer"] }}

[stages.local.callers.shop]
rate = 2_000
burst = 2_000
keys = ["first", "second"]

[stages.local.callers.guest]
rate = 1
burst = 2

[stages.local.callers.trial]
rate = 100
burst = 100
quota = 3

[stages.local.rest.waf]
rate_per_address = 1_000_000

[models.digits]
target = "lambda"
memory_mb = 512
timeout_s = 10
throttle_rate = 2_000
throttle_burst = 2_000
"""

MODEL = "/v2/models/digits"
ONCE = Retries(attempts=1)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """Whose tokens the stage takes; functions have to trust its certificate from the start."""
    certificate: Path = tmp_path_factory.mktemp("issuer") / "certificate.pem"
    with serving(certificate) as made, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(certificate))
        yield made


@pytest.fixture(scope="module")
def door(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The stage after a real deploy, with ``digits:1`` live."""
    home = tmp_path_factory.mktemp("door")
    catalog = home / "models.toml"
    catalog.write_text(CATALOG.format(issuer=issuer.url))
    made = Deployed(embedded.start(home), catalog)
    try:
        deploy(made.cloud, root=ROOT, catalog=catalog, on_progress=made.said.append)
        made.yard_json("publish", "digits", str(DIGITS / "v1" / "model.onnx"), "--metric", "accuracy=0.94")
        made.yard_json("release", "digits:1")
        yield made
    finally:
        embedded.stop(home)


@pytest.fixture(scope="module")
def url(door: Deployed) -> str:
    return door.api_url


@pytest.fixture(scope="module")
def keys(door: Deployed) -> dict[str, str]:
    """The first key of every caller, as API Gateway made it."""
    found = aws(door, "apigateway").get_api_keys(includeValues=True)["items"]
    parts = [(key["name"].split("."), key["value"]) for key in found]
    return {caller: value for (*_, caller, label), value in parts if label == "first"}


@pytest.fixture
def headers(issuer: Issuer, keys: dict[str, str]) -> dict[str, str]:
    """What a caller sends who may do everything."""
    return {"authorization": f"Bearer {issuer.token(scope='infer')}", "x-api-key": keys["shop"]}


@contextmanager
def triton_client(url: str) -> Iterator[Any]:
    client = triton.InferenceServerClient(url.removeprefix("http://"), network_timeout=35)
    try:
        yield client
    finally:
        client.close()


def asked_by(client: Any, headers: dict[str, str], *, binary: bool) -> Any:
    (given,) = REQUEST["inputs"]
    tensor = triton.InferInput(given["name"], given["shape"], given["datatype"])
    array = np.array(given["data"], np.float32).reshape(given["shape"])
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = [triton.InferRequestedOutput("label", binary_data=binary)]
    # A dictionary of its own: tritonclient writes into it.
    return client.infer("digits", [tensor], outputs=wanted, headers=dict(headers)).as_numpy("label")


def ask(url: str, headers: dict[str, str], **more: Any) -> httpx.Response:
    return httpx.post(f"{url}{MODEL}/infer", headers=headers, timeout=35, **({"json": REQUEST} | more))


def aws(door: Deployed, service: str) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=door.cloud.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name=door.cloud.region,
    )


def test_an_unmodified_client_speaks_the_protocol_with_a_token_and_a_key(
    url: str, headers: dict[str, str]
) -> None:
    """Law 7, by payload format 1.0: JSON and binary tensors, there and back."""
    # A REST API turns base64 back into bytes for requests that say which answers they accept.
    sent = {**headers, "accept": "*/*"}
    with triton_client(url) as client:
        assert client.is_server_live(headers=sent)
        assert client.is_server_ready(headers=sent)
        assert client.is_model_ready("digits", headers=sent)
        assert client.get_model_metadata("digits", headers=sent)["name"] == "digits"
        labels = [asked_by(client, sent, binary=binary).tolist() for binary in (True, False)]
    assert labels[0] == labels[1]


def test_the_project_s_client_takes_a_key_beside_the_token(
    url: str, issuer: Issuer, keys: dict[str, str]
) -> None:
    (given,) = REQUEST["inputs"]
    rows = np.array(given["data"], np.float32).reshape(given["shape"])
    bearer = Bearer(issuer.token(scope="infer"))
    with Client(url, auth=bearer, api_key=keys["shop"]) as client:
        assert client.server().name == "switchyard"
        few = client.infer("digits", {given["name"]: rows})
        assert few.version == "1"
        many = np.tile(rows[:1], (16_000, 1))
        assert many.nbytes > 4_000_000
        assert client.infer("digits", {given["name"]: many})["label"].shape[0] == 16_000
        with pytest.raises(TooLargeError):
            client.infer("digits", {given["name"]: np.tile(rows[:1], (20_000, 1))})
    with Client(url, auth=bearer) as client, pytest.raises(AccessDeniedError, match="key of a caller"):
        client.infer("digits", {given["name"]: rows})


def test_who_may_not_in_hears_so_in_the_protocol_s_form(
    url: str, issuer: Issuer, headers: dict[str, str]
) -> None:
    other = {"authorization": f"Bearer {issuer.token(scope='infer', iss='https://elsewhere.example')}"}
    refused = {
        "no token": ({"authorization": ""}, 401),
        "no bearer": ({"authorization": "Basic dTpw"}, 401),
        "expired": ({"authorization": f"Bearer {issuer.token(scope='infer', exp=1)}"}, 401),
        "of somebody else": (other, 401),
        "not for this": ({"authorization": f"Bearer {issuer.token(scope='read')}"}, 403),
        "no key": ({"x-api-key": ""}, 403),
        "unknown key": ({"x-api-key": "0123456789012345678901234567"}, 403),
    }
    found = {name: ask(url, {**headers, **instead}) for name, (instead, _) in refused.items()}
    assert {name: answer.status_code for name, answer in found.items()} == {
        name: status for name, (_, status) in refused.items()
    }
    for name, answer in found.items():
        assert list(answer.json()) == ["error"], name
    assert found["expired"].headers["www-authenticate"] == "Bearer"
    nowhere = httpx.get(f"{url}/v2/models/unknown", headers=headers, timeout=35)
    assert (nowhere.status_code, nowhere.json()["models"]) == (404, ["digits"])
    assert httpx.get(url, headers=headers, timeout=35).status_code == 404


def test_a_caller_beyond_its_rate_waits_and_nobody_else_does(
    url: str, headers: dict[str, str], keys: dict[str, str]
) -> None:
    guest = {**headers, "x-api-key": keys["guest"]}
    until = time.monotonic() + 60
    while (answer := ask(url, guest)).status_code == 200:
        assert time.monotonic() < until, "a rate of 1 a second lets everything through"
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert "too many requests" in answer.json()["error"]
    assert ask(url, headers).status_code == 200


def test_a_quota_ends_and_says_so(
    url: str, issuer: Issuer, headers: dict[str, str], keys: dict[str, str]
) -> None:
    trial = {**headers, "x-api-key": keys["trial"]}
    assert [ask(url, trial).status_code for _ in range(3)] == [200, 200, 200]
    (given,) = REQUEST["inputs"]
    rows = np.array(given["data"], np.float32).reshape(given["shape"])
    bearer = Bearer(issuer.token(scope="infer"))
    with (
        Client(url, auth=bearer, api_key=keys["trial"], retries=ONCE) as client,
        pytest.raises(ThrottledError, match="quota of this key is used up"),
    ):
        client.infer("digits", {given["name"]: rows})
    assert ask(url, headers).status_code == 200


@pytest.mark.parametrize("megabytes", [5, 7, 11])
def test_what_the_function_or_the_api_cannot_carry_is_a_413(
    url: str, headers: dict[str, str], megabytes: int
) -> None:
    """Base64 makes of 4.5 MB what Lambda takes of 6; the API itself takes 10."""
    answer = ask(url, headers, json=None, content=b"x" * megabytes * 1024 * 1024)
    assert (answer.status_code, list(answer.json())) == (413, ["error"])


def test_the_command_line_takes_token_and_key_from_the_environment(
    door: Deployed, issuer: Issuer, keys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "SWITCHYARD_TOKEN",
        "SWITCHYARD_TOKEN_FILE",
        "SWITCHYARD_API_KEY",
        "SWITCHYARD_API_KEY_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    token = issuer.token(scope="infer")
    monkeypatch.setenv("SWITCHYARD_TOKEN", token)
    untold = door.yard("invoke", "digits")
    assert (untold.returncode, b"key and none is known" in untold.stderr) == (1, True)
    (tmp_path / "key").write_text(keys["shop"])
    monkeypatch.setenv("SWITCHYARD_API_KEY_FILE", str(tmp_path / "key"))
    assert door.yard_json("invoke", "digits")["model_name"] == "digits"
    limits = {one["caller"]: (one["rate"], one["quota"]) for one in door.yard_json("callers")}
    assert limits == {"shop": (2_000, None), "guest": (1, None), "trial": (100, 3)}
    assert door.yard_json("callers", "shop", "--key", "first")["key"] == keys["shop"]
    unknown = door.yard("callers", "shop", "--key", "third")
    assert (unknown.returncode, b"shop (first, second)" in unknown.stderr) == (1, True)
    with (
        yard_proxy(door, {"SWITCHYARD_TOKEN": token, "SWITCHYARD_API_KEY": keys["shop"]}) as (place, _),
        triton_client(place["url"]) as client,
    ):
        # The proxy says what is accepted, so a program need not.
        assert asked_by(client, {"x-api-key": "its own"}, binary=True) is not None


def test_a_flip_moves_what_this_door_leads_to_and_a_rollback_moves_it_back(
    door: Deployed, url: str, headers: dict[str, str]
) -> None:
    """Law 4: nothing was deployed in between."""
    door.yard_json("publish", "digits", str(DIGITS / "v2" / "model.onnx"), "--metric", "accuracy=0.97")
    door.yard_json("release", "digits:2")
    assert ask(url, headers).json()["model_version"] == "2"
    pinned = httpx.post(f"{url}{MODEL}/versions/1/infer", headers=headers, json=REQUEST, timeout=35)
    assert pinned.json()["model_version"] == "1"
    door.yard_json("rollback", "digits")
    assert ask(url, headers).json()["model_version"] == "1"


def test_no_payload_key_or_token_is_in_any_log(
    door: Deployed, url: str, issuer: Issuer, headers: dict[str, str]
) -> None:
    """Planted where a caller can put something, by callers who are let in and by callers who are not."""
    planted = f"planted{uuid.uuid4().hex}"
    token = issuer.token(scope="infer", note=planted)
    good = {"authorization": f"Bearer {token}", "x-api-key": headers["x-api-key"]}
    secret = {**good, "cookie": planted, "x-more": planted}
    (given,) = REQUEST["inputs"]
    sent: list[tuple[dict[str, str], Any, int]] = [
        (secret, {"json": {**REQUEST, "id": planted}}, 200),
        (secret, {"json": {"inputs": [{**given, "name": planted}]}}, 400),
        (secret, {"json": None, "content": f"{{{planted}"}, 400),
        ({**secret, "authorization": f"Bearer {planted}"}, {}, 401),
        ({**secret, "authorization": f"Bearer {issuer.token(aud=planted)}"}, {}, 401),
        ({**secret, "x-api-key": planted}, {}, 403),
    ]
    for with_headers, more, status in sent:
        answer = ask(url, with_headers, params={"key": planted}, **more)
        assert answer.status_code == status, answer.text
    hidden = [planted, token, headers["x-api-key"], token.rpartition(".")[2]]
    logs = aws(door, "logs")
    access = "/aws/vendedlogs/switchyard/local/api"

    def written() -> dict[str, list[str]]:
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        return {
            group: [
                event["message"]
                for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
                for event in page["events"]
            ]
            for group in groups
        }

    until = time.monotonic() + 60
    while True:
        found = written()
        lines = [json.loads(line) for line in found[access]]
        outcomes = [line for line in found["/aws/lambda/switchyard-local-Authorizer"] if "outcome" in line]
        if [line["status"] for line in lines[-6:]] == [str(status) for *_, status in sent] and outcomes:
            break
        assert time.monotonic() < until, lines[-6:]
        time.sleep(0.2)
    assert {line["refused_as"] for line in lines} >= {
        *("-", "UNAUTHORIZED", "ACCESS_DENIED", "INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED"),
        "REQUEST_TOO_LARGE",
    }
    answered = next(line for line in reversed(lines) if line["status"] == "200")
    assert (answered["subject"], answered["route"]) == ("ada", f"{MODEL}/{{proxy+}}")
    assert answered["key"] not in {"-", headers["x-api-key"]}
    assert [line for every in found.values() for line in every if any(word in line for word in hidden)] == []
