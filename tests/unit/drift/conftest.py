"""A version with a baseline in one store, and rows in another as functions lay them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from model_store.adapters.memory import MemoryStore
from model_store.contract import capture as contract
from model_store.contract import parquet
from model_store.contract.capture import captured_key
from model_store.contract.manifest import Manifest
from model_store.contract.parquet import FLOAT, INTEGER, TEXT, TIME, Column
from model_store.publish import publish

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


def sign_model(path: Path) -> Path:
    """``x`` [n, 2] to ``label`` [n]: which of the two is larger."""
    graph = helper.make_graph(
        [helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@dataclass
class Watched:
    """``sign`` in the store, and where its requests are kept."""

    store: MemoryStore
    kept: MemoryStore
    manifest: Manifest
    files: int = 0

    def capture(
        self,
        x: Any,
        *,
        at: datetime = NOW,
        version: int = 1,
        about: Mapping[str, str] | None = None,
        ids: Sequence[str] | None = None,
        x_kind: str = FLOAT,
    ) -> None:
        """Lay down rows as one file of one environment."""
        labels = [[int(np.argmax(row))] if x_kind == FLOAT else [0] for row in x]
        count = len(labels)
        table: dict[Column, list[Any]] = {
            Column("request_id", TEXT): [f"r{self.files}-{row}" for row in range(count)],
            Column("id", TEXT): list(ids or [""] * count),
            Column("row", INTEGER): [0] * count,
            Column("at", TIME): [int(at.timestamp() * 1000)] * count,
            Column("input.x", x_kind, lists=True): [list(row) for row in x],
            Column("output.label", INTEGER, lists=True): labels,
        }
        said = {
            "format": contract.FORMAT,
            "model": "sign",
            "version": str(version),
            "hashed": "",
            "lost": "0",
        }
        data = parquet.write(table, {**said, **(about or {})})
        self.kept.put_once(captured_key("sign", version, at, "e0", self.files), data)
        self.files += 1


def trained(random: np.random.Generator, count: int, shift: float = 0.0) -> Any:
    return (random.normal(size=(count, 2)) + np.array([shift, 0.0])).astype(np.float32)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(22)


@pytest.fixture
def publish_sign(tmp_path: Path, random: np.random.Generator) -> Callable[[MemoryStore], Manifest]:
    def made(store: MemoryStore) -> Manifest:
        np.savez(tmp_path / "rows.npz", x=trained(random, 2_000))
        path = sign_model(tmp_path / "model.onnx")
        done = publish(store, "sign", path, created_by="ana", baseline=tmp_path / "rows.npz", force_new=True)
        return done.manifest

    return made


@pytest.fixture
def watched(publish_sign: Callable[[MemoryStore], Manifest]) -> Watched:
    store = MemoryStore()
    return Watched(store, MemoryStore(), publish_sign(store))
