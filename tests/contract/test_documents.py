"""The laws of ``functions.authorizer.ports.Documents``, held against every adapter."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.authorizer.adapters.https import MAX_BYTES, HttpsDocuments
from functions.authorizer.adapters.memory import MemoryDocuments
from functions.authorizer.ports import Documents, NoDocumentError
from tests.end_to_end.issuer import Issuer, write_certificate

HELD: dict[str, Any] = {
    "/keys": {"keys": []},
    "/list": [1],
    "/large": {"a": "x" * MAX_BYTES},
    "/moved": None,
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = b"no json" if path == "/text" else json.dumps(HELD.get(path)).encode()
        self.send_response(302 if path == "/moved" else 200 if path in HELD or path == "/text" else 404)
        self.send_header("location", "/keys")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    certificate: Path = tmp_path_factory.mktemp("issuer") / "certificate.pem"
    write_certificate(Issuer().key, certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(certificate))
        yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["memory", "https"])
def documents(request: pytest.FixtureRequest, address: str) -> Documents:
    if request.param == "https":
        return HttpsDocuments()
    held = {f"{address}{path}": document for path, document in HELD.items() if path != "/large"}
    return MemoryDocuments(held)


def test_an_object_at_an_https_address_is_fetched(documents: Documents, address: str) -> None:
    assert documents.get(f"{address}/keys") == {"keys": []}


@pytest.mark.parametrize("path", ["/none", "/list", "/text", "/large", "/moved"])
def test_what_is_no_object_there_is_no_document(documents: Documents, address: str, path: str) -> None:
    with pytest.raises(NoDocumentError):
        documents.get(f"{address}{path}")


@pytest.mark.parametrize("scheme", ["http", "file", "ftp"])
def test_an_address_that_is_not_https_is_not_asked(documents: Documents, address: str, scheme: str) -> None:
    with pytest.raises(NoDocumentError, match="no https address"):
        documents.get(address.replace("https", scheme) + "/keys")


def test_a_certificate_that_nobody_vouches_for_is_no_issuer(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NoDocumentError, match="did not answer"):
        HttpsDocuments().get(f"{address}/keys")
