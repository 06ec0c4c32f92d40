"""Logs of the embedded cloud: Insights, patterns on JSON, queries that are kept."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.local_cloud.conftest import Account

pytestmark = pytest.mark.cloud

LINES: list[dict[str, Any]] = [
    {"version": "1", "status": 200, "ms": 5.0, "cold": True, "caller": {"name": "ann"}},
    {"version": "1", "status": 500, "ms": 90.0, "cold": False},
    {"version": "2", "status": 503, "ms": 30.0, "cold": False},
    {"version": "2", "status": 500, "ms": 10.0, "cold": True},
]


@pytest.fixture
def group(account: Account) -> str:
    name = f"/test/{uuid.uuid4().hex[:8]}"
    logs = account.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="one")
    now = round(time.time() * 1000)
    events = [{"timestamp": now - 100 + n, "message": json.dumps(line)} for n, line in enumerate(LINES)]
    events.append({"timestamp": now, "message": "REPORT of 500 things"})
    logs.put_log_events(logGroupName=name, logStreamName="one", logEvents=events)
    return name


def asked(account: Account, group: str, query: str) -> list[dict[str, str]]:
    logs, now = account.client("logs"), int(time.time())
    begun = logs.start_query(logGroupName=group, startTime=now - 600, endTime=now + 1, queryString=query)
    answer = logs.get_query_results(queryId=begun["queryId"])
    assert answer["status"] == "Complete"
    return [
        {cell["field"]: cell["value"] for cell in row if cell["field"] != "@ptr"} for row in answer["results"]
    ]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("status >= 500", ["90", "30", "10"]),
        ('version = "2" and status = 500', ["10"]),
        ("status = 503 or cold = 1", ["5", "30", "10"]),
        ("not (status >= 500)", ["5"]),
        ("ms > 9 and ms < 50", ["30", "10"]),
        ('caller.name = "ann"', ["5"]),
        ("ispresent(caller.name)", ["5"]),
        ('@message like /"status": 50[0-2]/', ["90", "10"]),
        ("@message not like /50/", ["5"]),
        ("status in [503, 200]", ["5", "30"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_filter_means_what_it_says(account: Account, group: str, condition: str, found: list[str]) -> None:
    rows = asked(account, group, f"fields ms | filter ispresent(ms) and ({condition}) | sort @timestamp asc")
    assert [row["ms"] for row in rows] == found


def test_rows_are_ordered_by_any_field_and_cut(account: Account, group: str) -> None:
    rows = asked(account, group, "fields ms | sort ms desc | limit 2")
    assert [row["ms"] for row in rows] == ["90", "30"]


def test_sums_are_made_by_group(account: Account, group: str) -> None:
    query = "filter status >= 500 | stats count(*) as n, max(ms) as worst by version | sort n desc"
    assert asked(account, group, query) == [
        {"version": "2", "n": "2", "worst": "30"},
        {"version": "1", "n": "1", "worst": "90"},
    ]
    (row,) = asked(account, group, "stats avg(ms) as mean, pct(ms, 50) as half, count_distinct(version) as v")
    assert row == {"mean": "33.75", "half": "30", "v": "2"}
    (row,) = asked(account, group, "stats sum(ms) by bin(1d)")
    assert row["sum(ms)"] == "135"


def test_a_query_that_is_not_understood_is_refused(account: Account, group: str) -> None:
    for query in ("filter status ~ 3", "dedup version", "stats everything", "filter (status = 500"):
        with pytest.raises(ClientError) as refused:
            asked(account, group, query)
        assert refused.value.response["Error"]["Code"] == "MalformedQueryException"


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("{ $.status >= 500 }", 3),
        ('{ ($.version = "1") && ($.cold IS TRUE) }', 1),
        ("{ $.cold IS FALSE || $.status = 200 }", 3),
        ("{ $.caller.name NOT EXISTS }", 3),
        ("REPORT", 1),
        ("", 5),
    ],
)
def test_a_pattern_on_json_lets_only_its_lines_through(
    account: Account, group: str, pattern: str, count: int
) -> None:
    found = account.client("logs").filter_log_events(logGroupName=group, filterPattern=pattern)
    assert len(found["events"]) == count


def test_queries_are_kept_by_a_stack_as_long_as_it_stands(account: Account, group: str) -> None:
    prefix = f"test/{uuid.uuid4().hex[:8]}/"
    stack = f"queries-{uuid.uuid4().hex[:8]}"

    def kept() -> list[dict[str, Any]]:
        logs = account.client("logs")
        found = logs.describe_query_definitions(queryDefinitionNamePrefix=prefix)
        return list(found["queryDefinitions"])

    def deploy(query: str) -> None:
        properties = {"Name": f"{prefix}slow", "QueryString": query, "LogGroupNames": [group]}
        definition = {"Type": "AWS::Logs::QueryDefinition", "Properties": properties}
        account.stack(stack, {"Slow": definition})

    deploy("sort ms desc")
    (first,) = kept()
    assert (first["name"], first["logGroupNames"]) == (f"{prefix}slow", [group])
    deploy("sort ms asc")
    (second,) = kept()
    assert (second["queryString"], second["queryDefinitionId"]) == ("sort ms asc", first["queryDefinitionId"])
    account.client("cloudformation").delete_stack(StackName=stack)
    account.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert kept() == []


def test_stock_still_lacks_it(stock_account: Account) -> None:
    """When this fails, ministack does it, and the extension can go."""
    logs = stock_account.client("logs")
    name = f"/test/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="one")
    event = {"timestamp": round(time.time() * 1000), "message": '{"status": 200}'}
    logs.put_log_events(logGroupName=name, logStreamName="one", logEvents=[event])
    assert logs.filter_log_events(logGroupName=name, filterPattern="{ $.status = 500 }")["events"]
    assert asked(stock_account, name, "filter status = 500")
    with pytest.raises(ClientError):
        logs.describe_query_definitions()
