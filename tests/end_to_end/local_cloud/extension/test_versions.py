"""Aliases and versions as a release controller meets them."""

from __future__ import annotations

import collections
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

ANSWERING = "import os\ndef handler(event, context):\n    return os.environ['ANSWER']\n"
ARN = "def handler(event, context):\n    return {'statusCode': 200, 'body': context.invoked_function_arn}\n"


def two_versions(account: Any) -> tuple[str, str, str]:
    name = account.function(ANSWERING)
    return name, account.published(name, "one"), account.published(name, "two")


def weighted(account: Any, name: str, first: str, second: str) -> None:
    account.client("lambda").create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion=first,
        RoutingConfig={"AdditionalVersionWeights": {second: 0.5}},
    )


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_weighted_alias_splits_invocations(account: Any) -> None:
    name, first, second = two_versions(account)
    weighted(account, name, first, second)
    seen = collections.Counter(account.call(name, Qualifier="live") for _ in range(40))
    assert set(seen) == {"one", "two"}


def test_a_stock_cloud_ignores_the_weights_of_an_alias(stock_account: Any) -> None:
    name, first, second = two_versions(stock_account)
    weighted(stock_account, name, first, second)
    assert {stock_account.call(name, Qualifier="live") for _ in range(20)} == {"one"}


def test_a_weighted_alias_splits_the_requests_of_an_http_api(account: Any) -> None:
    name = account.function(
        "import os\ndef handler(event, context):\n    return {'statusCode': 200, 'body': os.environ['ANSWER']}\n"
    )
    first, second = account.published(name, "one"), account.published(name, "two")
    weighted(account, name, first, second)
    url = account.api(f"arn:aws:lambda:us-east-1:000000000000:function:{name}:live")
    assert {urllib.request.urlopen(f"{url}/x").read() for _ in range(40)} == {b"one", b"two"}


def test_a_flip_is_seen_by_the_next_call(account: Any) -> None:
    """Law 3: the alias is what serves."""
    name, first, second = two_versions(account)
    lambda_ = account.client("lambda")
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    assert account.call(name, Qualifier="live") == "one"
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    assert account.call(name, Qualifier="live") == "two"


def test_every_update_of_an_alias_changes_its_revision_and_a_stale_one_is_refused(account: Any) -> None:
    """Law 3: a flip is a compare-and-swap."""
    name, first, second = two_versions(account)
    lambda_ = account.client("lambda")
    before = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=first)["RevisionId"]
    flip = {"FunctionName": name, "Name": "live", "FunctionVersion": second, "RevisionId": before}
    assert lambda_.update_alias(**flip)["RevisionId"] != before
    assert refusal(lambda_.update_alias, **flip) == "PreconditionFailedException"


def test_an_alias_to_a_missing_version_is_refused(account: Any) -> None:
    name, first, _ = two_versions(account)
    lambda_ = account.client("lambda")
    missing = {"FunctionName": name, "Name": "live", "FunctionVersion": "99"}
    assert refusal(lambda_.create_alias, **missing) == "ResourceNotFoundException"
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    assert refusal(lambda_.update_alias, **missing) == "ResourceNotFoundException"
    assert lambda_.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == first


def test_a_stock_cloud_accepts_an_alias_to_a_missing_version(stock_account: Any) -> None:
    name, *_ = two_versions(stock_account)
    alias = stock_account.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="99")
    assert alias["FunctionVersion"] == "99"


def test_publishing_other_code_or_another_revision_than_expected_is_refused(account: Any) -> None:
    name = account.function(ANSWERING)
    lambda_ = account.client("lambda")
    assert (
        refusal(lambda_.publish_version, FunctionName=name, CodeSha256="x")
        == "InvalidParameterValueException"
    )
    assert (
        refusal(lambda_.publish_version, FunctionName=name, RevisionId="x") == "PreconditionFailedException"
    )
    now = lambda_.get_function_configuration(FunctionName=name)
    published = lambda_.publish_version(
        FunctionName=name, CodeSha256=now["CodeSha256"], RevisionId=now["RevisionId"]
    )
    assert published["Version"] == "1"


def test_a_stock_cloud_publishes_whatever_code_there_is(stock_account: Any) -> None:
    name = stock_account.function(ANSWERING)
    lambda_ = stock_account.client("lambda")
    assert lambda_.publish_version(FunctionName=name, CodeSha256="x", RevisionId="x")["Version"] == "1"


def test_a_configuration_of_another_revision_is_refused(account: Any) -> None:
    name = account.function(ANSWERING)
    update = account.client("lambda").update_function_configuration
    assert refusal(update, FunctionName=name, MemorySize=256, RevisionId="x") == "PreconditionFailedException"


def test_a_change_while_an_update_is_under_way_is_refused(account: Any) -> None:
    name = account.function(ANSWERING)
    lambda_ = account.client("lambda")
    lambda_.update_function_configuration(FunctionName=name, MemorySize=256)
    assert refusal(lambda_.publish_version, FunctionName=name) == "ResourceConflictException"
    account.settled(name)
    assert lambda_.publish_version(FunctionName=name)["MemorySize"] == 256


def test_a_stock_cloud_accepts_changes_while_an_update_is_under_way(stock_account: Any) -> None:
    name = stock_account.function(ANSWERING)
    lambda_ = stock_account.client("lambda")
    lambda_.update_function_configuration(FunctionName=name, MemorySize=256)
    assert lambda_.publish_version(FunctionName=name)["MemorySize"] == 256


def test_through_an_http_api_a_function_is_invoked_by_its_alias(account: Any) -> None:
    name = account.function(ARN)
    version = account.client("lambda").publish_version(FunctionName=name)["Version"]
    alias = account.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    url = account.api(alias["AliasArn"])
    assert urllib.request.urlopen(f"{url}/x").read().decode() == alias["AliasArn"]


def test_a_snapstart_version_is_pending_then_active_with_its_snapshot_taken(account: Any) -> None:
    name = account.function(
        "from snapshot_restore_py import register_before_snapshot\nprimed = []\n"
        "register_before_snapshot(primed.append, 'yes')\ndef handler(event, context):\n    return primed\n"
    )
    lambda_ = account.client("lambda")
    lambda_.update_function_configuration(FunctionName=name, SnapStart={"ApplyOn": "PublishedVersions"})
    account.settled(name)
    version = lambda_.publish_version(FunctionName=name)
    assert (version["State"], version["SnapStart"]["OptimizationStatus"]) == ("Pending", "On")
    lambda_.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier=version["Version"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 100}
    )
    assert account.call(name, Qualifier=version["Version"]) == ["yes"]
