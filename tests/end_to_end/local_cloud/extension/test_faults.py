"""Calls that are refused, that fail, or whose answer is lost; and the door that switches it all."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import Cloud

pytestmark = pytest.mark.cloud

CODE = "def handler(event, context):\n    return 1\n"


@pytest.fixture
def bad(account: Any, cloud: Cloud) -> Iterator[Any]:
    other = type(account)(cloud, key=str(uuid.uuid4().int)[:12])
    yield other
    other.day()


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def memory(account: Any, name: str) -> int:
    found = account.client("lambda").get_function_configuration(FunctionName=name)
    return int(found["MemorySize"])


@pytest.mark.parametrize(
    ("day", "code", "effect"),
    [
        ({"throttle_rate": 1}, "TooManyRequestsException", False),
        ({"error_rate": 1}, "ServiceException", False),
        ({"lost_rate": 1}, "ServiceException", True),
    ],
)
def test_a_failed_call_had_its_effect_only_if_its_answer_was_lost(
    bad: Any, day: dict[str, float], code: str, *, effect: bool
) -> None:
    name, update = bad.function(CODE, MemorySize=256), bad.client("lambda").update_function_configuration
    bad.day(**day)
    assert code_of(update, FunctionName=name, MemorySize=512) == code
    bad.day()
    assert memory(bad, name) == (512 if effect else 256)


def test_faults_meet_the_services_that_are_named(bad: Any) -> None:
    s3, states = bad.client("s3"), bad.client("stepfunctions")
    bucket = f"b{uuid.uuid4().hex[:8]}"
    bad.day(services="s3,states", throttle_rate=1)
    assert code_of(s3.create_bucket, Bucket=bucket) == "SlowDown"
    assert code_of(states.list_state_machines) == "ThrottlingException"
    assert bad.client("lambda").list_functions()["Functions"] == []


def test_invocations_are_throttled_by_every_way_in_and_counted(bad: Any) -> None:
    name = bad.function(CODE)
    url = bad.api(bad.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"])
    bad.day(invoke_throttle_rate=1, throttle_rate=1)
    assert code_of(bad.client("lambda").invoke, FunctionName=name) == "TooManyRequestsException"
    assert bad.get(f"{url}/x")[0] in (429, 500, 503)
    bad.day()
    metrics = bad.client("cloudwatch").list_metrics(Namespace="AWS/Lambda")["Metrics"]
    assert {metric["MetricName"] for metric in metrics} == {"Throttles"}


def test_a_bad_day_of_one_account_is_nobody_elses(account: Any, bad: Any) -> None:
    bad.day(throttle_rate=1)
    assert account.client("lambda").list_functions(MaxItems=1) is not None
    assert account.day()["throttle_rate"] == 0


def test_rates_are_shares(bad: Any) -> None:
    bad.day(throttle_rate=0.5)
    codes = set()
    for _ in range(40):
        try:
            bad.client("lambda").list_functions()
            codes.add("")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    assert codes == {"", "TooManyRequestsException"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (b'{"weather": 1}', "`weather` is none of"),
        (b'{"lost_rate": "often"}', "`lost_rate` is a float"),
        (b'{"lost_rate": -1}', "of at least 0"),
        (b"[]", "a JSON object"),
        (b"{", "Expecting"),
    ],
)
def test_a_setting_that_is_none_is_refused_with_a_reason(account: Any, settings: bytes, said: str) -> None:
    door = f"{account.cloud.endpoint_url}/_switchyard/bad-day"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(door, data=settings)
    assert refused.value.code == 400
    with refused.value:
        assert said in json.loads(refused.value.read())["message"]
