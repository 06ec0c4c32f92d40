"""HTTP APIs as callers and functions see them."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

pytestmark = pytest.mark.cloud

ECHO = (
    "import json\ndef handler(event, context):\n    event.pop('headers')\n"
    "    return {'statusCode': 200, 'body': json.dumps(event)}\n"
)


def arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def answer(request: str | urllib.request.Request) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_the_address_of_an_api_takes_any_path_and_query_behind_it(account: Any) -> None:
    url = account.api(arn(account.function(ECHO)))
    assert url.startswith(f"{account.cloud.endpoint_url}/")
    event = json.loads(answer(f"{url}/v2/models/a%20b/infer?x=1&y=%2F&x=2")[1])
    assert event["rawPath"] == "/v2/models/a b/infer"
    assert event["requestContext"]["http"]["path"] == event["rawPath"]
    assert event["rawQueryString"] == "x=1&y=%2F&x=2"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "/"}
    assert json.loads(answer(url)[1])["rawPath"] == "/"
    assert json.loads(answer(f"{url}/")[1])["rawPath"] == "/"


def test_a_stock_cloud_gives_an_address_that_is_a_name(stock_account: Any) -> None:
    assert "execute-api.localhost" in stock_account.api(arn(stock_account.function(ECHO)))


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [("application/json", False), ("text/csv; charset=utf-8", False), ("application/octet-stream", True)],
)
def test_a_body_arrives_as_text_only_for_text_types(account: Any, content_type: str, encoded: bool) -> None:
    url = account.api(arn(account.function(ECHO)))
    sent = b'{"inputs": []}'
    request = urllib.request.Request(f"{url}/x", data=sent, headers={"Content-Type": content_type})
    event = json.loads(answer(request)[1])
    assert event["isBase64Encoded"] is encoded
    assert (base64.b64decode(event["body"]) if encoded else event["body"].encode()) == sent


def test_an_encoded_answer_leaves_as_bytes(account: Any) -> None:
    name = account.function(
        "def handler(event, context):\n    return {'statusCode': 201, 'isBase64Encoded': True, 'body': 'AAH/',"
        " 'headers': {'content-type': 'application/octet-stream', 'x-model': 'digits'}}\n"
    )
    status, body, headers = answer(f"{account.api(arn(name))}/x")
    assert (status, body) == (201, b"\x00\x01\xff")
    assert (headers["content-type"], headers["x-model"]) == ("application/octet-stream", "digits")


FAILING = "def handler(event, context):\n    raise ValueError('secret detail')\n"


def test_the_error_of_a_function_is_a_500_that_says_nothing_about_it(account: Any) -> None:
    status, body, _ = answer(f"{account.api(arn(account.function(FAILING)))}/x")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_a_stock_cloud_tells_the_caller_about_the_error(stock_account: Any) -> None:
    url = stock_account.api(arn(stock_account.function(FAILING)))
    id_ = url.split("//")[1].split(".")[0]
    status, body, _ = answer(f"{stock_account.cloud.endpoint_url}/_aws/execute-api/{id_}/x")
    assert (status, b"secret detail" in body) == (502, True)


def test_a_502_that_the_function_chose_stays_a_502(account: Any) -> None:
    name = account.function("def handler(event, context):\n    return {'statusCode': 502, 'body': 'mine'}\n")
    assert answer(f"{account.api(arn(name))}/x")[:2] == (502, b"mine")


def test_bodies_over_the_limits_are_refused_with_413(account: Any) -> None:
    url = account.api(arn(account.function(ECHO)))
    octets = {"Content-Type": "application/octet-stream"}
    # 5 MB of octets are 6.7 MB of base64, more than Lambda takes; 11 MB are more than API Gateway takes.
    five = answer(urllib.request.Request(f"{url}/x", data=bytes(5_000_000), headers=octets))
    eleven = answer(urllib.request.Request(f"{url}/x", data=bytes(11_000_000), headers=octets))
    assert (five[0], json.loads(five[1])) == (413, {"message": "Request Entity Too Large"})
    assert (eleven[0], json.loads(eleven[1])) == (413, {"message": "Request Too Long"})


def test_an_answer_over_six_megabytes_is_a_500(account: Any) -> None:
    name = account.function(
        "def handler(event, context):\n    return {'statusCode': 200, 'body': 'x' * 6300000}\n"
    )
    assert answer(f"{account.api(arn(name))}/x")[0] == 500


def test_a_request_has_one_line_in_the_access_log_with_the_id_the_function_saw(account: Any) -> None:
    url = account.api(arn(account.function(ECHO)))
    group = f"/access/{url.rsplit('/', 1)[1]}"
    logs, gateway = account.client("logs"), account.client("apigatewayv2")
    logs.create_log_group(logGroupName=group)
    gateway.update_stage(
        ApiId=url.rsplit("/", 1)[1],
        StageName="$default",
        AccessLogSettings={
            "DestinationArn": f"arn:aws:logs:us-east-1:000000000000:log-group:{group}",
            "Format": '{"id":"$context.requestId","status":"$context.status","route":"$context.routeKey","x":"$context.nope"}',
        },
    )
    _, body, headers = answer(f"{url}/v2/models/digits")
    lines = [json.loads(event["message"]) for event in logs.filter_log_events(logGroupName=group)["events"]]
    seen = json.loads(body)["requestContext"]["requestId"]
    assert lines == [{"id": seen, "status": "200", "route": "ANY /{proxy+}", "x": "-"}]
    assert headers["apigw-requestid"] == seen


def test_calls_through_an_api_count_in_the_metrics_of_the_function(account: Any) -> None:
    name = account.function(FAILING)
    url = account.api(arn(name))
    for _ in range(3):
        answer(f"{url}/x")
    metrics = account.client("cloudwatch").list_metrics(
        Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName", "Value": name}]
    )["Metrics"]
    assert {metric["MetricName"] for metric in metrics} >= {"Invocations", "Errors", "Duration"}


def test_a_route_has_its_own_bucket_and_all_others_that_of_the_stage(account: Any) -> None:
    """AWS: "Throttle requests to your HTTP APIs": what a route says stands in place of what the stage says."""
    url = account.api(arn(account.function(ECHO)))
    slow = {"ThrottlingRateLimit": 0.01, "ThrottlingBurstLimit": 2}
    account.client("apigatewayv2").update_stage(
        ApiId=url.rpartition("/")[2],
        StageName="$default",
        DefaultRouteSettings={"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000},
        RouteSettings={"ANY /{proxy+}": slow},
    )
    found = [answer(f"{url}/x") for _ in range(3)]
    assert [status for status, _, _ in found] == [200, 200, 429]
    assert json.loads(found[-1][1]) == {"message": "Too Many Requests"}
    assert answer(url)[0] == 200
