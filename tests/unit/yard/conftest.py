"""The command line on a store in memory, and small artifacts that need no library to be made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_keys import MemoryKeys
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec
from releases.adapters.memory_quotas import MemoryQuotas
from yard import deployment, output
from yard.main import app

SIGNING_STAGE = "signed"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
"""The key of the stage that releases only what is signed."""


class Counting(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0

    def get(self, key: str) -> bytes:
        self.gets += 1
        return super().get(key)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, quotas: MemoryQuotas) -> Counting:
    """The store that every stage of this test has."""
    store = Counting()

    @dataclass
    class Place:
        stage: str
        signed_by: str | None = None

        def __post_init__(self) -> None:
            if self.stage == SIGNING_STAGE:
                self.signed_by = KEY

        def store(self) -> Counting:
            return store

        def keys(self) -> MemoryKeys:
            return MemoryKeys(KEY)

    monkeypatch.setattr(deployment, "find", Place)
    monkeypatch.setattr(deployment, "quotas", lambda: quotas)
    return store


@pytest.fixture
def quotas() -> MemoryQuotas:
    """What the account of this test may have: nothing that is written down but Lambda's defaults."""
    return MemoryQuotas()


@pytest.fixture
def yard(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line in this process, in a wide terminal."""
    for console in (output.data, output.people):
        monkeypatch.setattr(console, "width", 200)

    def yard(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return yard


@pytest.fixture
def put(store: Counting) -> Callable[[str, int, bytes], Manifest]:
    """Put a version into the store as publish would have left it."""

    def put(model: str, version: int, data: bytes) -> Manifest:
        digest = Digest.of(data)
        store.put_once(blob_key(digest), data)
        manifest = Manifest(
            model=model,
            version=version,
            files=(ArtifactFile("model.onnx", digest, len(data)),),
            entry="model.onnx",
            inputs=(TensorSpec("x", "FP32", (1,)),),
            outputs=(TensorSpec("y", "FP32", (1,)),),
            golden=Golden((TensorData("x", "FP32", (1,), (1.0,)),), (TensorData("y", "FP32", (1,), (2.0,)),)),
            created_at="2026-05-17T10:30:05Z",
            created_by="ana",
            metrics={"accuracy": 0.97},
            note=f"note {version}",
        )
        store.put_once(manifest_key(model, version), manifest.to_json())
        return manifest

    return put


@pytest.fixture
def document() -> Callable[[Result], Any]:
    """What a command that succeeded printed as JSON."""

    def document(done: Result) -> Any:
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return document
