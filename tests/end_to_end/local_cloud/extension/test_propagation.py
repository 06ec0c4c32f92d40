"""What takes its time on AWS takes it here too, as long as the day wants."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import Cloud

pytestmark = pytest.mark.cloud

ANSWERING = "import os\ndef handler(event, context):\n    return os.environ.get('ANSWER')\n"


@pytest.fixture
def bad(account: Any, cloud: Cloud) -> Iterator[Any]:
    """An account of its own, whose days may be bad without anybody else noticing."""
    other = type(account)(cloud, key=str(uuid.uuid4().int)[:12])
    yield other
    other.day()


def config(account: Any, name: str, **qualifier: str) -> dict[str, Any]:
    return dict(account.client("lambda").get_function_configuration(FunctionName=name, **qualifier))


@pytest.mark.parametrize("snap_start", ["None", "PublishedVersions"])
def test_a_version_is_pending_for_as_long_as_the_day_wants(bad: Any, snap_start: str) -> None:
    name, lambda_ = bad.function(ANSWERING, SnapStart={"ApplyOn": snap_start}), bad.client("lambda")
    bad.day(pending_s=0.8)
    version = lambda_.publish_version(FunctionName=name)
    assert version["State"] == "Pending"
    with pytest.raises(ClientError, match="ResourceConflictException"):
        lambda_.invoke(FunctionName=name, Qualifier=version["Version"])
    started = time.monotonic()
    while config(bad, name, Qualifier=version["Version"])["State"] == "Pending":
        time.sleep(0.05)
    assert 0.4 < time.monotonic() - started < 5
    assert bad.call(name, Qualifier=version["Version"]) is None
    assert lambda_.publish_version(FunctionName=name)["State"] == "Active"  # the same version again


def test_an_update_lasts_and_its_revision_changes_once_more_at_its_end(bad: Any) -> None:
    name, lambda_ = bad.function(ANSWERING), bad.client("lambda")
    bad.day(updating_s=0.8)
    started = time.monotonic()
    first = lambda_.update_function_configuration(FunctionName=name, MemorySize=256)["RevisionId"]
    assert config(bad, name)["LastUpdateStatus"] == "InProgress"
    with pytest.raises(ClientError, match="ResourceConflictException"):
        lambda_.publish_version(FunctionName=name)
    bad.settled(name)
    assert time.monotonic() - started > 0.7
    settled = config(bad, name)["RevisionId"]
    assert settled != first
    with pytest.raises(ClientError, match="PreconditionFailedException"):
        lambda_.publish_version(FunctionName=name, RevisionId=first)
    assert lambda_.publish_version(FunctionName=name, RevisionId=settled)["MemorySize"] == 256


def test_a_stock_cloud_keeps_the_revision_of_an_update(stock_account: Any) -> None:
    name, lambda_ = stock_account.function(ANSWERING), stock_account.client("lambda")
    first = lambda_.update_function_configuration(FunctionName=name, MemorySize=256)["RevisionId"]
    stock_account.settled(name)
    assert config(stock_account, name)["RevisionId"] == first


def test_an_update_may_be_undone_without_a_word(bad: Any) -> None:
    name, lambda_ = bad.function(ANSWERING, MemorySize=256), bad.client("lambda")
    bad.day(undo_rate=1)
    update = lambda_.update_function_configuration(
        FunctionName=name, MemorySize=512, Environment={"Variables": {"ANSWER": "new"}}
    )
    assert update["MemorySize"] == 512
    bad.settled(name)
    now = config(bad, name)
    assert (now["MemorySize"], now["LastUpdateStatus"]) == (256, "Successful")
    assert "Environment" not in now or now["Environment"]["Variables"] == {}


def test_a_moved_alias_reaches_the_old_version_less_and_less(bad: Any) -> None:
    code = ANSWERING.replace(
        "return os.environ.get('ANSWER')", "return {'statusCode': 200, 'body': os.environ['ANSWER']}"
    )
    name, lambda_ = bad.function(code), bad.client("lambda")
    one, two = bad.published(name, "one"), bad.published(name, "two")
    arn = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=one)["AliasArn"]
    url = bad.api(arn)
    bad.day(alias_lag_s=1.5)
    moved = time.monotonic()
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion=two)
    seen: list[tuple[float, str]] = []
    while (at := time.monotonic() - moved) < 2.2:
        seen.append((at, bad.call(name, Qualifier="live")["body"]))
        seen.append((at, bad.get(f"{url}/x")[1].decode()))
    early, late = Counter(body for at, body in seen if at < 1.5), {body for at, body in seen if at > 1.5}
    assert set(early) == {"one", "two"}
    assert late == {"two"}
    assert lambda_.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == two
