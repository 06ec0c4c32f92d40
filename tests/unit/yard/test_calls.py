"""``yard.calls``: what a call is made of before it is sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.environment import MAX_PAYLOAD_BYTES
from releases.errors import ServiceError
from yard.calls import CallRefusedError, auth_for, call, infer, is_picture, of_pictures
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


KEYED = replace(JWT, asks_for_key=True)


def test_a_stage_that_knows_its_callers_by_keys_gets_one_and_no_other_stage_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SWITCHYARD_API_KEY", "SWITCHYARD_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWITCHYARD_TOKEN", "mine")
    with pytest.raises(CallRefusedError, match="this call has no key") as caught:
        call(KEYED, "GET", "/v2")
    assert "yard callers" in (caught.value.hint or "")
    (tmp_path / "key").write_text("of-a-file\n")
    monkeypatch.setenv("SWITCHYARD_API_KEY_FILE", str(tmp_path / "key"))
    assert auth_for(KEYED).headers("GET", "/", {}, b"") == {
        "authorization": "Bearer mine",
        "x-api-key": "of-a-file",
    }
    monkeypatch.setenv("SWITCHYARD_API_KEY", "of-the-environment")
    assert auth_for(KEYED).headers("GET", "/", {}, b"")["x-api-key"] == "of-the-environment"
    assert "x-api-key" not in auth_for(JWT).headers("GET", "/", {}, b"")
    monkeypatch.delenv("SWITCHYARD_TOKEN")
    with pytest.raises(CallRefusedError, match="this call has no token"):
        call(KEYED, "GET", "/v2")


# What Lambda does not carry

LARGE = json.dumps({"inputs": [{"data": [0] * 3_000_000}]}).encode()
MODEL = "/v2/models/m"


class Api(ThreadingHTTPServer):
    """A model that hands off, its bucket, and a log of who asked what."""

    daemon_threads = True
    hands_off = True
    upload_status = 200
    put_status = 200
    get_status = 200
    large_answer = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        self.uploaded = b""
        self.inputs: list[Any] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    @property
    def place(self) -> Deployment:
        return Deployment("prod", "bucket", self.address, "none")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def do_GET(self) -> None:
        self.server.seen.append(f"GET {self.path}")
        if self.path == "/out":
            self._answer(self.server.get_status, {"model_name": "m", "outputs": ["large"]})
        else:
            parameters = {"handoff_max_bytes": 9} if self.server.hands_off else {}
            self._answer(200, {"inputs": self.server.inputs, "parameters": parameters})

    def do_PUT(self) -> None:
        self.server.seen.append(f"PUT {self.path} {self.headers['x-signed']}")
        self.server.uploaded = self._body()
        self._answer(self.server.put_status, {})

    def do_POST(self) -> None:
        asked = json.loads(self._body())
        self.server.seen.append(f"POST {self.path}")
        if self.path.endswith("/uploads"):
            self._upload(asked)
            return
        parameters = asked.get("parameters", {})
        if not self.server.large_answer:
            self._answer(200, {"model_name": "m", "outputs": [], "parameters": {"told": parameters}})
        elif parameters.get("accept_output_url") is True:
            self._answer(200, {"outputs": [], "parameters": {"output_url": f"{self.server.address}/out"}})
        else:
            self._answer(413, {"error": "the answer has too many bytes"})

    def _upload(self, asked: Any) -> None:
        if not self.server.hands_off:
            self._answer(404, {"error": "there is no such path here"})
        elif self.server.upload_status != 200:
            self._answer(self.server.upload_status, {"error": "at most 5 are taken"})
        else:
            headers = {"content-length": str(asked["bytes"]), "x-signed": "yes"}
            url = f"{self.server.address}/in"
            self._answer(200, {"input_ref": "ref", "url": url, "headers": headers})


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_request_that_fits_is_one_request(api: Api) -> None:
    assert infer(api.place, MODEL, b'{"inputs": []}').status == 200
    assert api.seen == [f"POST {MODEL}/infer"]


def test_a_request_that_lambda_does_not_carry_goes_through_s3(api: Api) -> None:
    answer = infer(api.place, MODEL, LARGE)
    assert api.seen == [f"POST {MODEL}/uploads", "PUT /in yes", f"POST {MODEL}/infer"]
    assert api.uploaded == LARGE
    told = json.loads(answer.body)["parameters"]["told"]
    assert told == {"input_ref": "ref", "accept_output_url": True}


def test_through_a_rest_api_less_json_goes_directly(api: Api) -> None:
    """It carries every body as base64: 5 MB are 6.7."""
    five = json.dumps({"inputs": [{"data": [0] * 1_600_000}]}).encode()
    infer(api.place, MODEL, five)
    assert api.seen == [f"POST {MODEL}/infer"]
    api.seen.clear()
    infer(replace(api.place, api_kind="rest"), MODEL, five)
    assert api.seen == [f"POST {MODEL}/uploads", "PUT /in yes", f"POST {MODEL}/infer"]


def test_an_answer_that_lambda_does_not_carry_is_asked_for_again_and_fetched(api: Api) -> None:
    api.large_answer = True
    answer = infer(api.place, MODEL, b'{"inputs": [], "parameters": {"mine": 1}}')
    assert json.loads(answer.body)["outputs"] == ["large"]
    assert api.seen == [f"POST {MODEL}/infer", f"GET {MODEL}", f"POST {MODEL}/infer", "GET /out"]


def test_both_ways_through_s3_take_no_second_asking(api: Api) -> None:
    api.large_answer = True
    assert json.loads(infer(api.place, MODEL, LARGE).body)["outputs"] == ["large"]
    assert api.seen == [f"POST {MODEL}/uploads", "PUT /in yes", f"POST {MODEL}/infer", "GET /out"]


def test_a_picture_becomes_the_request_of_a_model_that_takes_one(api: Api) -> None:
    api.inputs = [{"name": "image", "parameters": {"content_type": "image/png"}}]
    file = b"\x89PNG\r\n\x1a\n and more"
    assert is_picture(file)
    (tensor,) = json.loads(of_pictures(api.place, MODEL, file))["inputs"]
    assert (tensor["name"], tensor["shape"], base64.b64decode(tensor["data"][0])) == ("image", [1], file)


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [{"name": "x"}],
        [{"name": "image", "parameters": {"content_type": "image/png"}}, {"name": "x"}],
    ],
    ids=["none", "numbers", "two"],
)
def test_a_picture_for_a_model_that_takes_none_is_not_sent(api: Api, inputs: list[Any]) -> None:
    api.inputs = inputs
    with pytest.raises(CallRefusedError, match="takes other inputs than one of pictures"):
        of_pictures(api.place, MODEL, b"\xff\xd8\xff")
    assert not is_picture(b'{"inputs": []}')


def test_a_model_that_hands_nothing_off_is_said_so_with_what_to_set(api: Api) -> None:
    api.hands_off = False
    with pytest.raises(CallRefusedError, match="takes at most 6,291,456") as caught:
        infer(api.place, MODEL, LARGE)
    assert "`handoff = true`" in (caught.value.hint or "")
    api.large_answer = True
    assert infer(api.place, MODEL, b'{"inputs": []}').status == 413


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"upload_status": 413}, "no upload of .* is taken: 413 at most 5 are taken"),
        ({"put_status": 403}, "was answered with 403"),
        ({"get_status": 403, "large_answer": True}, "lies in S3, and asking for it was answered with 403"),
    ],
)
def test_what_goes_wrong_on_the_way_is_said(api: Api, wrong: dict[str, Any], words: str) -> None:
    vars(api).update(wrong)
    with pytest.raises(CallRefusedError, match=words):
        infer(api.place, MODEL, LARGE)
