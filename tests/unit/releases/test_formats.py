"""Stores that earlier releases of Switchyard wrote, one for each format: today's code reads and goes on with them.

A fixture is never changed. A new format gets a file of its own beside the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.keys import blob_key
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest, versions
from releases.ledger import Ledger, in_force, step_before
from releases.records import LINE_FORMAT, Line
from releases.restore import restore
from tests.unit.releases.world import World

STORES = Path(__file__).parents[2] / "fixtures" / "stores"


def stored(name: str) -> MemoryStore:
    """The fixture as a store; the models' bytes are as ``World.publish`` makes them."""
    store = MemoryStore()
    for key, text in json.loads((STORES / f"{name}.json").read_text("utf-8")).items():
        store.put_once(key, text.encode())
    for version in (1, 2, 3):
        data = f"digits {version}".encode()
        store.put_once(blob_key(Digest.of(data)), data)
    return store


@pytest.mark.parametrize("name", ["ledger-1", "ledger-2"])
def test_yesterdays_store_is_read(name: str) -> None:
    store = stored(name)
    assert versions(store, "digits") == [1, 2, 3]
    assert [load_manifest(store, ByVersion("digits", number)).schema for number in (1, 2, 3)] == [1, 2, 3]
    lines = Ledger(store, "digits", "live").lines()
    moves = [(line.plan.kind, line.plan.version) for line in lines]
    assert moves[:4] == [("release", 1), ("release", 2), ("release", 3), ("rollback", 2)]
    assert moves[4:] == [("stop", 2), ("rebase", 2)]
    live, before = in_force(lines), step_before(lines)
    assert (live.version if live else 0, before.version if before else 0) == (2, 1)


@pytest.mark.parametrize("name", ["ledger-1", "ledger-2"])
def test_a_stage_goes_on_with_yesterdays_store(name: str, new_world: Callable[..., World]) -> None:
    world = new_world()
    world.store = stored(name)
    world.deploy(rebase=False)
    assert [item.version for item in restore(world.stage())] == [2]
    world.controller().release(ByVersion("digits", 1))
    world.controller().rollback("digits")
    assert world.ask() == (200, "digits:2")
    assert world.status().disagreements == ()


def test_every_format_has_a_fixture() -> None:
    written = {json.loads(text).get("format", 1) for name in STORES.glob("*.json") for text in _lines(name)}
    assert written == set(range(1, LINE_FORMAT + 1))


def test_a_line_of_a_later_format_is_refused_by_its_number() -> None:
    (text, *_) = _lines(STORES / "ledger-2.json")
    later = json.dumps({**json.loads(text), "format": LINE_FORMAT + 1, "colour": "blue"})
    with pytest.raises(IntegrityError, match=f"has format {LINE_FORMAT + 1}") as refused:
        Line.from_json(later.encode())
    assert refused.value.hint == "Update Switchyard to the version that wrote it."


def test_a_line_that_another_release_completed_in_its_own_format_is_the_same_line() -> None:
    """Law 3: the same line again is harmless, whoever wrote it."""
    store = stored("ledger-1")
    ledger = Ledger(store, "digits", "live")
    last = ledger.lines()[-1]
    assert ledger.append(last.line, last.plan) == last


def _lines(path: Path) -> list[str]:
    held = json.loads(path.read_text("utf-8"))
    return [text for key, text in sorted(held.items()) if key.startswith("models/digits/releases/")]
