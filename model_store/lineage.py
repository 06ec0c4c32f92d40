"""Where a version comes from: what it was made from, by which step, from which data, code and packages.

Lineage is a flat table of texts in the manifest. These keys mean something to Switchyard; an import adds
keys of its own, and whoever publishes through Python may add any.

==================  ===========================================================================
``parent``          the version that this one was made from, ``digits:3``; collect keeps it
``parent_digest``   what that version was
``step``            what was done to it: quantised, pruned, distilled, fine-tuned …
``data``            the digest of the training data, ``sha256:…``
``git``             the commit of the code beside the artifact; ``(changed)`` if files differ from it
``python``          the interpreter that published it
``packages``        versions of the packages that make and read models, where it was published
``licence``         the artifact's file that holds the licence
``card``            the artifact's file that holds the model card
==================  ===========================================================================
"""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path, PurePosixPath

from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.names import parse_version_ref
from model_store.ports import ObjectStore
from model_store.versions import load_manifest

PARENT = "parent"
MAX_STEP = 500

_PACKAGES = (
    *("numpy", "onnx", "onnxruntime", "onnxscript", "protobuf", "safetensors", "scikit-learn"),
    *("torch", "transformers"),
)
_GIT_SECONDS = 5.0


def origins(
    store: ObjectStore, *, parent: str | None = None, step: str = "", data_digest: str | None = None
) -> dict[str, str]:
    """Check what a person says of where a version comes from, and write it as lineage.

    Raises ``NotFoundError`` for a parent that was never published and ``InvalidArtifactError`` for what
    nobody could follow later. Reads only.
    """
    found: dict[str, str] = {}
    if parent is not None:
        manifest = load_manifest(store, parse_version_ref(parent))
        found |= {PARENT: str(manifest.ref), "parent_digest": str(manifest.digest)}
    if step:
        if len(step) > MAX_STEP or not step.isprintable():
            raise InvalidArtifactError(
                "the step is not one line of text", hint=f"Say it in at most {MAX_STEP} characters."
            )
        found["step"] = step
    if data_digest is not None:
        found["data"] = str(Digest(data_digest.removeprefix("sha256:")))
    return found


def surroundings(path: Path) -> dict[str, str]:
    """What can be seen without being told: the code beside the artifact, the interpreter, the packages."""
    return {**code(path), **environment()}


def environment() -> dict[str, str]:
    """The interpreter and the packages that could have to do with a model."""
    versions = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "packages": ", ".join(versions)}


def code(path: Path) -> dict[str, str]:
    """The commit that the folder of ``path`` is at; nothing where there is no git or no checkout."""
    folder = path if path.is_dir() else path.parent
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    # Only files that git knows: the artifact itself is often not one of them.
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git": f"{commit} (changed)" if changed else commit}


def papers(names: list[str]) -> dict[str, str]:
    """Which of the files ``names`` are the licence and the model card, the ones nearest the top first."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        role = _role(PurePosixPath(name).name.lower())
        if role:
            found.setdefault(role, name)
    return found


def _role(name: str) -> str | None:
    stem = name.split(".", 1)[0]
    if stem in ("license", "licence", "copying", "license-apache", "license-mit"):
        return "licence"
    if name in ("readme.md", "model_card.md", "modelcard.md", "model-card.md"):
        return "card"
    return None


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
