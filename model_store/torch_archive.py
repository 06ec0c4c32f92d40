"""Look into a torch archive without torch and without loading it.

TorchScript and torch.export save zip archives. Their pickles describe tensors and, in TorchScript,
classes of its own language; whatever else a pickle would import is Python that runs when the file is
loaded, and makes the file code (law 12).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from model_store.archives import checked_members, read_member
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.kinds import TORCH_AOT, TORCH_EXPORT, TORCH_PICKLE, TORCHSCRIPT
from model_store.contract.tensors import TensorSpec
from model_store.export_program import read_program
from model_store.pickles import MAX_PICKLE_BYTES, imports, looks_like_pickle
from model_store.place import local_files
from model_store.source import Source

_PLAIN = frozenset(
    {
        *("collections.OrderedDict", "torch.Size", "torch.device", "torch.storage.UntypedStorage"),
        *(
            f"torch._utils._rebuild_{what}"
            for what in ("tensor", "tensor_v2", "tensor_v3", "parameter", "qtensor", "sparse_tensor")
        ),
        *(
            f"torch.jit._pickle.{what}"
            for what in (
                *("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"),
                *("build_tensor_from_id", "restore_type_tag"),
            )
        ),
    }
)
"""What describes a tensor or a list of TorchScript and does nothing else."""

_STORAGES = tuple(
    f"{name}Storage"
    for name in (
        *("Float", "Double", "Half", "BFloat16", "Bool", "Byte", "Char", "Short", "Int", "Long"),
        *("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4", "Untyped"),
    )
)
_DTYPES = frozenset(
    {
        *("float16", "float32", "float64", "bfloat16", "bool", "uint8", "int8", "int16", "int32", "int64"),
        *("complex64", "complex128", "strided"),
    }
)
_NESTED = 1
"""How deep an archive may lie in an archive: torch.export keeps its sample inputs as one."""

MAX_PROGRAM_BYTES = 256 * 1024 * 1024
"""Largest program, as JSON; its weights are files of their own."""

_MACHINE_CODE = (".so", ".dll", ".dylib", ".o", ".a", ".cubin", ".ptx", ".hsaco")

_SHOWN_IMPORTS = 5
_TO_DATA = (
    "Export it with `torch.jit.script`, `torch.export.save` or to ONNX, or save weights as safetensors."
)


def kind_of(path: Path, *, allow_code: bool) -> tuple[str, dict[str, str]]:
    """What kind of torch archive the file at ``path`` is, and what it says about itself.

    Raises ``InvalidArtifactError`` for what is no archive, for one that would harm whoever unpacks it, and,
    without ``allow_code``, for one whose pickles execute Python.
    """
    with local_files(path):
        size = path.stat().st_size
        file = path.open("rb")
    with file:
        kind, code = _looked_into(file, path.name, size)
    if kind == TORCH_AOT and not code:
        # torch loads such a library as soon as it opens the archive, whatever else lies in it.
        if not allow_code:
            raise InvalidArtifactError(
                f"`{path.name}` holds machine code, which runs when it is loaded",
                hint="Publish it with `--allow-code`, or the program that it was compiled from.",
            )
        return TORCH_AOT, {}
    if code:
        if not allow_code:
            raise InvalidArtifactError(_executes(path.name, code), hint=_TO_DATA)
        return TORCH_PICKLE, {"pickled_code": ", ".join(sorted(code))[:2000]}
    if kind is None:
        raise InvalidArtifactError(
            f"`{path.name}` holds pickled weights and no program",
            hint="Save the weights as safetensors with their config, or export the model to ONNX.",
        )
    return kind, {}


def inspect_torch(source: Source, *, allow_code: bool) -> dict[str, str]:
    """Check the archive of ``source`` and say what it says about itself; it must be what it is called."""
    kind, facts = kind_of(source.graph, allow_code=allow_code)
    if kind != source.kind:
        raise InvalidArtifactError(
            f"`{source.graph.name}` is a {kind} archive and was called {source.kind}",
            hint=f"Publish it with `--kind {kind}`."
            if kind not in (TORCH_PICKLE, TORCH_AOT)
            else "Leave `--kind` out: what executes code is told by `--allow-code`.",
        )
    return facts


def read_export(source: Source) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The tensors that the program of a torch.export archive takes and gives.

    Raises ``InvalidArtifactError`` for a program that is more than arithmetic on tensors.
    """
    name = source.graph.name
    with local_files(source.graph), zipfile.ZipFile(source.graph) as archive:
        programs = [member for member in archive.infolist() if _is_program(member.filename)]
        if len(programs) != 1:
            raise InvalidArtifactError(
                f"`{name}` holds {len(programs)} programs, and a version serves one",
                hint="Save one program with `torch.export.save`.",
            )
        data = read_member(archive, programs[0], MAX_PROGRAM_BYTES)
    return read_program(data, name)


def _is_program(path: str) -> bool:
    inner = path.partition("/")[2]
    return path == "serialized_exported_program.json" or (
        inner.startswith("models/") and inner.endswith(".json")
    )


def _looked_into(file: IO[bytes], name: str, size: int, depth: int = 0) -> tuple[str | None, set[str]]:
    """The kind of an archive, ``None`` for bare weights, and every import of it that is code."""
    head = file.read(512)
    file.seek(0)
    if not head.startswith(b"PK\x03\x04"):
        if looks_like_pickle(head):
            raise InvalidArtifactError(
                f"`{name}` is a Python pickle in torch's old format, which executes code when it is loaded",
                hint=_TO_DATA,
            )
        raise InvalidArtifactError(f"`{name}` is not a torch archive", hint=_TO_DATA)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InvalidArtifactError(
            f"`{name}` is not a whole zip archive: {error}",
            hint="Save the model again; this file is damaged.",
        ) from error
    with archive:
        members = checked_members(archive, name, size)
        inner = {member.filename.partition("/")[2] for member in members}
        script = "constants.pkl" in inner and any(path.startswith("code/") for path in inner)
        code: set[str] = set()
        for member in members:
            code.update(_code_in(archive, member, name, script=script, depth=depth))
    if script:
        return TORCHSCRIPT, code
    if any(path.startswith("data/aotinductor/") or path.endswith(_MACHINE_CODE) for path in inner):
        return TORCH_AOT, code
    if _is_export(inner, {member.filename for member in members}):
        return TORCH_EXPORT, code
    if "data.pkl" not in inner:
        raise InvalidArtifactError(f"`{name}` is a zip archive, and not one of torch's", hint=_TO_DATA)
    return None, code


def _is_export(inner: set[str], names: set[str]) -> bool:
    """Torch 2.7 and later write ``archive_format`` and ``models/``; earlier ones a serialised program."""
    today = "archive_format" in inner and any(path.startswith("models/") for path in inner)
    return today or "serialized_exported_program.json" in names


def _code_in(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, *, script: bool, depth: int
) -> Iterator[str]:
    inner = member.filename.partition("/")[2] or member.filename
    if inner.startswith((".data/", "data/")) and not inner.endswith((".pt", "pkl")):
        return  # a tensor's bytes: they may look like anything, and nobody unpickles them
    if inner.endswith("pkl"):
        found = imports(read_member(archive, member, MAX_PICKLE_BYTES), f"{name}/{inner}")
        yield from (item for item in found if not _is_plain(item, script=script))
    elif inner.endswith(".pt"):
        if depth >= _NESTED:
            raise InvalidArtifactError(f"`{name}` holds archives in archives", hint=_TO_DATA)
        data = read_member(archive, member, MAX_PICKLE_BYTES)
        _, code = _looked_into(io.BytesIO(data), f"{name}/{inner}", len(data), depth + 1)
        yield from code
    elif looks_like_pickle(read_head(archive, member)):
        yield f"{inner} (a pickle)"


def read_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The first bytes of a member."""
    with archive.open(member) as file:
        return file.read(16)


def _is_plain(item: str, *, script: bool) -> bool:
    """Whether an import is a tensor's building block, or a class of TorchScript in a TorchScript archive."""
    module, _, attribute = item.rpartition(".")
    if module == "torch" and (attribute in _STORAGES or attribute in _DTYPES):
        return True
    return item in _PLAIN or (script and item.startswith("__torch__."))


def _executes(name: str, code: set[str]) -> str:
    listed = ", ".join(f"`{item}`" for item in sorted(code)[:_SHOWN_IMPORTS])
    more = f" and {len(code) - _SHOWN_IMPORTS} more" if len(code) > _SHOWN_IMPORTS else ""
    return f"`{name}` is a pickle that executes code when it is loaded: it imports {listed}{more}"
