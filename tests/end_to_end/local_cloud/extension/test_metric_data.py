"""GetMetricData as dashboards ask it: math, searches with labels, bands, and detectors."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions
import pytest

pytestmark = pytest.mark.cloud

NOW = 60 * int(time.time() // 60)


@pytest.fixture
def namespace() -> str:
    return f"Test/{uuid.uuid4().hex[:8]}"


def put(account: Any, namespace: str, name: str, values: list[float], **dimensions: str) -> None:
    """One value for each of the last minutes, the newest last."""
    listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    data = [
        {
            "MetricName": name,
            "Value": value,
            "Timestamp": datetime.fromtimestamp(NOW - 60 * (len(values) - number), UTC),
            "Dimensions": listed,
        }
        for number, value in enumerate(values)
    ]
    account.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def asked(account: Any, queries: list[dict[str, Any]], *, minutes: int = 5, **more: Any) -> list[Any]:
    answer = account.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries,
        StartTime=datetime.fromtimestamp(NOW - 60 * minutes, UTC),
        EndTime=datetime.fromtimestamp(NOW, UTC),
        **more,
    )
    return list(answer["MetricDataResults"])


def metric(id_: str, namespace: str, name: str, stat: str = "Sum", **dimensions: str) -> dict[str, Any]:
    listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {
        "Id": id_,
        "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": listed},
            "Period": 60,
            "Stat": stat,
        },
    }


def test_an_expression_is_worked_out_and_only_what_returns_data_is_returned(
    account: Any, namespace: str
) -> None:
    put(account, namespace, "Errors", [1, 0, 2])
    put(account, namespace, "Requests", [10, 10, 10])
    queries = [
        {**metric("errors", namespace, "Errors"), "ReturnData": False},
        {**metric("requests", namespace, "Requests"), "ReturnData": False},
        {"Id": "rate", "Expression": "100 * errors / requests", "Label": "errors in 100"},
    ]
    (rate,) = asked(account, queries)
    assert (rate["Id"], rate["Label"], rate["Values"]) == ("rate", "errors in 100", [20.0, 0.0, 10.0])
    (oldest_first,) = asked(account, queries, ScanBy="TimestampAscending")
    assert oldest_first["Values"] == [10.0, 0.0, 20.0]


def test_a_search_finds_every_version_and_labels_each(account: Any, namespace: str) -> None:
    put(account, namespace, "Latency", [10, 20], model="digits", version="1")
    put(account, namespace, "Latency", [30, 40], model="digits", version="2")
    put(account, namespace, "Latency", [99, 99], model="other", version="1")
    put(account, namespace, "Latency", [15, 30], model="digits")
    search = f"SEARCH('{{{namespace},model,version}} MetricName=\"Latency\" model=\"digits\"', 'p99', 60)"
    found = asked(
        account, [{"Id": "all", "Expression": search, "Label": "v${PROP('Dim.version')}", "Period": 60}]
    )
    assert {(one["Label"], tuple(one["Values"])) for one in found} == {
        ("v1", (20.0, 10.0)),
        ("v2", (40.0, 30.0)),
    }
    (most,) = asked(account, [{"Id": "most", "Expression": f"MAX({search})", "Period": 60}])
    assert most["Values"] == [40.0, 30.0]


def test_a_band_is_drawn_where_there_is_a_history(account: Any, namespace: str) -> None:
    put(account, namespace, "Traffic", [100, 120, 100, 120, 100, 120, 500])
    queries = [
        metric("traffic", namespace, "Traffic"),
        {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(traffic, 2)"},
    ]
    traffic, low, high = asked(account, queries, minutes=1)
    assert traffic["Values"] == [500.0]
    assert (low["Values"], high["Values"]) == ([pytest.approx(90.0)], [pytest.approx(130.0)])


def test_a_detector_is_kept_described_and_leaves_out_what_it_excludes(account: Any, namespace: str) -> None:
    put(account, namespace, "Traffic", [900, 900, 100, 120, 100, 120, 100, 120, 110])
    cloudwatch = account.client("cloudwatch")
    single = {"Namespace": namespace, "MetricName": "Traffic", "Stat": "Sum"}
    outage = {
        "StartTime": datetime.fromtimestamp(NOW - 60 * 20, UTC),
        "EndTime": datetime.fromtimestamp(NOW - 60 * 7, UTC),
    }
    cloudwatch.put_anomaly_detector(
        SingleMetricAnomalyDetector=single, Configuration={"ExcludedTimeRanges": [outage]}
    )
    (kept,) = cloudwatch.describe_anomaly_detectors(Namespace=namespace)["AnomalyDetectors"]
    assert kept["SingleMetricAnomalyDetector"]["MetricName"] == "Traffic"
    assert kept["StateValue"] == "TRAINED"
    band = {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)"}
    queries = [metric("m1", namespace, "Traffic"), band]
    _, _, high = asked(account, queries, minutes=1)
    assert high["Values"] == [pytest.approx(130.0)]
    cloudwatch.delete_anomaly_detector(SingleMetricAnomalyDetector=single)
    assert cloudwatch.describe_anomaly_detectors(Namespace=namespace)["AnomalyDetectors"] == []


def test_an_expression_that_means_nothing_is_refused(account: Any, namespace: str) -> None:
    del namespace
    with pytest.raises(botocore.exceptions.ClientError, match="no query `m9`"):
        asked(account, [{"Id": "e1", "Expression": "m9 * 2"}])


def test_a_stock_cloud_works_nothing_out(stock_account: Any) -> None:
    (found,) = asked(stock_account, [{"Id": "e1", "Expression": "1 + 1", "Label": "two"}])
    assert found["StatusCode"] == "InternalError"
