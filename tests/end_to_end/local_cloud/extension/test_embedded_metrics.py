"""Log lines in the embedded metric format are metrics."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.cloud


def line(namespace: str, values: Any, **more: Any) -> dict[str, Any]:
    directive = {
        "Namespace": namespace,
        "Dimensions": [["Model"], ["Model", "Version"], ["Model", "Missing"]],
        "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
    }
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, "Model": "digits", "Version": "3", "Latency": values, **more}


def latencies(account: Any, namespace: str, **dimensions: str) -> dict[str, float]:
    now = datetime.now(UTC)
    points = account.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName="Latency",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["SampleCount", "Sum", "Maximum"],
    )["Datapoints"]
    return {key: points[0][key] for key in ("SampleCount", "Sum", "Maximum")} if points else {}


def test_a_line_of_a_function_becomes_metrics_under_each_set_of_dimensions(account: Any) -> None:
    namespace = f"N{uuid.uuid4().hex[:8]}"
    name = account.function("import json\ndef handler(event, context):\n    print(json.dumps(event))\n")
    account.call(name, line(namespace, [10, 20.5, 10]))
    expected = {"SampleCount": 3.0, "Sum": 40.5, "Maximum": 20.5}
    assert latencies(account, namespace, Model="digits") == expected
    assert latencies(account, namespace, Model="digits", Version="3") == expected
    listed = account.client("cloudwatch").list_metrics(Namespace=namespace)["Metrics"]
    assert len(listed) == 2  # the set that names a missing member is not used


def test_a_line_that_a_client_writes_counts_like_one_of_a_function(account: Any) -> None:
    namespace, logs = f"N{uuid.uuid4().hex[:8]}", account.client("logs")
    logs.create_log_group(logGroupName=namespace)
    logs.create_log_stream(logGroupName=namespace, logStreamName="s")
    now = int(time.time() * 1000)
    messages = [
        json.dumps(line(namespace, 7)),
        '{"_aws": "CloudWatchMetrics"}',
        '"CloudWatchMetrics" "_aws" {',
    ]
    events = [{"timestamp": now, "message": message} for message in messages]
    logs.put_log_events(logGroupName=namespace, logStreamName="s", logEvents=events)
    assert latencies(account, namespace, Model="digits")["Sum"] == 7


def test_what_is_no_number_is_no_value(account: Any) -> None:
    namespace = f"N{uuid.uuid4().hex[:8]}"
    name = account.function("import json\ndef handler(event, context):\n    print(json.dumps(event))\n")
    account.call(name, line(namespace, ["fast", None, True, 4]))
    assert latencies(account, namespace, Model="digits")["SampleCount"] == 1


def test_a_stock_cloud_makes_no_metrics_of_lines(stock_account: Any) -> None:
    namespace = f"N{uuid.uuid4().hex[:8]}"
    name = stock_account.function("import json\ndef handler(event, context):\n    print(json.dumps(event))\n")
    stock_account.call(name, line(namespace, 10))
    assert latencies(stock_account, namespace, Model="digits") == {}
