"""Adopt a model that another tool has packed: MLflow, a Hugging Face folder, a SageMaker archive.

Nothing of the other tool is installed or run; what lies on disk is read as any artifact is, and refused for
the same reasons. Licence and model card travel along as files of the artifact, and the lineage says which
they are and what the other tool knew.

* ``mlflow:DIR``: a folder with an ``MLmodel`` file that has an ``onnx`` flavour, or a ``transformers`` one
  with safetensors (MLflow documentation, "MLflow Models", storage format).
* ``hf:DIR``: a folder as ``save_pretrained`` or ``hf download`` leaves it, also a snapshot in the cache.
  ONNX is preferred to safetensors; weights in other formats are left out.
* ``sagemaker:FILE``: a ``model.tar.gz`` (SageMaker documentation, "Model artifacts"); its ``code/`` is
  left out, because Switchyard serves with code of its own.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from model_store.archives import unpack_tar
from model_store.artifact import among, resolved
from model_store.contract.errors import InvalidArtifactError, InvalidNameError, NotFoundError
from model_store.contract.kinds import ONNX, SAFETENSORS
from model_store.contract.paths import check_artifact_path, shown
from model_store.lineage import papers
from model_store.place import local_files
from model_store.source import ENTRY, Source, followed

MAX_PAPER_BYTES = 1024 * 1024
"""Longest MLmodel file, config or front matter that is read."""

_MLMODEL = "MLmodel"
_OTHER_WEIGHTS = (
    *(".bin", ".h5", ".msgpack", ".ot", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"),
    *(".gguf", ".tflite", ".onnx_data", ".onnx.data", ".safetensors", ".onnx", ".pt2", ".mlmodel"),
)
_FORMS = "Write `mlflow:DIR`, `hf:DIR` or `sagemaker:FILE.tar.gz`."


@dataclass(frozen=True, slots=True)
class Adopted:
    """An artifact that can be published, and what was left out of it."""

    source: Source
    remarks: tuple[str, ...] = ()


@contextmanager
def adopted(text: str, *, kind: str | None = None, allow_code: bool = False) -> Iterator[Adopted]:
    """Read what ``text`` names (``hf:DIR`` …) as an artifact, for as long as the block lasts.

    Raises ``InvalidArtifactError`` for what cannot be served safely and ``NotFoundError`` where nothing
    is. An archive is unpacked into a temporary folder that goes with the block.
    """
    tool, colon, name = text.partition(":")
    readers = {"mlflow": _mlflow, "hf": _hugging_face, "sagemaker": _sagemaker}
    if not colon or not name or tool not in readers:
        raise InvalidNameError(f"`{shown(text)}` does not say what to import", hint=_FORMS)
    path = followed(Path(name))
    if not path.exists():
        raise NotFoundError(f"`{shown(name)}` is not there", hint=_FORMS)
    with tempfile.TemporaryDirectory(prefix="switchyard-") as folder:
        found = readers[tool](path, Path(folder), kind)
        source = resolved(found.source, kind=kind, allow_code=allow_code)
        said = {"imported": tool, **papers(list(source.paths)), **source.said}
        yield Adopted(replace(source, said=said), found.remarks)


# MLflow


def _mlflow(path: Path, _: Path, kind: str | None) -> Adopted:
    paths = dict(_files(path, links_into=()))
    if _MLMODEL not in paths:
        raise InvalidArtifactError(
            f"the folder `{path.name}` has no `{_MLMODEL}` file",
            hint="Name the folder that `mlflow.onnx.save_model` wrote.",
        )
    about = _yaml(paths[_MLMODEL], _MLMODEL)
    flavours = about.get("flavors")
    flavours = flavours if isinstance(flavours, dict) else {}
    said = {
        "mlflow": about.get("mlflow_version"),
        "mlflow_run": about.get("run_id"),
        "mlflow_model": about.get("model_id") or about.get("model_uuid"),
        "mlflow_created": about.get("utc_time_created"),
    }
    paths, left_out = _without(paths, ("code/",))
    if isinstance(flavours.get("onnx"), dict):
        entry = _mlflow_entry(str(flavours["onnx"].get("data") or ENTRY), paths)
        source = Source(entry, paths, ONNX)
    elif "transformers" in flavours and any(name.endswith(".safetensors") for name in paths):
        source = among(paths, path.name, kind or SAFETENSORS)
    else:
        raise InvalidArtifactError(
            f"`{_MLMODEL}` names no flavour that can be served: it has {_listed(flavours) or 'none'}",
            hint="Log the model with `mlflow.onnx.log_model`, then import that folder.",
        )
    return Adopted(replace(source, said=_texts(said)), _remarks(left_out))


def _mlflow_entry(data: str, paths: dict[str, Path]) -> str:
    check_artifact_path(data)
    if data in paths:
        return data
    inside = f"{data}/{ENTRY}"
    if inside in paths:
        return inside
    raise InvalidArtifactError(
        f"`{_MLMODEL}` says that the model is `{shown(data)}`, which is not in the folder",
        hint="Copy the whole folder that MLflow wrote.",
    )


# Hugging Face


def _hugging_face(path: Path, folder: Path, kind: str | None) -> Adopted:
    # A snapshot in the cache is a folder of links to `../../blobs`, and nothing else may be linked to.
    paths = dict(_files(path, links_into=(path, path.parent.parent / "blobs")))
    entry = _hugging_face_entry(paths, path.name, kind)
    kept = {
        name: file
        for name, file in paths.items()
        if name == entry or not name.lower().endswith(_OTHER_WEIGHTS) or _belongs_to(name, entry)
    }
    left_out = [name for name in paths if name not in kept]
    if any(file.is_symlink() for file in kept.values()):
        kept = _staged(kept, folder)
    family = ONNX if entry.endswith(".onnx") else SAFETENSORS
    source = Source(entry, kept, family, _texts(_card(kept)))
    return Adopted(source, _remarks(left_out))


def _hugging_face_entry(paths: dict[str, Path], folder: str, kind: str | None) -> str:
    if kind in (None, ONNX):
        for name in (ENTRY, f"onnx/{ENTRY}"):
            if name in paths:
                return name
    return among(paths, folder, kind if kind in (ONNX, SAFETENSORS) else None).entry


def _belongs_to(name: str, entry: str) -> bool:
    """Whether weights are those of the model that is served: its external data, or its parts."""
    if entry.endswith(".onnx"):
        return name.startswith((f"{entry}_data", f"{entry}.data"))
    return name.endswith(".safetensors") and name.rpartition("/")[0] == entry.rpartition("/")[0]


def _card(paths: dict[str, Path]) -> dict[str, Any]:
    """What the front matter of the model card says of licence, data and parent."""
    card = papers(list(paths)).get("card")
    if card is None:
        return {}
    with local_files(paths[card]), paths[card].open("rb") as file:
        text = file.read(MAX_PAPER_BYTES).decode("utf-8", "replace")
    if not text.startswith("---\n"):
        return {}
    front = text[4:].partition("\n---")[0]
    try:
        facts = yaml.safe_load(front)
    except yaml.YAMLError:
        return {}
    if not isinstance(facts, dict):
        return {}
    return {
        "licence_name": facts.get("license"),
        "base_model": facts.get("base_model"),
        "datasets": facts.get("datasets"),
    }


def _staged(paths: dict[str, Path], folder: Path) -> dict[str, Path]:
    """The same files under their own names: onnxruntime reads external data beside the real graph."""
    staged = {}
    for name, path in paths.items():
        to = folder / name
        real = path.resolve()
        with local_files(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(real, to)
            except OSError:
                shutil.copyfile(real, to)
        staged[name] = to
    return staged


# SageMaker


def _sagemaker(path: Path, folder: Path, kind: str | None) -> Adopted:
    if not path.is_file():
        raise InvalidArtifactError(f"`{path.name}` is not a file", hint="Name the `model.tar.gz` itself.")
    names = unpack_tar(path, folder)
    visible = {name: folder / name for name in sorted(names) if not _is_hidden(name)}
    paths, left_out = _without(visible, ("code/",))
    return Adopted(among(paths, path.name, kind), _remarks(left_out))


# What all of them share


def _files(folder: Path, *, links_into: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Every file below ``folder`` that is not hidden; links are followed into ``links_into`` only."""
    if not folder.is_dir():
        raise InvalidArtifactError(f"`{folder.name}` is not a folder", hint=_FORMS)
    with local_files(folder):
        found = sorted(folder.rglob("*"))
    roots = tuple(root.resolve() for root in links_into)
    for path in found:
        name = path.relative_to(folder).as_posix()
        if _is_hidden(name):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            target = path.resolve()
            if not target.is_file() or not any(target.is_relative_to(root) for root in roots):
                raise InvalidArtifactError(
                    f"`{shown(name)}` is a link that leads out of the folder",
                    hint="Put the file itself there.",
                )
        elif stat.S_ISDIR(mode):
            continue
        elif not stat.S_ISREG(mode):
            raise InvalidArtifactError(f"`{shown(name)}` is neither a file nor a folder", hint="Remove it.")
        yield check_artifact_path(name), path


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _without(paths: dict[str, Path], folders: tuple[str, ...]) -> tuple[dict[str, Path], list[str]]:
    kept = {name: path for name, path in paths.items() if not name.startswith(folders)}
    return kept, [name for name in paths if name not in kept]


def _remarks(left_out: list[str]) -> tuple[str, ...]:
    if not left_out:
        return ()
    named = ", ".join(f"`{shown(name)}`" for name in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    return (f"left out: {named}{more}",)


def _yaml(path: Path, name: str) -> dict[str, Any]:
    with local_files(path), path.open("rb") as file:
        data = file.read(MAX_PAPER_BYTES + 1)
    try:
        # Aliases cost nothing here: they are references, and nothing of this is written out whole.
        body = yaml.safe_load(data) if len(data) <= MAX_PAPER_BYTES else None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArtifactError(f"`{name}` is not YAML: {error}", hint="Name another folder.") from error
    if not isinstance(body, dict):
        raise InvalidArtifactError(f"`{name}` is not a table in YAML", hint="Name another folder.")
    return body


def _texts(facts: dict[str, Any]) -> dict[str, str]:
    """Facts of another tool as lineage: one line each, and not endless."""
    found = {}
    for key, value in facts.items():
        items = value[:20] if isinstance(value, list) else [value]
        text = ", ".join(str(item) for item in items if isinstance(item, str | int | float))
        if text:
            found[key] = " ".join(text.split())[:200]
    return found


def _listed(flavours: dict[str, Any]) -> str:
    return ", ".join(f"`{shown(str(name))}`" for name in list(flavours)[:8])
