"""The laws of ``releases.collector.FunctionCollector``, held against the fake and Lambda's own interface."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from model_store.adapters.memory import MemoryStore
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_collector import MemoryFunctionCollector
from releases.collector import FunctionCollector
from releases.errors import LostRaceError
from releases.ports import Functions
from tests.contract.test_functions import CODE, ROLE, archive, latest, play, publish


@dataclass
class Subject:
    functions: Functions
    collector: FunctionCollector
    name: str

    def publish(self, *models: str) -> list[str]:
        return [publish(self.functions, self.name, model).version for model in models]

    def published(self) -> list[str]:
        return [version.config.version for version in self.collector.versions(self.name)]


@pytest.fixture(params=["memory", pytest.param("lambda", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    name = f"collected-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        fake = MemoryFunctions(play)
        fake.deploy(name, layers=())
        yield Subject(fake, MemoryFunctionCollector(fake), name)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    from releases.adapters.aws import LambdaFunctions, lambda_client
    from releases.adapters.aws_collector import LambdaCollector

    client = lambda_client()
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role=ROLE,
        Code={"ZipFile": archive("index.py", CODE)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    yield Subject(LambdaFunctions(MemoryStore(), bucket="unused"), LambdaCollector(), name)
    client.delete_function(FunctionName=name)


def test_every_published_version_is_named_oldest_first_with_what_it_is(subject: Subject) -> None:
    numbers = subject.publish("digits:1", "digits:2")
    found = subject.collector.versions(subject.name)
    assert [version.config for version in found] == [
        subject.functions.config(subject.name, number) for number in numbers
    ]
    for version in found:
        assert abs(version.at - datetime.now(UTC)) < timedelta(minutes=5)
        assert version.size >= 0


def test_more_versions_than_a_page_holds_are_all_named(subject: Subject) -> None:
    numbers = subject.publish(*(f"digits:{number}" for number in range(55)))
    assert subject.published() == numbers


def test_a_function_that_does_not_exist_has_no_versions_and_no_layers(subject: Subject) -> None:
    assert subject.collector.versions("nobody") == []
    assert subject.collector.layers("nobody-model") == []


def test_what_is_deleted_is_gone_and_the_others_stay_as_they_are(subject: Subject) -> None:
    """Law 10: one version goes, and nothing else does."""
    one, two = subject.publish("digits:1", "digits:2")
    for _ in range(2):
        subject.collector.delete_version(subject.name, one)
    assert subject.published() == [two]
    assert subject.functions.config(subject.name, one) is None
    assert subject.functions.config(subject.name) is not None
    assert subject.functions.invoke(subject.name, two, {"name": "x"}).payload["model"] == "digits:2"


def test_a_number_is_never_given_again(subject: Subject) -> None:
    one, two = subject.publish("digits:1", "digits:2")
    subject.collector.delete_version(subject.name, one)
    subject.collector.delete_version(subject.name, two)
    (three,) = subject.publish("digits:3")
    assert int(three) > int(two)


@pytest.mark.parametrize("share", [False, True])
def test_what_an_alias_leads_to_or_gives_a_share_is_refused_and_stays(subject: Subject, share: bool) -> None:
    """Law 10: nothing live is deleted, whatever a plan says."""
    one, two = subject.publish("digits:1", "digits:2")
    state = subject.functions.create_alias(subject.name, "live", version=two if share else one, note="")
    if share:
        subject.functions.weigh_alias(
            subject.name, "live", weights={one: 0.25}, note="", revision=state.revision
        )
    with pytest.raises(LostRaceError):
        subject.collector.delete_version(subject.name, one)
    assert subject.published() == [one, two]


def test_a_layer_is_named_measured_and_deleted_and_functions_go_on(subject: Subject) -> None:
    name = f"{subject.name}-model"
    zips = [archive("model.txt", text) for text in ("one", "another")]
    arns = [
        subject.functions.publish_layer(name, data, description="", architecture="x86_64") for data in zips
    ]
    found = subject.collector.layers(name)
    assert [layer.arn for layer in found] == arns
    assert all(abs(layer.at - datetime.now(UTC)) < timedelta(minutes=5) for layer in found)
    assert [subject.collector.layer_size(arn) for arn in arns] == [len(data) for data in zips]

    subject.functions.configure(
        subject.name,
        layers=(arns[0],),
        environment={"MODEL": "digits:1"},
        revision=latest(subject.functions, subject.name).revision,
    )
    now = latest(subject.functions, subject.name)
    version = subject.functions.publish(
        subject.name, description="", code_sha256=now.code_sha256, revision=now.revision
    ).version
    for _ in range(2):
        subject.collector.delete_layer(arns[0])
    assert [layer.arn for layer in subject.collector.layers(name)] == arns[1:]
    assert not subject.functions.layer_exists(arns[0])
    assert subject.collector.layer_size(arns[0]) == 0
    config = subject.functions.config(subject.name, version)
    assert config is not None
    assert config.layers == (arns[0],)
    (again,) = [subject.functions.publish_layer(name, zips[0], description="", architecture="x86_64")]
    assert again not in arns
