"""``yard collect``, ``pin``, ``unpin`` and ``pins``."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_collector import MemoryCollector
from model_store.contract.deployment import function_name, model_layer_name
from model_store.contract.errors import InvalidNameError, NotFoundError
from model_store.contract.manifest import Manifest
from model_store.versions import versions
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_collector import MemoryFunctionCollector
from releases.ports import SystemClock
from releases.stage import Stage
from yard import deployment

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]
Document = Callable[[Any], Any]

OLD = datetime(2026, 5, 17, tzinfo=UTC)


@dataclass
class Hands:
    store: MemoryStore
    deletes: MemoryCollector
    functions: MemoryFunctionCollector


@pytest.fixture
def functions() -> MemoryFunctions:
    return MemoryFunctions(lambda config, event: {}, now=OLD.timestamp)


@pytest.fixture
def assumed(store: MemoryStore, functions: MemoryFunctions, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A stage with this store, whose every collector is noted with whether the role was assumed."""
    asked: list[bool] = []

    @dataclass
    class Place:
        stage: str

        def store(self) -> MemoryStore:
            return store

        def collector(self, *, assume: bool = False) -> Hands:
            asked.append(assume)
            return Hands(store, MemoryCollector(store), MemoryFunctionCollector(functions))

        def releases(self, say: Callable[[str], None]) -> Stage:
            return Stage("local", store, functions, SystemClock(), by="ana", say=say)

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "caller", lambda: "ana")
    return asked


@pytest.fixture
def old(store: MemoryStore, assumed: list[bool], put: Put) -> MemoryStore:
    """Two versions and a blob that nobody names, all from long ago."""
    for number in (1, 2):
        put("digits", number, f"model {number}".encode())
    store.put_once(f"blobs/sha256/ab/{'ab' * 32}", b"nobody's")
    for key in store._written:
        store._written[key] = OLD
    return store


def test_a_plan_says_what_would_go_and_touches_nothing(
    old: MemoryStore, yard: Yard, assumed: list[bool]
) -> None:
    before = list(old.keys(""))
    done = yard("collect")
    assert done.exit_code == 0
    assert "no version names it" in done.stdout
    assert "1 things would go, 8 bytes; nothing was touched" in done.stderr
    assert "--apply" in done.stderr
    assert list(old.keys("")) == before
    assert assumed == [False]


def test_apply_takes_it_as_the_role_that_may(
    old: MemoryStore, yard: Yard, assumed: list[bool], document: Document
) -> None:
    """Law 10: only the collector's role deletes."""
    taken = document(yard("collect", "--apply", "--json"))
    assert [item["what"] for item in taken["taken"]] == ["blob"]
    assert taken["bytes"] == 8
    assert assumed == [False, True]
    assert document(yard("collect", "--apply", "--json"))["planned"] == []
    assert assumed[2:] == [False], "without garbage no role is assumed"


def test_versions_and_layers_of_lambda_go_with_it(
    old: MemoryStore, functions: MemoryFunctions, yard: Yard, document: Document
) -> None:
    name = function_name("local", "digits")
    for code in ("one", "two"):
        config = functions.deploy(name, code_sha256=code)
        functions.publish(name, description="", code_sha256=code, revision=config.revision)
    arn = functions.publish_layer(
        model_layer_name("local", "digits"), b"zip", description="", architecture="x86_64"
    )
    planned = document(yard("collect", "--json"))["planned"]
    assert {(item["what"], item["name"], item["bytes"]) for item in planned[1:]} == {
        ("Lambda version", f"{name}:1", 0),
        ("layer", arn, 3),
    }
    taken = document(yard("collect", "--apply", "--json"))
    assert {item["name"] for item in taken["taken"]} == {item["name"] for item in planned}
    assert taken["kept"] == {f"{name}:2": "it is the newest of its function"}
    assert document(yard("collect", "--json"))["planned"] == []


def test_versions_go_only_if_asked(old: MemoryStore, yard: Yard, document: Document) -> None:
    shown = yard("collect", "--versions", "12w").stdout
    assert "it is the newest of `digits`" in shown
    assert versions(old, "digits") == [1, 2]
    taken = document(yard("collect", "--versions", "12w", "--apply", "--json"))
    assert [item["name"] for item in taken["taken"] if item["what"] == "version"] == ["digits:1"]
    assert taken["kept"] == {"digits:2": "it is the newest of `digits`"}
    assert versions(old, "digits") == [2]


@pytest.mark.parametrize("words", [("--grace", "soon"), ("--versions", "7"), ("--keep-releases", "0")])
def test_an_age_that_is_none_is_misspelled(assumed: list[bool], yard: Yard, words: tuple[str, str]) -> None:
    assert yard("collect", *words).exit_code == 2


def test_a_grace_period_that_a_slow_publish_could_outlast_is_refused(assumed: list[bool], yard: Yard) -> None:
    assert isinstance(yard("collect", "--grace", "1h").exception, InvalidNameError)


def test_a_pin_is_kept_listed_and_let_go(old: MemoryStore, yard: Yard, document: Document) -> None:
    made = document(yard("pin", "digits:1", "--reason", "audit", "--json"))
    assert (made["version"], made["by"], made["reason"]) == (1, "ana", "audit")
    assert abs(datetime.fromisoformat(made["at"]).timestamp() - time.time()) < 60
    assert [one["number"] for one in document(yard("pins", "digits", "--json"))] == [1]
    assert "audit" in yard("pins", "digits").stdout
    kept = document(yard("collect", "--versions", "12w", "--json"))["kept"]
    assert kept["digits:1"] == "it is pinned by ana: audit"
    assert len(document(yard("unpin", "digits:1", "--json"))) == 1
    assert document(yard("pins", "digits", "--json")) == []


def test_a_pin_has_a_reason_and_a_version(old: MemoryStore, yard: Yard) -> None:
    assert yard("pin", "digits:1").exit_code == 2
    assert isinstance(yard("pin", "digits:9", "--reason", "x").exception, NotFoundError)
    assert isinstance(yard("unpin", "digits:1").exception, NotFoundError)
