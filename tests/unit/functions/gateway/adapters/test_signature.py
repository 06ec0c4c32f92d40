"""``functions.gateway.adapters.signature``: what is signed here is what botocore signs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from functions.gateway.adapters.signature import Credentials, Signer, credentials_from

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("token", ["", "a passing token"])
@pytest.mark.parametrize("body", [b"", b"\x00\xff" * 999])
def test_a_request_is_signed_as_botocore_signs_it(token: str, body: bytes) -> None:
    host, path = "runtime.sagemaker.eu-west-1.amazonaws.com", "/endpoints/switchyard-prod-bert-4/invocations"
    headers = {"content-type": "application/json"}
    signer = Signer("sagemaker", "eu-west-1", lambda: Credentials("AKID", "secret", token), lambda: NOW)
    ours = signer.headers("POST", host, path, body, headers)
    request = AWSRequest("POST", f"https://{host}{path}", headers=dict(headers), data=body)
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    auth = SigV4Auth(BotocoreCredentials("AKID", "secret", token or None), "sagemaker", "eu-west-1")
    request.context["timestamp"] = ours["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = auth.canonical_request(request)
    expected = auth.signature(auth.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={expected}")
    assert auth.signed_headers(auth.headers_to_sign(request)) in ours["authorization"]


def test_credentials_stand_in_the_environment() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    assert credentials_from(environ)() == Credentials("a", "b", "c")


class Address(BaseHTTPRequestHandler):
    """Lambda's credentials address: other credentials each time, the first ones about to end."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization"))
        left = timedelta(minutes=1 if len(self.asked) == 1 else 60)
        body = {
            "AccessKeyId": f"key-{len(self.asked)}",
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": (datetime.now(UTC) + left).isoformat(),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Address.asked = []
    server = HTTPServer(("127.0.0.1", 0), Address)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/credentials"
    server.shutdown()
    server.server_close()


def test_with_snapstart_credentials_are_fetched_and_renewed_before_they_end(address: str) -> None:
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": address,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in",
    }
    find = credentials_from(environ)
    assert [find().key, find().key, find().key] == ["key-1", "key-2", "key-2"]
    assert Address.asked == ["let me in", "let me in"]
