"""``model_store.ports``: what a key may be. The other laws are in ``tests/contract/test_object_store.py``."""

from collections.abc import Callable

import pytest

from model_store.adapters.directory import DirectoryStore
from model_store.adapters.memory import MemoryStore
from model_store.adapters.s3 import S3Store
from model_store.contract import keys
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidNameError
from model_store.ports import MAX_KEY_LENGTH, ObjectStore, check_key


@pytest.mark.parametrize(
    "key",
    [
        keys.blob_key(Digest.of(b"")),
        keys.manifest_key("digits-eu", 7),
        keys.ledger_key("digits", "live", 12),
        keys.prepared_key("digits", 7, "0123abcd", 31),
        keys.base_key("digits", 3),
        keys.lease_key("digits", 44),
    ],
)
def test_every_key_of_the_contract_is_a_key(key: str) -> None:
    assert check_key(key) == key


def test_a_key_has_the_length_that_s3_takes() -> None:
    assert check_key("a" * MAX_KEY_LENGTH)
    with pytest.raises(InvalidNameError):
        check_key("a" * (MAX_KEY_LENGTH + 1))


@pytest.mark.parametrize("adapter", [MemoryStore, DirectoryStore, S3Store])
def test_every_adapter_speaks_the_ports_words_and_has_no_way_to_delete(adapter: type) -> None:
    """Law 1: what is written once stays; the port has no verb to undo it."""
    verbs = {name for name in vars(ObjectStore) if not name.startswith("_")}
    spoken = {name for name in vars(adapter) if not name.startswith("_")}
    assert spoken == verbs


def test_the_reference_adapter_is_a_store() -> None:
    make: Callable[[], ObjectStore] = MemoryStore
    assert list(make().keys("")) == []
