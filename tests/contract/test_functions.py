"""The laws of ``releases.ports.Functions``, held against the fake and against Lambda's own interface.

The second runs on the embedded cloud through boto3, which checks every request's parameters against
the service's own model before it is sent.
"""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from releases.adapters.memory import MemoryFunctions
from releases.errors import LostRaceError, NotDeployedError, ReleaseError
from releases.ports import LATEST, FunctionConfig, Functions

CODE = """
import os

def handler(event, context):
    print("asked for", event.get("name"))
    if event.get("fail"):
        raise ValueError("no such digit")
    return {"model": os.environ.get("MODEL", ""), "name": event.get("name")}
"""

ROLE = "arn:aws:iam::000000000000:role/test"


def play(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    """What CODE does, for the fake."""
    if event.get("fail"):
        raise ValueError("no such digit")
    return {"model": config.environment.get("MODEL", ""), "name": event.get("name")}


def archive(name: str, content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(
    params=["memory", pytest.param("lambda", marks=pytest.mark.cloud)],
)
def subject(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Functions, str]]:
    """The functions under test, and the name of one that is deployed."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        fake = MemoryFunctions(play)
        fake.deploy(name, layers=())
        yield fake, name
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    from releases.adapters.aws import LambdaFunctions, lambda_client

    client = lambda_client()
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role=ROLE,
        Code={"ZipFile": archive("index.py", CODE)},
        MemorySize=512,
        Timeout=10,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    yield LambdaFunctions(MemoryStore(), bucket="unused"), name
    client.delete_function(FunctionName=name)


def latest(functions: Functions, name: str) -> FunctionConfig:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        config = functions.config(name)
        assert config is not None
        if config.update != "InProgress":
            return config
        time.sleep(0.02)
    raise AssertionError("the update never settled")


def publish(functions: Functions, name: str, model: str) -> FunctionConfig:
    functions.configure(
        name, layers=(), environment={"MODEL": model}, revision=latest(functions, name).revision
    )
    now = latest(functions, name)
    return functions.publish(name, description=model, code_sha256=now.code_sha256, revision=now.revision)


def test_what_does_not_exist_is_none(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    assert functions.config("nobody") is None
    assert functions.config(name, "99") is None
    assert functions.alias(name, "live") is None
    assert functions.alias("nobody", "live") is None


def test_a_published_version_never_changes(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    first = publish(functions, name, "digits:1")
    publish(functions, name, "digits:2")
    assert functions.invoke(name, first.version, {"name": "x"}).payload == {"model": "digits:1", "name": "x"}
    again = functions.config(name, first.version)
    assert again is not None
    assert again.environment == {"MODEL": "digits:1"}


def test_publishing_what_is_published_returns_it(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    first = publish(functions, name, "digits:1")
    now = latest(functions, name)
    again = functions.publish(name, description="again", code_sha256=now.code_sha256, revision=now.revision)
    assert again.version == first.version


@pytest.mark.parametrize("stale", ["revision", "code"])
def test_publishing_something_else_than_was_seen_is_refused(
    subject: tuple[Functions, str], stale: str
) -> None:
    functions, name = subject
    seen = latest(functions, name)
    other_code = "A" * 43 + "="
    if stale == "revision":
        functions.configure(name, layers=(), environment={"MODEL": "other"}, revision=seen.revision)
        latest(functions, name)
    with pytest.raises(ReleaseError):
        functions.publish(
            name,
            description="",
            code_sha256=seen.code_sha256 if stale == "revision" else other_code,
            revision=seen.revision,
        )
    assert functions.config(name, "1") is None


def test_configuring_on_a_stale_revision_is_refused(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    seen = latest(functions, name)
    functions.configure(name, layers=(), environment={"MODEL": "a"}, revision=seen.revision)
    latest(functions, name)
    with pytest.raises(LostRaceError):
        functions.configure(name, layers=(), environment={"MODEL": "b"}, revision=seen.revision)
    assert latest(functions, name).environment == {"MODEL": "a"}


def test_an_alias_moves_with_its_note_and_without_weights(subject: tuple[Functions, str]) -> None:
    """Law 3: every flip sets the routing weights explicitly (none)."""
    functions, name = subject
    one, two = publish(functions, name, "digits:1"), publish(functions, name, "digits:2")
    made = functions.create_alias(name, "live", version=one.version, note="first")
    moved = functions.move_alias(name, "live", version=two.version, note="second", revision=made.revision)
    assert moved == functions.alias(name, "live")
    assert (moved.version, moved.note, moved.weights) == (two.version, "second", {})
    assert moved.revision != made.revision
    ran = functions.invoke(name, "live", {"name": "y"})
    assert (ran.payload["model"], ran.executed_version) == ("digits:2", two.version)


def test_of_many_that_saw_the_same_alias_exactly_one_moves_it(subject: tuple[Functions, str]) -> None:
    """Law 3: a flip is a compare-and-swap."""
    functions, name = subject
    one, two = publish(functions, name, "digits:1"), publish(functions, name, "digits:2")
    seen = functions.create_alias(name, "live", version=one.version, note="0")
    outcomes: list[str] = []

    def move(number: int) -> None:
        try:
            functions.move_alias(
                name, "live", version=two.version, note=f"by {number}", revision=seen.revision
            )
            outcomes.append(f"by {number}")
        except LostRaceError:
            pass

    threads = [threading.Thread(target=move, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = functions.alias(name, "live")
    assert state is not None
    assert outcomes == [state.note]


def test_a_move_to_the_same_version_also_changes_the_revision(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    made = functions.create_alias(name, "live", version=one.version, note="a")
    again = functions.move_alias(name, "live", version=one.version, note="b", revision=made.revision)
    assert again.revision != made.revision


@pytest.mark.parametrize("how", ["create", "move"])
def test_an_alias_cannot_point_at_nothing(subject: tuple[Functions, str], how: str) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    if how == "create":
        with pytest.raises(NotDeployedError):
            functions.create_alias(name, "live", version="99", note="")
        assert functions.alias(name, "live") is None
        return
    made = functions.create_alias(name, "live", version=one.version, note="")
    with pytest.raises(NotDeployedError):
        functions.move_alias(name, "live", version="99", note="", revision=made.revision)
    assert functions.alias(name, "live") == made


def test_an_alias_is_created_once(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    functions.create_alias(name, "live", version=one.version, note="mine")
    with pytest.raises(LostRaceError):
        functions.create_alias(name, "live", version=one.version, note="yours")


def test_a_failing_function_is_reported_with_its_reason(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    ran = functions.invoke(name, one.version, {"fail": True})
    assert ran.error is not None
    assert "no such digit" in ran.error
    assert any("no such digit" in line for line in ran.log)


def test_a_layer_that_was_published_exists(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    arn = functions.publish_layer(
        f"{name}-model", archive("python/x.txt", "x"), description="digits:1", architecture="x86_64"
    )
    assert functions.layer_exists(arn)
    assert not functions.layer_exists(arn.rsplit(":", 1)[0] + ":99")


def test_latest_is_reported_as_latest(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    assert latest(functions, name).version == LATEST


def test_what_an_event_carries_arrives(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    event = {"name": json.dumps({"deep": ["ü", 1.5]})}
    assert functions.invoke(name, one.version, event).payload["name"] == event["name"]


def test_all_aliases_are_listed(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    version = publish(functions, name, "digits:1").version
    for alias in ("live", "v1"):
        functions.create_alias(name, alias, version=version, note=f"note of {alias}")
    listed = {state.alias: (state.version, state.note) for state in functions.aliases(name)}
    assert listed == {"live": (version, "note of live"), "v1": (version, "note of v1")}
    assert functions.aliases("nobody") == []


def test_a_listed_alias_can_be_moved_by_the_revision_it_was_listed_with(
    subject: tuple[Functions, str],
) -> None:
    functions, name = subject
    first, second = (publish(functions, name, f"digits:{number}").version for number in (1, 2))
    functions.create_alias(name, "v1", version=first, note="")
    (state,) = functions.aliases(name)
    moved = functions.move_alias(name, "v1", version=second, note="", revision=state.revision)
    assert moved.version == second


def test_a_share_goes_to_another_version_while_the_alias_stays(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one, two = publish(functions, name, "digits:1"), publish(functions, name, "digits:2")
    made = functions.create_alias(name, "live", version=one.version, note="first")
    weighed = functions.weigh_alias(
        name, "live", weights={two.version: 0.25}, note="second", revision=made.revision
    )
    assert weighed == functions.alias(name, "live")
    assert (weighed.version, weighed.note, weighed.weights) == (one.version, "second", {two.version: 0.25})
    assert weighed.revision != made.revision


def test_a_flip_takes_every_share_back(subject: tuple[Functions, str]) -> None:
    """Law 3: every flip sets the routing weights explicitly (none)."""
    functions, name = subject
    one, two = publish(functions, name, "digits:1"), publish(functions, name, "digits:2")
    made = functions.create_alias(name, "live", version=one.version, note="")
    weighed = functions.weigh_alias(name, "live", weights={two.version: 0.5}, note="", revision=made.revision)
    moved = functions.move_alias(name, "live", version=one.version, note="", revision=weighed.revision)
    assert (moved.version, moved.weights) == (one.version, {})


def test_weighing_on_a_stale_revision_is_refused(subject: tuple[Functions, str]) -> None:
    """Law 3: a step of a shift is a compare-and-swap too."""
    functions, name = subject
    one, two = publish(functions, name, "digits:1"), publish(functions, name, "digits:2")
    made = functions.create_alias(name, "live", version=one.version, note="")
    functions.move_alias(name, "live", version=one.version, note="mine", revision=made.revision)
    with pytest.raises(LostRaceError):
        functions.weigh_alias(name, "live", weights={two.version: 0.5}, note="", revision=made.revision)
    state = functions.alias(name, "live")
    assert state is not None
    assert (state.note, state.weights) == ("mine", {})


def test_nothing_cannot_be_given_a_share(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    one = publish(functions, name, "digits:1")
    made = functions.create_alias(name, "live", version=one.version, note="")
    with pytest.raises(NotDeployedError):
        functions.weigh_alias(name, "live", weights={"99": 0.5}, note="", revision=made.revision)
    assert functions.alias(name, "live") == made


def test_what_is_provisioned_becomes_ready_and_is_listed_by_version(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    first, second = (publish(functions, name, f"digits:{number}").version for number in (1, 2))
    assert functions.provisioned(name) == {}
    functions.provision(name, first, 2)
    functions.provision(name, second, 3)
    deadline = time.monotonic() + 60
    found = functions.provisioned(name)
    while any(item.state != "READY" for item in found.values()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
        found = functions.provisioned(name)
    assert {version: (item.requested, item.state) for version, item in found.items()} == {
        first: (2, "READY"),
        second: (3, "READY"),
    }


def test_what_is_no_longer_provisioned_still_answers(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    version = publish(functions, name, "digits:1").version
    functions.provision(name, version, 2)
    for _ in range(2):
        functions.unprovision(name, version)
    assert functions.provisioned(name) == {}
    assert functions.invoke(name, version, {"name": "x"}).error is None


def test_a_version_that_does_not_exist_cannot_be_provisioned(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    with pytest.raises(ReleaseError):
        functions.provision(name, "99", 1)
    assert functions.provisioned(name) == {}


def test_how_many_may_run_at_once_is_told(subject: tuple[Functions, str]) -> None:
    functions, name = subject
    found = functions.concurrency(name)
    assert 0 < found.unreserved <= found.account
    assert found.reserved is None
