"""Signatures against AWS's published test vectors, and against botocore's own."""

from __future__ import annotations

from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from switchyard_client import signing
from switchyard_client.signing import Credentials, sign

HOST = "https://example.amazonaws.com"
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
UNRESERVED = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8Y"
    "UuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8"
    "YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2I"
    "CCR/oLxBA=="
)

VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
VECTORS = {
    "get-vanilla": ("GET", "/", {}, b"", VANILLA),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-empty-query-key": (
        "GET",
        "/?Param1=value1",
        {},
        b"",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-utf8-query": (
        "GET",
        "/?ሴ=bar",
        {},
        b"",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-unreserved": (
        "GET",
        UNRESERVED,
        {},
        b"",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": (
        "GET",
        "/ሴ",
        {},
        b"",
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-space": (
        "GET",
        "/example space/",
        {},
        b"",
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-relative": ("GET", "/example/..", {}, b"", VANILLA),
    "get-slash": ("GET", "//", {}, b"", VANILLA),
    "get-slashes": (
        "GET",
        "//example//",
        {},
        b"",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-slash-pointless-dot": (
        "GET",
        "/./example",
        {},
        b"",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-header-value-trim": (
        "GET",
        "/",
        {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": (
        "POST",
        "/",
        {},
        b"",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        {"Content-Type": FORM},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-x-www-form-urlencoded-parameters": (
        "POST",
        "/",
        {"Content-Type": f"{FORM}; charset=utf8"},
        b"Param1=value1",
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
}


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_published_vector_has_its_published_signature(name: str) -> None:
    """AWS Signature Version 4 test suite, the vectors for a service other than S3."""
    method, path, headers, body, expected = VECTORS[name]
    signed = sign(
        method, HOST + path, headers, body, credentials=KEY, region="us-east-1", service="service", now=NOW
    )
    assert signature(signed) == expected


def test_a_session_token_is_sent_and_signed() -> None:
    """Vector ``post-sts-header-before``."""
    temporary = Credentials(KEY.access_key, KEY.secret_key, TOKEN)
    signed = sign(
        "POST", HOST, {}, b"", credentials=temporary, region="us-east-1", service="service", now=NOW
    )
    assert signed["x-amz-security-token"] == TOKEN
    assert signature(signed) == "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"


def test_the_example_of_the_user_guide_has_its_signature() -> None:
    """IAM User Guide, the ListUsers example."""
    signed = sign(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"Content-Type": f"{FORM}; charset=utf-8"},
        b"",
        credentials=KEY,
        region="us-east-1",
        service="iam",
        now=NOW,
    )
    assert signature(signed) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert signed["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature="
    )


segments = st.lists(st.text("abc-._~%2F:@é ", max_size=6), max_size=4)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=segments,
    query=st.dictionaries(st.text("abz-_. é", min_size=1, max_size=5), st.text("az09-_./:", max_size=5)),
    body=st.binary(max_size=64),
    token=st.none() | st.text("abc/+=", min_size=1, max_size=12),
    port=st.sampled_from(["", ":443", ":8443"]),
)
def test_botocore_signs_the_same(
    method: str, path: list[str], query: dict[str, str], body: bytes, token: str | None, port: str
) -> None:
    from urllib.parse import quote, urlencode

    url = f"https://api.example.com{port}/" + "/".join(quote(part) for part in path)
    if query:
        url += "?" + urlencode(query, quote_via=quote)
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": "12"}
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    theirs = botocore.auth.SigV4Auth(
        BotocoreCredentials("AKID", "secret", token), "execute-api", "eu-north-1"
    )
    theirs.add_auth(request)
    when = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign(
        method,
        url,
        headers,
        body,
        credentials=Credentials("AKID", "secret", token),
        region="eu-north-1",
        service="execute-api",
        now=when,
    )
    assert ours["authorization"] == request.headers["Authorization"]


def test_secrets_do_not_show_when_credentials_are_printed() -> None:
    shown = repr(Credentials("AKID", "the-secret", "the-token"))
    assert "AKID" in shown
    assert "the-" not in shown


def test_a_plus_in_a_query_is_the_space_that_servers_read() -> None:
    plus, space = (
        signing.canonical_request("GET", f"{HOST}/?a={sign}", {"host": "x"}, b"") for sign in ("b+c", "b%20c")
    )
    assert plus == space
