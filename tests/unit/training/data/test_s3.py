"""Reading a prefix of a bucket, as AWS answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from training.data.s3 import S3Bucket, kept_requests, put_folder
from training.errors import DataError


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


def test_keys_below_a_prefix_and_their_bytes(client: Any) -> None:
    client.create_bucket(Bucket="the-data")
    for key in ("in/a.csv", "in/b.csv", "out/c.csv"):
        client.put_object(Bucket="the-data", Key=key, Body=key.encode())
    bucket = S3Bucket("the-data", client=client)
    assert bucket.keys("in/") == ["in/a.csv", "in/b.csv"]
    assert bucket.get("in/b.csv") == b"in/b.csv"


def test_what_aws_refuses_names_the_place(client: Any) -> None:
    with pytest.raises(DataError, match="s3://nobodys-bucket/in/"):
        S3Bucket("nobodys-bucket", client=client).keys("in/")
    with pytest.raises(DataError, match="s3://nobodys-bucket/in/a"):
        S3Bucket("nobodys-bucket", client=client).get("in/a")


def test_where_a_stage_keeps_requests_is_read_and_not_guessed(client: Any) -> None:
    client.create_bucket(Bucket="kept-requests")
    client.put_object(Bucket="kept-requests", Key="captured/sign/x", Body=b"rows")
    ssm = boto3.client("ssm", region_name="us-east-1")
    ssm.put_parameter(Name="/switchyard/local/capture-bucket", Value="kept-requests", Type="String")
    kept = kept_requests("local", ssm=ssm, client=client)
    assert list(kept.keys("captured/")) == ["captured/sign/x"]
    assert kept.get("captured/sign/x") == b"rows"
    with pytest.raises(DataError, match="stage `prod` keeps no requests"):
        kept_requests("prod", ssm=ssm, client=client)


def test_a_folder_is_laid_down_and_what_makes_it_count_comes_last(client: Any, tmp_path: Path) -> None:
    client.create_bucket(Bucket="the-data")
    (tmp_path / "zebra").mkdir()
    for name in ("facts.json", "zebra/train.npy"):
        (tmp_path / name).write_text(name)
    put: list[str] = []
    client.meta.events.register(
        "before-call.s3.PutObject", lambda params, **_: put.append(params["url_path"])
    )
    put_folder(tmp_path, "s3://the-data/runs/1/", last="facts.json", client=client)
    assert [path.rpartition("/")[2] for path in put] == ["train.npy", "facts.json"]
    assert (
        client.get_object(Bucket="the-data", Key="runs/1/zebra/train.npy")["Body"].read()
        == b"zebra/train.npy"
    )
    with pytest.raises(DataError, match="s3://nobodys-bucket/x/` cannot be written"):
        put_folder(tmp_path, "s3://nobodys-bucket/x/", last="facts.json", client=client)
