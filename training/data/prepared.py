"""Prepare: source, cleaning, schema, split, leak checks; and the result, named by its digest.

A prepared set is a folder of plain arrays (``train.inputs.npy`` …) and ``data.json``, which says what
they are and how they were made. Its digest is that of an artifact of these files, so anybody can check it
with ``sha256sum``. It stands in the lineage of every version that was trained on it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import ArtifactFile, artifact_digest
from training.data.cleaning import Cleaned, clean, clean_anywhere, inputs_of, matching
from training.data.declared import CLASSIFICATION, PARTS, Declared, Tokens, read_data
from training.data.rules import check_rules
from training.data.sources import OpenBucket, OpenStage, rows
from training.data.split import check_leaks, parts_of
from training.errors import DataError

FACTS = "data.json"
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs, FP32 ``[rows, width]`` or INT64 ``[rows, length]``, and targets, INT64 or FP32 ``[rows]``."""

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Three parts, their names and their digest. ``classes`` are the words of the targets' numbers."""

    name: str
    task: str
    digest: Digest
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    vocabulary: int | None
    facts: dict[str, Any]

    @property
    def width(self) -> int:
        return int(self.train.inputs.shape[1])


def prepare(
    path: Path, keep: Path, *, bucket: OpenBucket | None = None, stage: OpenStage | None = None
) -> Prepared:
    """Make the set that the ``data.toml`` at ``path`` declares, and keep it as a folder of ``keep``.

    The same rows and the same file give the same digest on any machine. Safe to repeat and to kill: the
    folder appears whole or not at all. Raises ``RecipeError`` or ``DataError``.
    """
    declared = read_data(path)
    table = rows(declared, path.parent, bucket=bucket, stage=stage)
    before = table.height
    if declared.split.by == "content":
        unordered = nw.from_native(table).lazy()
        table, cleaned = clean_anywhere(unordered, declared.clean, declared.columns, rows=before)
    else:
        table, cleaned = clean(table, declared.clean, declared.columns)
    return keep_parts(table, declared, keep, read=before, cleaned=cleaned)


def keep_parts(
    table: pl.DataFrame, declared: Declared, keep: Path, *, read: int, cleaned: Sequence[Cleaned]
) -> Prepared:
    """Check and split rows that were cleaned, whatever engine did it, and keep them as a folder of ``keep``.

    ``read`` rows were there before. Raises ``DataError``; may be repeated, as ``prepare``.
    """
    check_rules(table, declared.rules, name=declared.name)
    names = inputs_of(table.columns, declared.columns)
    inputs = _inputs(table, names, declared)
    targets, classes = _targets(table, declared)
    if declared.split.by == "content":
        # Zero has two signs in floats, and engines differ in which one they keep.
        inputs, targets = inputs + inputs.dtype.type(0), targets + targets.dtype.type(0)
        called = _names(table, declared, inputs, targets)
        order = sorted(range(len(called)), key=called.__getitem__)
        table, inputs, targets = table[order], inputs[order], targets[order]
        parts = _parts(table, declared, inputs, sorted(called))
    else:
        parts = _parts(table, declared, inputs)
    files: dict[str, bytes] = {}
    for part in PARTS:
        chosen = np.array([found == part for found in parts])
        files[f"{part}.inputs.npy"] = _npy(inputs[chosen])
        files[f"{part}.targets.npy"] = _npy(targets[chosen])
    facts = {
        "schema": 1,
        "name": declared.name,
        "task": declared.task,
        "columns": names,
        "classes": classes,
        "vocabulary": declared.tokens.vocabulary if declared.columns.text else None,
        "rows": {"read": read, "kept": table.height, **{part: parts.count(part) for part in PARTS}},
        "cleaned": [[done.step, done.before, done.after] for done in cleaned],
        # Where the rows came from is not what they are: the same rows from elsewhere are the same set.
        "declared": declared.as_written(),
    }
    files[FACTS] = (json.dumps(facts, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    return load(_stored(files, keep))


def facts_of_step(model: str, prepared: Prepared) -> dict[str, Any]:
    """What the data step of a pipeline came to: its ``facts.json``, by which later steps find the set."""
    return {
        "model": model,
        "digest": str(prepared.digest),
        "folder": prepared.digest.hex,
        "rows": prepared.facts["rows"],
    }


def load(folder: Path) -> Prepared:
    """Read a prepared set back; its bytes must be those that its folder's name says.

    Raises ``IntegrityError`` when they are not and ``DataError`` when there is nothing to read.
    """
    try:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as error:
        raise DataError(
            f"there is no prepared set at `{folder}`", hint="Prepare it again from its `data.toml`."
        ) from error
    digest = _digest(files)
    if digest.hex != folder.name:
        raise IntegrityError(
            f"the prepared set `{folder}` has the digest `{digest}`",
            hint="Delete the folder and prepare it again.",
        )
    facts = json.loads(files[FACTS])
    train, validation, test = (
        Part(_array(files[f"{part}.inputs.npy"]), _array(files[f"{part}.targets.npy"])) for part in PARTS
    )
    return Prepared(
        name=facts["name"],
        task=facts["task"],
        digest=digest,
        train=train,
        validation=validation,
        test=test,
        classes=tuple(facts["classes"]),
        columns=tuple(facts["columns"]),
        vocabulary=facts["vocabulary"],
        facts=facts,
    )


def tokens(text: str, how: Tokens) -> list[int]:
    """The numbers of a text's words: what a caller of a model that was trained on texts has to send."""
    found = [1 + crc32(word.encode()) % (how.vocabulary - 1) for word in text.lower().split()]
    return (found + [0] * how.length)[: how.length]


def _inputs(table: pl.DataFrame, names: Sequence[str], declared: Declared) -> Array:
    if declared.columns.text:
        texts = table.get_column(names[0]).to_list()
        return np.array([tokens(str(text), declared.tokens) for text in texts], dtype=np.int64)
    try:
        values = table.select(names).to_numpy().astype(np.float32)
    except ValueError as error:
        raise DataError(
            f"a feature of `{declared.name}` is not a number",
            hint="Leave columns of texts out of `features`.",
        ) from error
    if not np.isfinite(values).all():
        raise DataError(
            f"`{declared.name}` has features without a finite value",
            hint="Add the cleaning step `drop_missing` or `fill`.",
        )
    return values


def _targets(table: pl.DataFrame, declared: Declared) -> tuple[Array, list[str]]:
    (name,) = matching(table.columns, [declared.columns.target])
    column = table.get_column(name)
    if column.null_count():
        raise DataError(
            f"{column.null_count()} rows have no `{name}`", hint="Add the cleaning step `drop_missing`."
        )
    if declared.task == CLASSIFICATION:
        words = sorted(column.unique().to_list())
        number = {word: place for place, word in enumerate(words)}
        return np.array([number[word] for word in column.to_list()], dtype=np.int64), [
            str(word) for word in words
        ]
    return column.to_numpy().astype(np.float32), []


def _names(table: pl.DataFrame, declared: Declared, inputs: Array, targets: Array) -> list[str]:
    """Each row's own name: a digest of what a model is given and has to say, and of the row's group."""
    group = declared.columns.group
    groups = table.get_column(group).to_list() if group else [None] * table.height
    return [
        hashlib.sha256(given.tobytes() + said.tobytes() + f"/{one}".encode()).hexdigest()
        for given, said, one in zip(inputs, targets, groups, strict=True)
    ]


def _parts(
    table: pl.DataFrame, declared: Declared, inputs: Array, names: Sequence[str] | None = None
) -> list[str]:
    columns, split = declared.columns, declared.split
    groups = table.get_column(columns.group).to_list() if columns.group else None
    if split.column:
        parts = table.get_column(split.column).to_list()
        unknown = sorted({str(part) for part in parts} - set(PARTS))
        if unknown:
            raise DataError(
                f"column `{split.column}` says `{unknown[0]}`", hint=f"Write one of {', '.join(PARTS)}."
            )
    else:
        classes = table.get_column(columns.target).to_list() if split.stratify else None
        parts = parts_of(split, rows=table.height, classes=classes, groups=groups, names=names)
    marks = [hashlib.sha256(row.tobytes()).digest() for row in inputs]
    check_leaks(parts, inputs=marks, groups=groups)
    return parts


def _stored(files: dict[str, bytes], keep: Path) -> Path:
    folder = keep / _digest(files).hex
    if folder.is_dir():
        return folder
    part = keep / f".{folder.name}.{uuid4().hex}.part"
    part.mkdir(parents=True)
    try:
        for name, data in files.items():
            (part / name).write_bytes(data)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody prepared the same set meanwhile
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _digest(files: dict[str, bytes]) -> Digest:
    return artifact_digest(
        tuple(ArtifactFile(name, Digest.of(data), len(data)) for name, data in files.items())
    )


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _array(data: bytes) -> Array:
    found: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return found
