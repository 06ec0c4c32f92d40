"""Read what was captured of a version back from the bucket: rows as features, and what was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from model_store.contract import capture as contract
from model_store.contract import parquet
from model_store.contract.baseline import INPUT, OUTPUT
from model_store.contract.capture import INPUT_PREFIX, OUTPUT_PREFIX
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.manifest import Manifest
from model_store.contract.tensors import FLOATS, TensorSpec
from model_store.features import Column, columns
from model_store.ports import ObjectStore

MOST_ROWS = 50_000
"""More captured rows than that tell nothing more; which files are left out is drawn by their names."""

_AT_ONCE = 8

Cells = list[list[Any]]
Table = tuple[dict[str, list[Any]], dict[str, str]]
"""Columns by name, and what stands in the footer of their file."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured of a version in a window.

    ``features`` are by name. ``answers`` say what was predicted, by the gateway's id and by the caller's own,
    each with the row's place in its request. ``lost`` are requests that were sampled and could not be kept;
    ``unreadable`` are files.
    """

    rows: int
    features: Mapping[str, Column] = field(default_factory=dict)
    answers: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    hashed: frozenset[str] = frozenset()
    lost: int = 0
    files: int = 0
    unreadable: int = 0
    left_out: int = 0
    """Files that were not read, because there were rows enough."""


class Row(NamedTuple):
    """What stands beside a row's tensors. ``at`` is in milliseconds since 1970, UTC."""

    request_id: str
    id: str
    row: int
    at: int
    alias: str


class Together:
    """Rows of many files, each once: what came twice counts once, and what lies in halves is put together."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.cells: list[dict[str, list[Any]]] = []
        self._places: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def add(
        self,
        values: Mapping[str, list[Any]],
        since_ms: float,
        until_ms: float,
        *,
        alias: str | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        """Take a file's rows of that time, and of ``alias``; of its tensors those in ``names``, or all."""
        tensors = [
            name
            for name in values
            if name.startswith((INPUT_PREFIX, OUTPUT_PREFIX)) and (names is None or name in names)
        ]
        # Files of before there was this column have no aliases.
        aliases = values.get(contract.ALIAS) or [""] * len(values[contract.AT])
        beside = (values[contract.REQUEST_ID], values[contract.ID], values[contract.ROW], values[contract.AT])
        for at, row in enumerate(map(Row, *beside, aliases)):
            if since_ms <= row.at <= until_ms and alias in (None, row.alias):
                place = self._places.setdefault((row.request_id, row.row), len(self.rows))
                if place == len(self.rows):
                    self.rows.append(row)
                    self.cells.append({})
                elif not self.rows[place].id:  # the half with the request in it knows the caller's own
                    self.rows[place] = self.rows[place]._replace(id=row.id)
                held = self.cells[place]
                held.update({name: values[name][at] for name in tensors if not held.get(name)})

    def columns(self) -> dict[str, Cells]:
        """The cells of every tensor, an empty one for a row that has none."""
        names = dict.fromkeys(name for cells in self.cells for name in cells)
        return {name: [cells.get(name, []) for cells in self.cells] for name in names}


def versions_captured(kept: ObjectStore, model: str, since: datetime, until: datetime) -> list[int]:
    """The versions of which anything was captured in the window. A short listing or two for each version."""
    prefix = contract.captured_prefix(model)
    found: list[int] = []
    after: str | None = None
    while (key := next(kept.keys(prefix, after=after), None)) is not None:
        version = key.removeprefix(prefix).partition("/")[0]
        if version.isdecimal() and any(True for _ in keys_captured(kept, model, int(version), since, until)):
            found.append(int(version))
        # `~` is larger than everything that a key may hold: the next listing begins behind this version.
        after = f"{prefix}{version}/~"
    return found


def read_captured(
    kept: ObjectStore, manifest: Manifest, since: datetime, until: datetime, *, most_rows: int = MOST_ROWS
) -> Captured:
    """Everything captured from ``since`` to ``until``. A file that cannot be read is counted and left out."""
    keys = sorted(
        keys_captured(kept, manifest.model, manifest.version, since, until),
        key=lambda key: crc32(key.encode()),
    )
    span = (since.timestamp() * 1000, until.timestamp() * 1000)
    found = Together()
    lost = unreadable = files = 0
    hashed: set[str] = set()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(keys), _AT_ONCE):
            if len(found) >= most_rows:
                break
            for table in pool.map(lambda key: _read(kept, key), keys[start : start + _AT_ONCE]):
                files += 1
                if table is None:
                    unreadable += 1
                    continue
                values, about = table
                lost += int(about.get(contract.LOST_KEY) or 0)
                hashed |= {name for name in about.get(contract.HASHED_KEY, "").split(",") if name}
                found.add(values, *span)
    cells, ids = found.columns(), [(row.request_id, row.id, row.row) for row in found.rows]
    features = {}
    for prefix, side, specs in _sides(manifest):
        for spec in specs:
            for feature in _features(spec, cells.get(prefix + spec.name, []), side, spec.name in hashed):
                features[feature.name] = feature
    return Captured(
        rows=len(ids),
        features=features,
        answers=_answers(manifest, cells, ids),
        hashed=frozenset(hashed),
        lost=lost,
        files=files,
        unreadable=unreadable,
        left_out=len(keys) - files,
    )


def keys_captured(
    kept: ObjectStore, model: str, version: int, since: datetime, until: datetime
) -> Iterator[str]:
    """The files that may hold rows of the window, and some of the hour before it."""
    # A file belongs to the hour of its first row, and may reach a moment into the next.
    first = contract.hour_prefix(model, version, since - timedelta(hours=1))
    last = contract.hour_prefix(model, version, until) + "~"
    for key in kept.keys(contract.captured_prefix(model, version), after=first):
        if key > last:
            return
        yield key


def read_file(kept: ObjectStore, key: str) -> Table:
    """A file of rows. ``NotFoundError`` where it is forgotten, ``IntegrityError`` if it is none."""
    table, about = parquet.read(kept.get(key))
    values = {column.name: found for column, found in table.items()}
    if about.get(contract.FORMAT_KEY) != contract.FORMAT or contract.AT not in values:
        raise IntegrityError(f"`{key}` is no file of captured rows")
    return values, about


def _read(kept: ObjectStore, key: str) -> Table | None:
    try:
        return read_file(kept, key)
    except (IntegrityError, NotFoundError):  # forgotten meanwhile, or nothing of ours
        return None


def _sides(manifest: Manifest) -> Sequence[tuple[str, str, Sequence[TensorSpec]]]:
    return ((INPUT_PREFIX, INPUT, manifest.inputs), (OUTPUT_PREFIX, OUTPUT, manifest.outputs))


def _features(spec: TensorSpec, cells: Cells, side: str, hashed: bool) -> Iterator[Column]:
    """Features of the rows that have as many elements as most; a tensor that was not asked for has none."""
    widths = Counter(len(cell) for cell in cells if cell)
    if not widths:
        return
    ((width, _),) = widths.most_common(1)
    rows = [cell for cell in cells if len(cell) == width]
    text = hashed or spec.datatype == "BYTES"
    array = np.array(rows, dtype=object if text else np.float64)
    yield from columns(replace(spec, datatype="BYTES") if hashed else spec, array, side)


def predicting(manifest: Manifest) -> TensorSpec | None:
    """The output that says what was predicted: a word or a whole number a row, else scores of classes."""
    labels = [spec for spec in manifest.outputs if spec.datatype not in FLOATS]
    return labels[0] if labels else next(iter(manifest.outputs), None)


def _answers(
    manifest: Manifest, cells: Mapping[str, Cells], ids: Sequence[tuple[str, str, int]]
) -> dict[tuple[str, str, int], str]:
    spec = predicting(manifest)
    if spec is None:
        return {}
    found = cells.get(OUTPUT_PREFIX + spec.name, [])
    return {key: _word(cell, spec) for key, cell in zip(ids, found, strict=True) if cell} if found else {}


def _word(cell: Sequence[Any], spec: TensorSpec) -> str:
    if spec.datatype in FLOATS and len(cell) > 1:
        return str(max(range(len(cell)), key=cell.__getitem__))
    return str(cell[0])
