"""``model_store.adapters.memory``: what the contract suite does not ask of every adapter."""

from model_store.adapters.memory import MemoryStore


def test_a_buffer_that_changes_later_does_not_change_what_is_stored() -> None:
    """Law 1: what is written stays."""
    store, buffer = MemoryStore(), bytearray(b"before")
    store.put_once("a/1", buffer)  # type: ignore[arg-type]
    buffer[:] = b"after!"
    assert store.get("a/1") == b"before"


def test_a_listing_is_not_disturbed_by_writes_while_it_is_read() -> None:
    store = MemoryStore()
    for number in (1, 2):
        store.put_once(f"a/{number}", b"")
    seen = []
    for key in store.keys("a/"):
        seen.append(key)
        store.put_once(f"{key}/more", b"")
    assert seen == ["a/1", "a/2"]


def test_two_stores_share_nothing() -> None:
    MemoryStore().put_once("a/1", b"")
    assert not MemoryStore().exists("a/1")
