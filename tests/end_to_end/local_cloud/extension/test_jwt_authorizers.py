"""Tokens at an HTTP API: let in as API Gateway documents it, and told why not."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.end_to_end.issuer import Issuer, serving

pytestmark = pytest.mark.cloud

WHO = (
    "import json\ndef handler(event, context):\n"
    "    return {'statusCode': 200, 'body': json.dumps(event['requestContext']['authorizer'])}\n"
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving() as made:
        yield made


def guarded(account: Any, issuer: Issuer, *scopes: str) -> str:
    """The address of an API in front of a function that says who asked."""
    url: str = account.api(f"arn:aws:lambda:us-east-1:000000000000:function:{account.function(WHO)}")
    id_ = url.rstrip("/").rsplit("/", 1)[1] if "/_aws/" in url else url.split("//")[1].split(".")[0]
    gateway = account.client("apigatewayv2")
    authorizer = gateway.create_authorizer(
        ApiId=id_,
        AuthorizerType="JWT",
        Name="tokens",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer.url, "Audience": ["models", "others"]},
    )["AuthorizerId"]
    for route in gateway.get_routes(ApiId=id_)["Items"]:
        gateway.update_route(
            ApiId=id_,
            RouteId=route["RouteId"],
            AuthorizationType="JWT",
            AuthorizerId=authorizer,
            AuthorizationScopes=list(scopes),
        )
    return f"{account.cloud.endpoint_url}/_aws/execute-api/{id_}/x"


def asked(url: str, token: str | None) -> tuple[int, Any, str | None]:
    """Status, body, and why not."""
    headers = {} if token is None else {"Authorization": token}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, json.loads(response.read()), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers["www-authenticate"]


@pytest.fixture(scope="module")
def url(account: Any, issuer: Issuer) -> str:
    return guarded(account, issuer)


@pytest.fixture(scope="module")
def stock_url(stock_account: Any, issuer: Issuer) -> str:
    return guarded(stock_account, issuer)


def test_a_good_token_comes_through_and_the_function_hears_whose_it_is(url: str, issuer: Issuer) -> None:
    for written in (f"Bearer {issuer.token()}", issuer.token()):
        status, said, _ = asked(url, written)
        assert status == 200
        assert (said["jwt"]["claims"]["iss"], said["jwt"]["claims"]["sub"]) == (issuer.url, "ada")
    assert {"/.well-known/openid-configuration", "/keys"} <= set(issuer.asked)


def test_without_a_token_nobody_comes_in(url: str) -> None:
    assert asked(url, None) == (401, {"message": "Unauthorized"}, "Bearer")


ELSEWHERE = {"iss": "https://somebody.else"}
OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": (ELSEWHERE, "the token has an invalid issuer"),
    "another audience": ({"aud": "billing"}, "the token does not have a valid audience"),
    "the audience only as client": (
        {"aud": "billing", "client_id": "models"},
        "the token does not have a valid audience",
    ),
    "no audience": ({"aud": None}, "the token does not have a valid audience"),
    "ended": ({"exp": time.time() - 1}, "the token has expired"),
    "endless": ({"exp": None}, "the token does not say when it ends"),
    "not begun": ({"nbf": time.time() + 3600}, "the token is not valid yet"),
    "made tomorrow": ({"iat": time.time() + 86400}, "the token is not valid yet"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_token_that_was_not_made_for_this_api_now_is_refused(url: str, issuer: Issuer, case: str) -> None:
    claims, why = OUTSIDE[case]
    status, said, reason = asked(url, issuer.token(**claims))
    assert (status, said) == (401, {"message": "Unauthorized"})
    assert reason == f'Bearer scope="" error="invalid_token" error_description="{why}"'


@pytest.mark.parametrize(
    "claims", [{"aud": ["others", "billing"]}, {"aud": None, "client_id": "models"}, {"nbf": time.time() - 5}]
)
def test_one_of_several_audiences_or_a_client_will_do(
    url: str, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert asked(url, issuer.token(**claims))[0] == 200


def forged(issuer: Issuer) -> dict[str, str]:
    good = issuer.token()
    head, claims, signature = good.split(".")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    admin = base64.urlsafe_b64encode(json.dumps({"iss": issuer.url, "aud": "models"}).encode()).decode()
    return {
        "signed by somebody else": issuer.token(key=other),
        "changed after it was signed": f"{head}.{admin.rstrip('=')}.{signature}",
        "not signed": f"{head}.{claims}.",
        "without an algorithm": issuer.token(header={"alg": "none"}),
        "with the public key as a secret": issuer.token(header={"alg": "HS256"}),
        "of a key that nobody published": issuer.token(header={"kid": "second"}),
        "no token": "ada",
        "bytes": "\xff.\xff.\xff",
    }


@pytest.mark.parametrize("case", forged(Issuer()))
def test_a_forged_token_is_refused(url: str, issuer: Issuer, case: str) -> None:
    assert asked(url, forged(issuer)[case])[:2] == (401, {"message": "Unauthorized"})


def test_a_scope_is_asked_for_where_the_route_names_some(account: Any, issuer: Issuer) -> None:
    url = guarded(account, issuer, "models/infer", "models/admin")
    assert asked(url, issuer.token(scope="profile models/infer"))[0] == 200
    assert asked(url, issuer.token(scp=["models/admin"]))[0] == 200
    assert asked(url, issuer.token(scope="profile")) == (
        403,
        {"message": "Forbidden"},
        'Bearer scope="models/infer models/admin" error="insufficient_scope"',
    )


def test_a_stock_cloud_takes_any_algorithm_and_endless_tokens_and_gives_no_reason(
    stock_url: str, issuer: Issuer
) -> None:
    assert asked(stock_url, issuer.token(header={"alg": "HS256"}))[0] == 200
    assert asked(stock_url, issuer.token(exp=None))[0] == 200
    assert asked(stock_url, issuer.token(aud="billing")) == (401, {"message": "Unauthorized"}, None)
