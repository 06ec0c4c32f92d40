"""``models.lock``: what the versions that the catalog lists are, so that a synth asks no network.

The file stands beside the catalog and belongs into Git with it. ``yard lock`` writes it from the stores;
each stage has its own part, because each stage has its own store and numbers its own versions. Reading
changes nothing; writing replaces the file whole, so a crash leaves the old one.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.errors import CatalogError, SwitchyardError
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.contract.paths import check_artifact_path

SCHEMA = 1

_NOTE = "Written by `yard lock`; do not edit. It belongs into Git beside the catalog."


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file of a version: its path inside the artifact, its digest and its size in bytes."""

    path: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class LockedVersion:
    """What one version is: ``digest`` names the artifact, ``manifest`` the bytes of its manifest."""

    ref: ByVersion
    digest: Digest
    manifest: Digest
    kind: str
    entry: str
    files: tuple[LockedFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @classmethod
    def of(cls, manifest: Manifest) -> LockedVersion:
        files = tuple(LockedFile(file.path, file.digest, file.size) for file in manifest.files)
        named = Digest.of(manifest.to_json())
        return cls(manifest.ref, manifest.digest, named, manifest.kind, manifest.entry, files)

    def as_json(self) -> dict[str, Any]:
        return {
            "sha256": self.digest.hex,
            "manifest": self.manifest.hex,
            "kind": self.kind,
            "entry": self.entry,
            "files": [
                {"path": file.path, "sha256": file.digest.hex, "size": file.size} for file in self.files
            ],
        }

    @classmethod
    def from_json(cls, ref: ByVersion, body: dict[str, Any]) -> LockedVersion:
        files = tuple(
            LockedFile(check_artifact_path(item["path"]), Digest(item["sha256"]), int(item["size"]))
            for item in body["files"]
        )
        return cls(
            ref,
            Digest(body["sha256"]),
            Digest(body["manifest"]),
            str(body["kind"]),
            str(body["entry"]),
            files,
        )


Versions = dict[str, dict[int, LockedVersion]]
"""The locked versions of one stage, by model and number."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The whole file: for each stage, for each model, each version that is listed there."""

    stages: dict[str, Versions] = field(default_factory=dict)

    def version(self, stage: str, model: str, version: int) -> LockedVersion:
        """What ``model:version`` is on ``stage``; refused if nobody locked it."""
        found = self.stages.get(stage, {}).get(model, {}).get(version)
        if found is None:
            raise CatalogError(
                f"the catalog lists `{model}:{version}` on stage `{stage}`, and the lock file does not say "
                "what that is",
                hint=f"Run `yard lock --stage {stage}`.",
            )
        return found

    def with_stage(self, stage: str, versions: Versions) -> Lock:
        """This lock with the part of ``stage`` replaced."""
        return Lock({**self.stages, stage: versions})

    def differences(self, stage: str, versions: Versions) -> list[str]:
        """What the part of ``stage`` says otherwise than ``versions``, one sentence each."""
        here = _flat(self.stages.get(stage, {}))
        there = _flat(versions)
        found = [f"`{ref}` is not locked" for ref in there if ref not in here]
        found += [f"`{ref}` is locked and not listed" for ref in here if ref not in there]
        found += [
            f"`{ref}` is locked as {here[ref].digest.short}… and is {there[ref].digest.short}…"
            if here[ref].digest != there[ref].digest
            else f"`{ref}` is locked with another manifest"
            for ref in there
            if ref in here and here[ref] != there[ref]
        ]
        return found

    def to_text(self) -> str:
        """Equal locks are equal files: sorted, with a line for each fact, so that Git shows what changed."""
        body = {
            "note": _NOTE,
            "schema": SCHEMA,
            "stages": {
                stage: {
                    model: {str(number): locked.as_json() for number, locked in sorted(versions.items())}
                    for model, versions in sorted(models.items())
                    if versions
                }
                for stage, models in sorted(self.stages.items())
            },
        }
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


NOTHING_LOCKED = Lock()


def lock_path(catalog: Path) -> Path:
    """Where the lock of the catalog at ``catalog`` stands: ``models.lock`` beside ``models.toml``."""
    return catalog.with_suffix(".lock")


def load_lock(path: Path) -> Lock:
    """Read the lock at ``path``; without a file it is empty. Raises ``CatalogError`` if it is no lock."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(
            f"the lock file `{path}` cannot be read: {error}", hint="Write it again with `yard lock`."
        ) from error
    try:
        body = json.loads(text)
        schema = body["schema"]
        stages = {stage: _models(models) for stage, models in body["stages"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, SwitchyardError) as error:
        raise CatalogError(
            f"`{path.name}` is not a lock file: {error or type(error).__name__}",
            hint="Take it from Git again, or delete it and run `yard lock` for every stage.",
        ) from error
    if schema != SCHEMA:
        raise CatalogError(
            f"`{path.name}` has schema {schema}, this Switchyard reads {SCHEMA}",
            hint="Use the Switchyard that wrote it, or delete it and run `yard lock` for every stage.",
        )
    return Lock(stages)


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the file at ``path`` whole."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(lock.to_text())
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _models(models: dict[str, dict[str, Any]]) -> Versions:
    return {
        model: {
            int(number): LockedVersion.from_json(ByVersion(model, int(number)), body)
            for number, body in versions.items()
        }
        for model, versions in models.items()
    }


def _flat(versions: Versions) -> dict[ByVersion, LockedVersion]:
    return {locked.ref: locked for of_model in versions.values() for locked in of_model.values()}
