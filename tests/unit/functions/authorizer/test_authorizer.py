"""``functions.authorizer.authorizer``: API Gateway's leave, and a log without anything secret."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from functions.authorizer.authorizer import Authorizer, UnauthorizedError
from functions.authorizer.ports import NoDocumentError
from functions.authorizer.tokens import Wanted
from model_store.contract.errors import SwitchyardError
from tests.unit.functions.authorizer.conftest import ISSUER, NOW, Issuer

METHOD = "arn:aws:execute-api:eu-west-1:123456789012:abcdefghij/prod/POST/v2/models/digits/infer"
WANTED = Wanted(ISSUER, frozenset({"models"}), frozenset({"infer"}))


class Door:
    def __init__(self, issuer: Issuer) -> None:
        self.lines: list[str] = []
        self._authorizer = Authorizer(
            WANTED, issuer.documents, clock=lambda: NOW, write_log=self.lines.append
        )

    def ask(self, authorization: str, **more: Any) -> dict[str, Any]:
        event = {"type": "TOKEN", "authorizationToken": authorization, "methodArn": METHOD, **more}
        return self._authorizer(event, None)


@pytest.fixture
def door(issuer: Issuer) -> Door:
    return Door(issuer)


def test_a_good_token_is_let_in_to_the_whole_stage(door: Door, issuer: Issuer) -> None:
    """API Gateway keeps the leave by the token, so it must hold for the paths that come next."""
    leave = door.ask(f"Bearer {issuer.token(scope='infer', client_id='shop')}")
    (statement,) = leave["policyDocument"]["Statement"]
    assert statement == {
        "Action": "execute-api:Invoke",
        "Effect": "Allow",
        "Resource": "arn:aws:execute-api:eu-west-1:123456789012:abcdefghij/prod/*",
    }
    assert leave["principalId"] == "ada"
    assert leave["context"] == {"iss": ISSUER, "sub": "ada", "client_id": "shop"}


def test_a_good_token_without_the_scope_is_denied_and_not_unknown(door: Door, issuer: Issuer) -> None:
    leave = door.ask(f"bearer {issuer.token(scope='read', sub=None)}")
    assert leave["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert leave["principalId"] == "unnamed"


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer a b", "Bearer a.b.c"]
)
def test_what_is_no_good_token_is_unauthorized_in_the_word_that_api_gateway_reads(
    door: Door, authorization: str
) -> None:
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
        door.ask(authorization)


def test_while_nobody_knows_the_issuer_s_keys_it_is_not_the_caller_s_fault(
    door: Door, issuer: Issuer
) -> None:
    token = issuer.token(scope="infer")
    issuer.documents.held = {}
    with pytest.raises(NoDocumentError):
        door.ask(f"Bearer {token}")


@pytest.mark.parametrize("arn", [None, "*", METHOD.partition("/")[0]])
def test_an_event_of_no_method_opens_nothing(door: Door, issuer: Issuer, arn: str | None) -> None:
    with pytest.raises(UnauthorizedError):
        door.ask(f"Bearer {issuer.token(scope='infer')}", methodArn=arn)


def test_the_log_says_what_came_of_it_and_nothing_of_the_token(door: Door, issuer: Issuer) -> None:
    planted = "planted-5d1c"
    door.ask(f"Bearer {issuer.token(scope='infer', note=planted)}")
    door.ask(f"Bearer {issuer.token(scope=planted)}")
    for token in (issuer.token(aud=planted), planted):
        with pytest.raises(UnauthorizedError) as caught:
            door.ask(f"Bearer {token}")
        # Lambda writes an error with everything it was raised from.
        assert planted not in "".join(traceback.format_exception(caught.value))
    outcomes = [json.loads(line)["outcome"] for line in door.lines]
    assert outcomes == ["allowed", "denied", "unauthorized", "unauthorized"]
    assert planted not in "".join(door.lines)


def test_a_wrong_environment_fails_at_the_start(issuer: Issuer) -> None:
    said = json.dumps({"issuer": ISSUER, "audience": ["models"], "scopes": []})
    assert Authorizer.from_environment({"SWITCHYARD_JWT": said}, issuer.documents)
    for broken in ({}, {"SWITCHYARD_JWT": "{"}, {"SWITCHYARD_JWT": '{"issuer": "x"}'}):
        with pytest.raises(SwitchyardError, match="does not say whose tokens"):
            Authorizer.from_environment(broken, issuer.documents)
