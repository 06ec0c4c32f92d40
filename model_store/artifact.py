"""Find an artifact on disk, tell its kind, and examine it: the one door that bytes come in by.

==============  =====================================================  =================================
kind            what it is                                             who may publish it
==============  =====================================================  =================================
onnx            a graph, maybe with external data and files beside it  anybody; it is run at publish
safetensors     weights with the ``config.json`` that names a program  anybody
torchscript     a program with its weights (``.pt``)                   with ``--kind torchscript``
torch-export    a program with its weights (``.pt2``)                  with ``--kind torch-export``
torch-aot       machine code, an AOTInductor package (``.pt2``)        with ``--allow-code``
torch-pickle    Python that runs when it is loaded (``.pt``)           with ``--allow-code``
==============  =====================================================  =================================

Only ONNX can be run here, so only its golden sample is made here. For the other kinds ``--sample`` gives
inputs and outputs, or there is none; a target that checks a golden sample then refuses the release. A
torch.export archive says itself what it takes and gives; for the others the sample says that too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError, NotFoundError
from model_store.contract.kinds import (
    KINDS,
    ONNX,
    SAFETENSORS,
    TORCH_AOT,
    TORCH_EXPORT,
    TORCH_PICKLE,
    TORCHSCRIPT,
)
from model_store.contract.manifest import NO_GOLDEN, Golden
from model_store.contract.pipeline import PIPELINE_FILE
from model_store.contract.tensors import TensorSpec
from model_store.golden import given_golden, make_golden, must_fit, observed
from model_store.onnx_file import ModelFacts, open_model
from model_store.safetensors_file import INDEX_SUFFIX, inspect_safetensors
from model_store.source import ENTRY, EXPORT, Source, followed, must_not_carry_pickles, regular_files
from model_store.torch_archive import inspect_torch, kind_of, read_export

_TORCH = (TORCHSCRIPT, TORCH_EXPORT, TORCH_AOT, TORCH_PICKLE)
_CODE = (TORCH_AOT, TORCH_PICKLE)
_TORCH_SUFFIXES = (".pt", ".pth", ".pt2")
_LAST_WORD = {
    TORCHSCRIPT: "a TorchScript archive, which is a program",
    TORCH_EXPORT: "a torch.export archive, which is a program",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """What an artifact turned out to be. ``origin`` holds opset, producer, architecture and the like."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: Golden
    origin: dict[str, str]


def find_source(path: Path, *, kind: str | None = None, allow_code: bool = False) -> Source:
    """List the files of the artifact at ``path``, a file or a folder, and tell its kind.

    A single file always has the same name in the artifact, so that a renamed copy is the same artifact.
    A link named by the caller is followed, a link inside a folder is refused. ``kind`` is needed for
    programs of torch; for the others it is checked.
    """
    if kind is not None and kind not in KINDS:
        raise InvalidArtifactError(
            f"`{kind}` is not a kind of artifact", hint=f"Use one of {', '.join(KINDS)}."
        )
    path = followed(path)
    if path.is_file():
        found = _single(path)
    elif path.is_dir():
        found = among(dict(sorted(regular_files(path))), path.name, kind)
    else:
        raise NotFoundError(
            f"`{path}` is not there", hint="Give the path of an ONNX file or of a folder with one."
        )
    return resolved(found, kind=kind, allow_code=allow_code)


def resolved(source: Source, *, kind: str | None, allow_code: bool) -> Source:
    """``source`` with its kind told for certain, and agreed to where that is asked for."""
    if source.kind in _TORCH:
        source = _torch(source, kind, allow_code=allow_code)
    if kind is not None and kind != source.kind:
        raise InvalidArtifactError(
            f"`{source.graph.name}` is {source.kind} and was called {kind}",
            hint=f"Publish it with `--kind {source.kind}`, or leave `--kind` out.",
        )
    return source


def inspect(path: Path) -> ModelFacts:
    """Check the ONNX file or folder at ``path`` and read its tensors.

    Raises ``InvalidArtifactError`` for anything that cannot be served safely, ``NotFoundError`` if
    nothing is there. Reads only; safe to repeat.
    """
    return open_model(find_source(path)).facts


def examine(source: Source, digest: Digest, sample: Path | None) -> Examined:
    """Check everything about ``source`` that can be checked without trusting it, and run it if it is ONNX.

    Raises ``InvalidArtifactError`` with one sentence and a way out. Reads only; safe to repeat.
    """
    if source.kind == ONNX:
        opened = open_model(source)
        golden = make_golden(opened, digest, sample)
        facts = opened.facts
        return Examined(facts.inputs, observed(facts.outputs, golden.outputs), golden, facts.origin)
    if source.kind == SAFETENSORS:
        weights = frozenset(name for name in source.paths if name.endswith(".safetensors"))
        origin = inspect_safetensors(source)
    else:
        weights = frozenset()
        origin = inspect_torch(source, allow_code=source.kind in _CODE)
    must_not_carry_pickles(source, sparing=weights)
    said = read_export(source) if source.kind == TORCH_EXPORT else ((), ())
    if sample is None:
        return Examined(*said, NO_GOLDEN, origin)
    golden, inputs, outputs = given_golden(sample)
    if source.kind == TORCH_EXPORT:
        inputs, outputs = must_fit(inputs, said[0]), must_fit(outputs, said[1])
    return Examined(inputs, outputs, golden, origin)


def _single(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return Source("model.safetensors", {"model.safetensors": path}, SAFETENSORS)
    if suffix in _TORCH_SUFFIXES:
        entry = "model.pt2" if suffix == ".pt2" else "model.pt"
        return Source(entry, {entry: path}, TORCHSCRIPT)
    return Source(ENTRY, {ENTRY: path}, ONNX)


def among(paths: dict[str, Path], folder: str, kind: str | None) -> Source:
    """Say which file of a folder is the model: an ONNX file, else safetensors, else a torch archive."""
    of_kind = {
        ONNX: [name for name in paths if name.endswith(".onnx")],
        SAFETENSORS: [name for name in paths if name.endswith(".safetensors")],
        TORCHSCRIPT: [name for name in paths if name.endswith(_TORCH_SUFFIXES)],
    }
    wanted = TORCHSCRIPT if kind in _TORCH else kind
    for family, names in of_kind.items():
        if names and wanted in (None, family):
            return Source(_entry_among(names, paths, folder, family), paths, family)
    if wanted in (None, ONNX):
        raise InvalidArtifactError(f"the folder `{folder}` holds no `.onnx` file", hint=EXPORT)
    raise InvalidArtifactError(
        f"the folder `{folder}` holds no {kind} file", hint="Name the folder that holds the model."
    )


def _entry_among(names: list[str], paths: dict[str, Path], folder: str, family: str) -> str:
    indexes = [name for name in paths if name.endswith(INDEX_SUFFIX)]
    if family == SAFETENSORS and len(indexes) == 1:
        return indexes[0]
    if family == ONNX and PIPELINE_FILE in paths:
        return PIPELINE_FILE
    if len(names) == 1:
        return names[0]
    usual = {ONNX: ENTRY, SAFETENSORS: "model.safetensors", TORCHSCRIPT: "model.pt"}[family]
    if usual in names:
        return usual
    said = {ONNX: "ONNX", SAFETENSORS: "safetensors", TORCHSCRIPT: "torch"}[family]
    raise InvalidArtifactError(
        f"the folder `{folder}` holds {len(names)} {said} files: {', '.join(names[:5])}",
        hint=f"Call the one to serve `{usual}`, publish it alone, or order them in a `{PIPELINE_FILE}`."
        if family == ONNX
        else f"Call the one to serve `{usual}`, or publish it alone.",
    )


def _torch(source: Source, kind: str | None, *, allow_code: bool) -> Source:
    found, _ = kind_of(source.graph, allow_code=allow_code)
    if found in _LAST_WORD and kind is None:
        raise InvalidArtifactError(
            f"`{source.graph.name}` is {_LAST_WORD[found]}",
            hint=f"Publish it knowingly with `--kind {found}`, or export it to ONNX.",
        )
    return replace(source, kind=found)
