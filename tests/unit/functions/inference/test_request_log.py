"""``functions.inference.request_log``: one line per request, and no payload in it."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from functions.inference.request_log import RequestLog, alias_of, cut_prefix, request_id
from functions.protocol.encoded import Work
from functions.protocol.trace import VARIABLE


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        ("/v2", "/v2"),
        ("/v2/health/live", "/v2/health/live"),
        ("/candidate/v2/models/digits/infer", "/v2/models/digits/infer"),
        ("/prod/candidate/v2", "/v2"),
        ("/v2/models/v2/infer", "/v2/models/v2/infer"),
        ("/v2x/health", "/v2x/health"),
        ("/nothing", "/nothing"),
        ("", ""),
    ],
)
def test_what_stands_before_the_protocols_path_is_cut(path: str, cut: str) -> None:
    assert cut_prefix(path) == cut


def line(log: RequestLog, **changes: Any) -> None:
    log.line(
        **{
            "request_id": "abc",
            "method": "GET",
            "route": "/v2",
            "status": 200,
            "started": time.perf_counter(),
            **changes,
        }
    )


def test_a_traced_request_says_its_trace_as_the_console_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    log = RequestLog({"model": "digits", "version": "2"}, lines.append)
    for root in ("1-67891233-abcdef012345678912345678", "1-67891234-abcdef012345678912345678"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={root};Parent=463ac35c9f6413ad;Sampled=0")
        line(log)
        assert json.loads(lines[-1])["trace_id"] == root
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    line(log)
    assert "trace_id" not in json.loads(lines[-1])


def test_a_line_is_one_json_object_with_the_labels_of_the_version() -> None:
    lines: list[str] = []
    line(RequestLog({"model": "digits", "version": "2"}, lines.append))
    (written,) = lines
    assert written.endswith("\n")
    logged = json.loads(written)
    assert logged.pop("ms") >= 0
    assert logged == {
        "request_id": "abc",
        "model": "digits",
        "version": "2",
        "method": "GET",
        "route": "/v2",
        "status": 200,
        "cold": True,
    }


def test_only_the_first_request_of_an_environment_is_cold() -> None:
    lines: list[str] = []
    log = RequestLog({}, lines.append)
    for _ in range(2):
        line(log)
    log.again()
    for _ in range(2):
        line(log)
    assert [json.loads(written)["cold"] for written in lines] == [True, False, True, False]


def test_a_failure_is_told_by_its_place_and_not_by_its_words() -> None:
    lines: list[str] = []
    try:
        int("the caller's secret")
    except ValueError as error:
        line(RequestLog({}, lines.append), status=500, error=error)
    logged = json.loads(lines[0])
    assert logged["failure"] == "builtins.ValueError"
    assert "test_a_failure_is_told" in logged["trace"]


def test_the_log_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    line(RequestLog({}))
    assert json.loads(capsys.readouterr().out)["route"] == "/v2"


class Context:
    aws_request_id = "lambda-s own"


def test_a_request_is_called_what_the_gateway_calls_it_or_else_what_lambda_does() -> None:
    assert request_id({"requestContext": {"requestId": "gateway"}}, Context()) == "gateway"
    assert request_id({"requestContext": {}}, Context()) == "lambda-s own"
    assert request_id(None, None) is None


ARN = "arn:aws:lambda:eu-west-1:123456789012:function:switchyard-prod-digits"


@pytest.mark.parametrize(
    ("arn", "alias"),
    [(f"{ARN}:live", "live"), (f"{ARN}:7", None), (f"{ARN}:$LATEST", None), (ARN, None), (None, None)],
    ids=["alias", "version", "latest", "unqualified", "nothing"],
)
def test_the_alias_is_the_one_that_lambda_was_asked_through(arn: str | None, alias: str | None) -> None:
    assert alias_of(SimpleNamespace(invoked_function_arn=arn)) == alias


def test_the_alias_stands_in_the_line_beside_the_metrics_and_is_no_dimension() -> None:
    """Law 11: the alias is a property."""
    lines: list[str] = []
    log = RequestLog({"model": "digits", "version": "2", "stage": "prod"}, lines.append)
    line(log, alias="live")
    logged = json.loads(lines[0])
    assert logged["alias"] == "live"
    assert "alias" not in json.dumps(logged["_aws"])


@pytest.mark.parametrize("rows", [16, None])
@pytest.mark.parametrize("alias", ["live", None])
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "not traced"])
@pytest.mark.parametrize("stage", ["prod", ""])
def test_a_warm_inference_leaves_the_line_that_a_cold_one_leaves(
    monkeypatch: pytest.MonkeyPatch, rows: int | None, alias: str | None, traced: bool, stage: str
) -> None:
    """The quick way to write a line and the long one write the same members, in numbers and in words."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if traced:
        monkeypatch.setenv(VARIABLE, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    lines: list[str] = []
    log = RequestLog({"model": "digits%d", "version": "2", "stage": stage}, lines.append)
    asked = {
        "request_id": 'a"b%s',
        "route": "/v2/models/{model}/infer",
        "work": Work(1.25, rows, 4096),
        "alias": alias,
    }
    for _ in range(3):
        line(log, **asked)
    cold, *warm = map(json.loads, lines)
    assert cold.pop("cold") is True
    for one in warm:
        assert one.pop("cold") is False
        assert one["request_id"] == 'a"b%s'
        for written in (cold, one):
            if "_aws" in written:
                assert written["Overhead"] == pytest.approx(written["ms"] - 1.25, abs=0.002)
                assert abs(written["_aws"]["Timestamp"] / 1000 - time.time()) < 60
        assert timeless(one) == timeless(cold)


def timeless(logged: dict[str, Any]) -> dict[str, Any]:
    """A line without what the clock decides, and without the metric that only a first request counts."""
    kept = {
        name: value for name, value in logged.items() if name not in ("ms", "Latency", "Overhead", "_aws")
    }
    kept.pop("ColdStarts", None)
    if "_aws" in logged:
        (directive,) = logged["_aws"]["CloudWatchMetrics"]
        metrics = [metric for metric in directive["Metrics"] if metric["Name"] != "ColdStarts"]
        kept["counted"] = {**directive, "Metrics": metrics}
    return kept
