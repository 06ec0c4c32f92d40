"""Read the headers of a safetensors artifact without trusting them, and never its weights.

The format (github.com/huggingface/safetensors, "Format"): eight bytes with the length of a header, the
header in JSON, then the tensors' bytes without gaps. Weights compute nothing: what does is named by the
``config.json`` beside them, which therefore has to be there.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from model_store.contract.errors import InvalidArtifactError
from model_store.place import local_files
from model_store.source import Source

MAX_HEADER_BYTES = 100_000_000
"""Longest header. Source: the format's reference implementation, ``MAX_HEADER_SIZE``."""

INDEX_SUFFIX = ".safetensors.index.json"
CONFIG = "config.json"

MAX_CONFIG_BYTES = 10 * 1024 * 1024

_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_SAVE = "Save it again with `safetensors`; this file is damaged or not one."


def inspect_safetensors(source: Source) -> dict[str, str]:
    """Check every weight file of ``source`` and its config, and say what they hold.

    Raises ``InvalidArtifactError`` for a header that lies about the file, for an index that names other
    tensors than there are, and for a config that asks the loader to execute code.
    """
    config = _config(source)
    tensors = {name: _tensors(path) for name, path in source.paths.items() if name.endswith(".safetensors")}
    if source.entry.endswith(INDEX_SUFFIX):
        _must_fit_index(source, tensors)
    every = [tensor for file in tensors.values() for tensor in file.values()]
    facts = {
        "architecture": ", ".join(str(item) for item in config.get("architectures") or [])[:200],
        "model_type": str(config.get("model_type") or "")[:200],
        "tensors": str(len(every)),
        "parameters": str(sum(math.prod(tensor["shape"]) for tensor in every)),
        "dtypes": ", ".join(sorted({tensor["dtype"] for tensor in every})),
    }
    return {key: value for key, value in facts.items() if value}


def _config(source: Source) -> dict[str, Any]:
    folder = source.entry.rpartition("/")[0]
    name = f"{folder}/{CONFIG}" if folder else CONFIG
    if name not in source.paths:
        raise InvalidArtifactError(
            f"`{source.entry}` holds weights and nothing that says what to compute with them",
            hint=f"Publish the folder that holds its `{CONFIG}` too.",
        )
    config = _json(source.paths[name], name, MAX_CONFIG_BYTES)
    if config.get("auto_map"):
        raise InvalidArtifactError(
            f"`{name}` asks its loader to execute Python that comes with the model (`auto_map`)",
            hint="Use an architecture that the library knows by itself, or export the model to ONNX.",
        )
    return config


def _json(path: Path, name: str, limit: int) -> dict[str, Any]:
    with local_files(path), path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidArtifactError(f"`{name}` is larger than {limit:,} bytes", hint="Publish the right file.")
    return _object(data, name)


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        body = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidArtifactError(f"`{name}` is not JSON: {error}", hint=_SAVE) from error
    if not isinstance(body, dict):
        raise InvalidArtifactError(f"`{name}` is not a JSON object", hint=_SAVE)
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        message = "a name is there twice"
        raise ValueError(message)
    return made


def _tensors(path: Path) -> dict[str, dict[str, Any]]:
    """The header of one file: every tensor in its place, no byte unaccounted for."""
    with local_files(path), path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise InvalidArtifactError(
                f"`{path.name}` is not a safetensors file, or it is cut off", hint=_SAVE
            )
        data = file.read(length)
    header = _object(data, path.name)
    header.pop("__metadata__", None)
    try:
        spans = sorted(_span(tensor) for tensor in header.values())
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArtifactError(
            f"the header of `{path.name}` describes a tensor that cannot be: {error}", hint=_SAVE
        ) from error
    end = 0
    for start, stop in spans:
        if start != end:
            raise InvalidArtifactError(f"the tensors of `{path.name}` overlap or leave gaps", hint=_SAVE)
        end = stop
    if end != size - 8 - length:
        raise InvalidArtifactError(
            f"the tensors of `{path.name}` take {end:,} bytes, the file has {size - 8 - length:,} for them",
            hint=_SAVE,
        )
    return header


def _span(tensor: dict[str, Any]) -> tuple[int, int]:
    start, stop = tensor["data_offsets"]
    shape = tensor["shape"]
    whole = all(isinstance(number, int) and number >= 0 for number in (start, stop, *shape))
    if not whole or (stop - start) * 8 != math.prod(shape) * _BITS[tensor["dtype"]]:
        message = f"shape {shape} of {tensor['dtype']} in bytes {start} to {stop}"
        raise ValueError(message)
    return start, stop


def _must_fit_index(source: Source, tensors: dict[str, dict[str, dict[str, Any]]]) -> None:
    index = _json(source.graph, source.entry, MAX_HEADER_BYTES)
    folder = source.entry.rpartition("/")[0]
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise InvalidArtifactError(f"`{source.entry}` has no `weight_map`", hint=_SAVE)
    for tensor, file in placed.items():
        name = f"{folder}/{file}" if folder else str(file)
        if tensor not in tensors.get(name, {}):
            raise InvalidArtifactError(
                f"`{source.entry}` looks for tensor `{tensor}` in `{file}`, which does not hold it",
                hint="Publish the folder with all of its parts.",
            )
