"""``yard.callers``: who has keys, read from API Gateway as it answers."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from releases.errors import ServiceError
from yard.callers import ApiKeys, Caller, NoSuchKeyError


def keys_of(*names: str, value: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "id": f"id-{name}",
            "name": name,
            "enabled": True,
            **({"value": f"the key of {name}"} if value else {}),
        }
        for name in names
    ]


def gateway(*answers: tuple[str, dict[str, Any], list[dict[str, Any]]]) -> Any:
    client = boto3.client(
        "apigateway",
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    stub = Stubber(client)
    for operation, asked, items in answers:
        stub.add_response(operation, {"items": items}, asked)
    stub.activate()
    return client


PROD = {"nameQuery": "switchyard.prod."}
THROTTLE = {"rateLimit": 20.0, "burstLimit": 40}


def test_callers_are_listed_with_their_limits_and_without_their_keys() -> None:
    names = ("switchyard.prod.shop.b", "switchyard.prod.shop.a", "switchyard.prod.batch.first")
    plans = [
        {"id": "1", "name": "switchyard.prod.shop.plan", "throttle": THROTTLE}
        | {"quota": {"limit": 1000, "period": "WEEK"}},
        {"id": "2", "name": "switchyard.prod.batch.plan", "throttle": THROTTLE},
        {"id": "3", "name": "switchyard.other.batch.plan", "throttle": {"rateLimit": 1.0}},
    ]
    client = gateway(("get_api_keys", PROD, keys_of(*names)), ("get_usage_plans", {}, plans))
    batch, shop = ApiKeys("prod", client).callers()
    assert shop == Caller(
        "shop",
        {"a": "id-switchyard.prod.shop.a", "b": "id-switchyard.prod.shop.b"},
        rate=20.0,
        burst=40,
        quota=1000,
        period="week",
    )
    assert (batch.name, batch.rate, batch.quota, batch.period) == ("batch", 20.0, None, None)


def test_a_key_is_what_was_asked_for_and_nothing_near_it() -> None:
    """API Gateway finds names that begin so."""
    asked = {"nameQuery": "switchyard.prod.shop.first", "includeValues": True}
    found = keys_of("switchyard.prod.shop.first-b", "switchyard.prod.shop.first", value=True)
    keys = ApiKeys("prod", gateway(("get_api_keys", asked, found)))
    assert keys.value("shop", "first") == "the key of switchyard.prod.shop.first"


def test_a_key_that_there_is_not_is_answered_with_those_there_are() -> None:
    asked = {"nameQuery": "switchyard.prod.shop.third", "includeValues": True}
    client = gateway(
        ("get_api_keys", asked, []),
        ("get_api_keys", PROD, keys_of("switchyard.prod.shop.first")),
        ("get_usage_plans", {}, []),
    )
    with pytest.raises(NoSuchKeyError, match="no key `third`") as caught:
        ApiKeys("prod", client).value("shop", "third")
    assert "shop (first)" in str(caught.value.hint)


def test_an_api_gateway_that_does_not_say_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(ServiceError, match="did not say who has keys"):
        ApiKeys("prod").callers()
