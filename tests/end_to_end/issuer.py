"""Somebody who issues tokens: an RSA key, the two documents that verifiers fetch, and tokens signed with it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

KEY_ID = "first"


class Issuer:
    """``token`` makes one that is good for five minutes; every claim and header may be said differently."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.url = ""
        self.asked: list[str] = []

    def token(self, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """A signed token; a claim that is ``None`` is left out."""
        now = int(time.time())
        said = {"iss": self.url, "aud": "models", "sub": "ada", "iat": now, "exp": now + 300, **claims}
        parts = [
            _encoded({"alg": "RS256", "kid": KEY_ID, **(header or {})}),
            _encoded({name: value for name, value in said.items() if value is not None}),
        ]
        signed = ".".join(parts).encode()
        signature = (key or self.key).sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64(signature)])

    def document(self, path: str) -> dict[str, Any] | None:
        """What stands at a path of the issuer's address."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            numbers = self.key.public_key().public_numbers()
            n, e = (
                number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (numbers.n, numbers.e)
            )
            return {"keys": [{"kty": "RSA", "kid": KEY_ID, "n": _base64(n), "e": _base64(e)}]}
        return None


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Issuer]:
    """An issuer on a free port of this machine, over https with a certificate written to ``certificate``."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.document(self.path)
            body = json.dumps(document).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        write_certificate(issuer.key, certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_certificate(key: rsa.RSAPrivateKey, path: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an issuer of tokens")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


def _encoded(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
