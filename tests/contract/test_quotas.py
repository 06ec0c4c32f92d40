"""The laws of ``releases.quotas.Quotas``, held against the fake and against AWS's interfaces."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import boto3
import pytest
from botocore.stub import Stubber

from model_store.contract.errors import AccessDeniedError
from releases.adapters.memory_quotas import MemoryQuotas
from releases.adapters.service_quotas import AccountQuotas
from releases.quotas import Quotas


@dataclass
class Subject:
    """What is under test, and who makes an alarm of that name."""

    quotas: Quotas
    alarm: Callable[[str], None]


@pytest.fixture(params=["memory", pytest.param("account", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    if request.param == "memory":
        names = ("ml.m5.large for endpoint usage", 20.0), ("ml.g5.xlarge for endpoint usage", 0.0)
        fake = MemoryQuotas(
            {("monitoring", "Number of alarms"): 5000.0}
            | {("sagemaker", name): value for name, value in names}
        )
        yield Subject(fake, fake.alarm_names.append)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)

    def alarm(name: str) -> None:
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )

    yield Subject(AccountQuotas(), alarm)


def test_a_quota_is_found_by_its_name_granted_or_as_a_default(subject: Subject) -> None:
    assert subject.quotas.granted("sagemaker", "ml.m5.large for endpoint usage") == 20
    assert subject.quotas.granted("monitoring", "number of Alarms") == 5000


def test_none_granted_is_not_the_same_as_none_known(subject: Subject) -> None:
    assert subject.quotas.granted("sagemaker", "ml.g5.xlarge for endpoint usage") == 0
    assert subject.quotas.granted("sagemaker", "ml.p9.huge for endpoint usage") is None


def test_lambda_says_what_is_allowed_and_what_is_used(subject: Subject) -> None:
    storage, executions = subject.quotas.storage(), subject.quotas.executions()
    assert storage.limit >= storage.used >= 0
    assert executions.limit > executions.reserved >= 0


def test_alarms_are_counted_and_ours_among_them(subject: Subject) -> None:
    prefix = f"switchyard/contract/{uuid.uuid4().hex[:6]}/"
    before = subject.quotas.alarms((prefix,))
    for number in range(3):
        subject.alarm(f"{prefix}{number}")
    after = subject.quotas.alarms((prefix,))
    assert (before.ours, after.ours, after.whole) == (0, 3, True)
    assert after.every >= before.every + 3


def test_endpoints_are_counted(subject: Subject) -> None:
    found = subject.quotas.endpoints("switchyard-none-")
    assert (found.ours, found.whole) == (0, True)


def test_counting_ends_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many alarms there are."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr("releases.adapters.service_quotas.PAGES", 2)
    quotas = AccountQuotas()
    with Stubber(quotas._cloudwatch) as stub:
        for page in range(3):
            answer = {"MetricAlarms": [{"AlarmName": f"a{page}"}], "NextToken": f"after {page}"}
            stub.add_response("describe_alarms", answer)
        found = quotas.alarms(("a",))
    assert (found.every, found.whole) == (2, False)


def test_what_may_not_be_read_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    quotas = AccountQuotas()
    with Stubber(quotas._quotas) as stub:
        stub.add_client_error("list_service_quotas", "AccessDeniedException", "no", 400)
        with pytest.raises(AccessDeniedError, match="the quotas of `lambda`"):
            quotas.granted("lambda", "Concurrent executions")
