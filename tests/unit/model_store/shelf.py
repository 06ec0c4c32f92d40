"""A store with a clock, versions made without running a model, and what must hold for all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_collector import MemoryCollector
from model_store.collect import DAY_SECONDS, Collected, Plan, Rules, collect, plan
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.publish import Published, publish
from model_store.versions import load_manifest, models, versions

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS_30 = Rules(versions_older_s=30 * DAY_SECONDS)


@dataclass
class Shelf:
    """What the tests of this room need: time that passes when asked, and cheap artifacts."""

    time: datetime = START
    needs: dict[ByVersion, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = MemoryStore(lambda: self.time)
        self.collector = MemoryCollector(self.store)
        self.folder = Path(tempfile.mkdtemp())

    def now(self) -> float:
        return self.time.timestamp()

    def wait(self, *, days: float = 0, seconds: float = 0) -> None:
        self.time += timedelta(days=days, seconds=seconds)

    def artifact(self, content: str) -> Path:
        """Weights of a few bytes with a config: nothing has to be run to publish them."""
        from tests.unit.model_store.test_safetensors_file import tensor, write

        folder = self.folder / content
        if not folder.exists():
            data = content.encode()
            write(folder / "model.safetensors", {"w": tensor(0, len(data), [len(data)], "U8")}, data)
            (folder / "config.json").write_text("{}")
        return folder

    def publish(
        self,
        content: str,
        *,
        model: str = "bert",
        store: ObjectStore | None = None,
        lineage: Mapping[str, str] | None = None,
        new: bool = False,
    ) -> Published:
        return publish(
            store or self.store,
            model,
            self.artifact(content),
            created_by="ana",
            clock=lambda: self.time,
            sleep=lambda seconds: self.wait(seconds=seconds),
            lineage=lineage,
            force_new=new,
        )

    def plan(self, rules: Rules = Rules(), **changes: object) -> Plan:  # noqa: B008 - it is frozen
        return plan(self.store, self.collector, lambda: self.needs, rules=rules, now=self.now)

    def collect(
        self,
        rules: Rules = Rules(),  # noqa: B008 - it is frozen
        *,
        store: ObjectStore | None = None,
        collector: object | None = None,
        agreed: Plan | None = None,
    ) -> Collected:
        return collect(
            store or self.store,
            collector or self.collector,  # type: ignore[arg-type]
            lambda: self.needs,
            rules=rules,
            now=self.now,
            by="collector",
            agreed=agreed,
        )

    def blobs(self) -> set[str]:
        return set(self.store.keys("blobs/"))

    def must_be_whole(self) -> None:
        """Every version there is can be read, and every file of it is there and is what it says."""
        for model in models(self.store):
            for number in versions(self.store, model):
                manifest = load_manifest(self.store, ByVersion(model, number))
                for file in manifest.files:
                    assert Digest.of(self.store.get(blob_key(file.digest))) == file.digest
