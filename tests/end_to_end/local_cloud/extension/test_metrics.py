"""What CloudWatch knows about calls of a function, by every way in and under every dimension."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cloud

ANSWERING = "def handler(event, context):\n    return {'statusCode': 200, 'body': context.function_version}\n"
FAILING = (
    "import os, time\ndef handler(event, context):\n"
    "    how = event.get('how')\n"
    "    if how == 'raise': raise ValueError('no')\n"
    "    if how == 'exit': os._exit(1)\n"
    "    if how == 'killed': os.kill(os.getpid(), 9)\n"
    "    if how == 'late': time.sleep(5)\n"
    "    return context.invoked_function_arn\n"
)


def total(account: Any, name: str, dimensions: dict[str, str], statistic: str = "Sum") -> float | None:
    now = datetime.now(UTC)
    points = account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return sum(point[statistic] for point in points) if points else None


def alias_on(account: Any, name: str, version: str, **weights: float) -> dict[str, Any]:
    return dict(
        account.client("lambda").create_alias(
            FunctionName=name,
            Name="live",
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
    )


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_call_counts_for_its_function_and_for_what_was_called(account: Any) -> None:
    name = account.function(ANSWERING)
    version = account.client("lambda").publish_version(FunctionName=name)["Version"]
    arn = alias_on(account, name, version)["AliasArn"]
    account.call(name)
    account.call(name, Qualifier=version)
    account.call(name, Qualifier="live")
    get(f"{account.api(arn)}/x")
    assert total(account, "Invocations", {"FunctionName": name}) == 4
    assert total(account, "Invocations", {"FunctionName": name, "Resource": name}) == 1
    assert total(account, "Invocations", {"FunctionName": name, "Resource": f"{name}:{version}"}) == 1
    assert total(account, "Invocations", {"FunctionName": name, "Resource": f"{name}:live"}) == 2
    assert total(account, "Errors", {"FunctionName": name, "Resource": f"{name}:live"}) == 0


def test_only_a_weighted_alias_tells_its_versions_apart(account: Any) -> None:
    name = account.function(ANSWERING.replace("ANSWER", "A"))
    lambda_ = account.client("lambda")
    first, second = account.published(name, "one"), account.published(name, "two")
    arn = alias_on(account, name, first)["AliasArn"]
    url = account.api(arn)
    resource = {"FunctionName": name, "Resource": f"{name}:live"}
    get(f"{url}/x")
    assert total(account, "Invocations", {**resource, "ExecutedVersion": first}) is None
    lambda_.update_alias(
        FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {second: 0.5}}
    )
    seen = [get(f"{url}/x")[1] for _ in range(15)]
    for _ in range(15):
        answer = lambda_.invoke(FunctionName=name, Qualifier="live", Payload=b"{}")
        version = json.loads(answer["Payload"].read())["body"]
        assert answer["ExecutedVersion"] == version
        seen.append(version)
    for version in (first, second):
        counted = total(account, "Invocations", {**resource, "ExecutedVersion": version})
        assert counted == seen.count(version)
    assert total(account, "Invocations", resource) == 31


def test_a_stock_cloud_knows_no_alias_in_its_metrics(stock_account: Any) -> None:
    name = stock_account.function(ANSWERING)
    version = stock_account.client("lambda").publish_version(FunctionName=name)["Version"]
    alias_on(stock_account, name, version)
    stock_account.call(name, Qualifier="live")
    assert total(stock_account, "Invocations", {"FunctionName": name, "Resource": f"{name}:live"}) is None


@pytest.mark.parametrize("how", ["raise", "exit", "killed", "late"])
def test_whatever_ends_a_call_early_is_an_error(account: Any, how: str) -> None:
    name = account.function(FAILING, Timeout=1)
    account.call(name, {"how": how})
    account.call(name, {})
    assert total(account, "Errors", {"FunctionName": name}) == 1
    assert total(account, "Invocations", {"FunctionName": name}) == 2


def test_a_function_that_cannot_start_is_an_error(account: Any) -> None:
    name = account.function("import nothing_of_that_name\n")
    account.call(name)
    assert total(account, "Errors", {"FunctionName": name}) == 1


def test_a_throttled_call_is_no_invocation(account: Any) -> None:
    name = account.function(ANSWERING)
    lambda_ = account.client("lambda")
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        lambda_.invoke(FunctionName=name)
    assert get(f"{account.api(name_arn(name))}/x")[0] in (429, 500, 503)
    assert total(account, "Throttles", {"FunctionName": name}) == 2
    assert total(account, "Invocations", {"FunctionName": name}) is None


def name_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def test_durations_leave_the_start_out(account: Any) -> None:
    name = account.function(
        "import time\ntime.sleep(1)\ndef handler(event, context):\n    time.sleep(0.1)\n    return 1\n"
    )
    account.call(name)
    longest = total(account, "Duration", {"FunctionName": name}, "Maximum")
    assert longest is not None
    assert 100 <= longest < 900


def test_calls_at_the_same_time_are_counted_as_such(account: Any) -> None:
    name = account.function("import time\ndef handler(event, context):\n    time.sleep(1)\n    return 1\n")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: account.call(name), range(3)))
    account.call(name)
    assert total(account, "ConcurrentExecutions", {"FunctionName": name}, "Maximum") == 3
    assert total(account, "ConcurrentExecutions", {"FunctionName": name}, "Minimum") == 1


def test_late_metrics_are_dated_when_they_happened_and_seen_later(account: Any) -> None:
    name = account.function(ANSWERING)
    account.day(metrics_late_s=1)
    account.call(name)
    account.day()
    assert total(account, "Invocations", {"FunctionName": name}) is None
    time.sleep(1.1)
    assert total(account, "Invocations", {"FunctionName": name}) == 1
