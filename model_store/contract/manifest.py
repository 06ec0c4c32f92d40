"""The manifest: what a version *is*. Its write is the commit point of a publish."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.kinds import KINDS, ONNX
from model_store.contract.names import ByVersion
from model_store.contract.parts import Parts
from model_store.contract.paths import check_artifact_path
from model_store.contract.tensors import TensorData, TensorSpec

SCHEMA = 3
"""The newest that is read. 1: ONNX only. 2: says its kind; other kinds may have no golden sample; large files
carry the digests of their parts. 3: names a baseline. Older ones are read, and written back as they were."""

PICTURES = "pictures"
"""In the lineage of a version: which of its inputs are files of pictures, joined by commas."""

WITHOUT_BASELINE = 2
"""What a version without a baseline is written as: an older Switchyard reads it too."""


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of an artifact: its path inside the artifact, its digest and its size in bytes.

    A large file also has ``parts``; a small one, and every file of schema 1, has none.
    """

    path: str
    digest: Digest
    size: int
    parts: Parts | None = None

    def __post_init__(self) -> None:
        check_artifact_path(self.path)

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"path": self.path, "sha256": self.digest.hex, "size": self.size}
        if self.parts:
            body["parts"] = self.parts.as_json()
        return body

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ArtifactFile:
        size = int(data["size"])
        parts = Parts.from_json(data["parts"], size) if "parts" in data else None
        return cls(str(data["path"]), Digest(data["sha256"]), size, parts)


def artifact_digest(files: tuple[ArtifactFile, ...]) -> Digest:
    """The digest of an artifact of one or many files.

    It is the sha256 of what ``sha256sum`` prints for the files in path order, so anybody can check
    it with public tools: ``find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum |
    sha256sum``.
    """
    lines = sorted(files, key=lambda file: file.path.encode())
    listing = "".join(f"{file.digest.hex}  {file.path}\n" for file in lines)
    return Digest(hashlib.sha256(listing.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden sample: inputs, and the outputs that this version gave for them at publish.

    A prepared version must reproduce ``outputs`` for ``inputs``: every number within
    ``atol + rtol * |expected|`` (numpy's ``allclose``), everything else exactly. An empty one is
    absent: a kind that cannot be run at publish may come without, and is then not released to a target
    that checks one.
    """

    inputs: tuple[TensorData, ...]
    outputs: tuple[TensorData, ...]
    rtol: float = 1e-4
    atol: float = 1e-5

    @property
    def is_there(self) -> bool:
        return bool(self.inputs or self.outputs)

    def without_values(self) -> Golden:
        """The same tensors by name, datatype and shape alone."""
        inputs, outputs = (
            tuple(replace(tensor, data=()) for tensor in tensors) for tensors in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)

    def as_json(self) -> dict[str, Any] | None:
        if not self.is_there:
            return None
        return {
            "inputs": [tensor.as_json() for tensor in self.inputs],
            "outputs": [tensor.as_json() for tensor in self.outputs],
            "rtol": self.rtol,
            "atol": self.atol,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Golden:
        if data is None:
            return NO_GOLDEN
        return cls(
            tuple(TensorData.from_json(item) for item in data["inputs"]),
            tuple(TensorData.from_json(item) for item in data["outputs"]),
            float(data["rtol"]),
            float(data["atol"]),
        )


NO_GOLDEN = Golden((), ())


@dataclass(frozen=True, slots=True)
class Manifest:
    """One immutable version of a model.

    ``entry`` is the path of the file to load among ``files``, and ``kind`` says what it is: a graph, or
    ``pipeline.json`` that names several (``model_store.contract.pipeline``); ``created_at`` is UTC, ISO
    8601 with seconds; ``created_by`` is the caller as the store's backend knows it. ``baseline`` is the
    digest of what is known of its training data (``model_store.contract.baseline``), where it was given.
    """

    model: str
    version: int
    files: tuple[ArtifactFile, ...]
    entry: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: Golden
    created_at: str
    created_by: str
    metrics: dict[str, float] = field(default_factory=dict)
    lineage: dict[str, str] = field(default_factory=dict)
    note: str = ""
    kind: str = ONNX
    baseline: Digest | None = None
    schema: int = WITHOUT_BASELINE

    @property
    def ref(self) -> ByVersion:
        return ByVersion(self.model, self.version)

    @property
    def digest(self) -> Digest:
        """The digest of the whole artifact; it names the bytes that answer requests."""
        return artifact_digest(self.files)

    @property
    def pictures(self) -> frozenset[str]:
        """The inputs whose elements are files of pictures and not texts."""
        named = self.lineage.get(PICTURES)
        return frozenset(named.split(", ")) if named else frozenset()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def to_json(self) -> bytes:
        """Canonical bytes: equal manifests are equal files."""
        body = {
            "schema": self.schema,
            "model": self.model,
            "version": self.version,
            **({"kind": self.kind} if self.schema > 1 else {}),
            "sha256": self.digest.hex,
            "size": self.size,
            "entry": self.entry,
            "files": [file.as_json() for file in self.files],
            "inputs": [tensor.as_json() for tensor in self.inputs],
            "outputs": [tensor.as_json() for tensor in self.outputs],
            "golden": self.golden.as_json(),
            "metrics": self.metrics,
            "lineage": self.lineage,
            "note": self.note,
            "created_at": self.created_at,
            "created_by": self.created_by,
            **({"baseline": self.baseline.hex} if self.baseline else {}),
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a manifest back; a manifest that contradicts itself is refused."""
        try:
            document = json.loads(data)
        except ValueError as error:
            raise IntegrityError(f"the manifest cannot be read: {error}") from error
        return cls.from_document(document)

    @classmethod
    def from_document(cls, body: Any) -> Manifest:
        """The same from JSON that somebody parsed, by whatever parser is at hand."""
        try:
            schema = int(body["schema"])
            if schema > SCHEMA:
                raise IntegrityError(
                    f"the manifest has schema {schema}, this Switchyard reads up to {SCHEMA}",
                    hint="Update Switchyard to the version that published this model.",
                )
            manifest = cls(
                model=str(body["model"]),
                version=int(body["version"]),
                files=tuple(ArtifactFile.from_json(item) for item in body["files"]),
                entry=str(body["entry"]),
                inputs=tuple(TensorSpec.from_json(item) for item in body["inputs"]),
                outputs=tuple(TensorSpec.from_json(item) for item in body["outputs"]),
                golden=Golden.from_json(body["golden"]),
                created_at=str(body["created_at"]),
                created_by=str(body["created_by"]),
                metrics={str(k): float(v) for k, v in body["metrics"].items()},
                lineage={str(k): str(v) for k, v in body["lineage"].items()},
                note=str(body["note"]),
                kind=str(body["kind"]) if schema > 1 else ONNX,
                baseline=Digest(body["baseline"]) if schema > WITHOUT_BASELINE else None,
                schema=schema,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(f"the manifest cannot be read: {error}") from error
        if body.get("sha256") != manifest.digest.hex or body.get("size") != manifest.size:
            raise IntegrityError(f"the manifest of `{manifest.ref}` names files that are not its digest's")
        if manifest.kind not in KINDS:
            raise IntegrityError(f"the manifest of `{manifest.ref}` has an unknown kind, `{manifest.kind}`")
        if manifest.entry not in {file.path for file in manifest.files}:
            raise IntegrityError(f"the manifest of `{manifest.ref}` serves a file that it does not have")
        return manifest
