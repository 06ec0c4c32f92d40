"""A lost region takes what was in it, and leaves what was elsewhere."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.local_cloud.conftest import Account

pytestmark = pytest.mark.cloud

CODE = "def handler(event, context): return {'statusCode': 200, 'body': 'here'}"


def lose(account: Account, body: Any, key: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{account.cloud.endpoint_url}/_switchyard/lost-region",
        data=json.dumps(body).encode(),
        headers={"x-switchyard-account": key},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_functions_apis_and_buckets_go_and_another_region_stays(cloud: Any) -> None:
    key = str(uuid.uuid4().int)[:12]
    here, there = Account(cloud, key), Account(replace(cloud, region="eu-west-1"), key)
    name = here.function(CODE)
    there.function(CODE, FunctionName=name)
    url = here.api(here.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"])
    assert here.get(f"{url}/x") == (200, b"here")
    here.client("s3").create_bucket(Bucket=f"here-{key}")
    there.client("s3").create_bucket(
        Bucket=f"there-{key}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    assert lose(here, {"region": cloud.region}, key) == (200, {"lost": [cloud.region]})
    assert here.get(f"{url}/x")[0] == 503
    with pytest.raises(ClientError) as refused:
        here.client("lambda").list_functions()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert there.call(name) == {"statusCode": 200, "body": "here"}
    buckets = [found["Name"] for found in there.client("s3").list_buckets()["Buckets"]]
    assert buckets == [f"there-{key}"]


def test_what_is_no_region_is_refused(cloud: Any) -> None:
    status, said = lose(Account(cloud, "x"), {"reg": 1}, str(uuid.uuid4().int)[:12])
    assert (status, "expected" in said["message"]) == (400, True)
