"""Provisioned concurrency as a release controller meets it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

CODE = "import os\ndef handler(event, context):\n    return os.environ.get('ANSWER')\n"


def refusal(account: Any, name: str, qualifier: str) -> str:
    with pytest.raises(ClientError) as refused:
        account.client("lambda").put_provisioned_concurrency_config(
            FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=1
        )
    return str(refused.value.response["Error"]["Message"])


def listed(account: Any, name: str) -> dict[str, str]:
    answer = account.client("lambda").list_provisioned_concurrency_configs(FunctionName=name)
    return {
        config["FunctionArn"].rsplit(":", 1)[1]: config["Status"]
        for config in answer["ProvisionedConcurrencyConfigs"]
    }


def test_it_takes_a_while_and_is_listed_by_version(account: Any) -> None:
    name = account.function(CODE)
    version = account.published(name, "one")
    answer = account.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=2
    )
    assert (answer["Status"], answer["AvailableProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 0)
    deadline = time.monotonic() + 10
    while listed(account, name) != {version: "READY"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    one = account.client("lambda").get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert one["AvailableProvisionedConcurrentExecutions"] == 2
    account.client("lambda").delete_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert listed(account, name) == {}


def test_it_is_refused_on_latest_beside_snapstart_and_on_a_weighted_alias(account: Any) -> None:
    name = account.function(CODE)
    first, second = account.published(name, "one"), account.published(name, "two")
    assert "unpublished" in refusal(account, name, "$LATEST")
    account.client("lambda").create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion=first,
        RoutingConfig={"AdditionalVersionWeights": {second: 0.5}},
    )
    assert "Alias with weights" in refusal(account, name, "live")
    snapped = account.function(CODE, SnapStart={"ApplyOn": "PublishedVersions"})
    assert "SnapStart" in refusal(account, snapped, account.published(snapped, "one"))


def test_a_stock_cloud_is_ready_at_once_and_takes_latest(stock_account: Any) -> None:
    name = stock_account.function(CODE)
    answer = stock_account.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1
    )
    assert answer["Status"] == "READY"
