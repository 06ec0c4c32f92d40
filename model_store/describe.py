"""Describe the training data at publish: read a sample, run the model on it, keep summaries and no row.

A sample is an ``.npz`` (one array for each input, rows first), a ``.parquet`` or a ``.csv`` file. In the last
two a column is a tensor of one element for each row, under its name; elements of a longer one are columns
``image[0]``, ``image[1]`` …, or a list column; and where a model takes one tensor, columns under any names
that are as many as its elements. What else the file has, a target for one, is not looked at.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_store.contract.baseline import INPUT, OUTPUT, Baseline
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.kinds import ONNX
from model_store.contract.tensors import TensorSpec
from model_store.features import all_columns, summary
from model_store.golden import NUMPY, read_npz
from model_store.onnx_file import RUNTIME_ERRORS, open_model, reason
from model_store.place import local_files
from model_store.source import Source

if TYPE_CHECKING:
    import pyarrow

LEAST_ROWS = 100
"""Fewer rows have no distribution to speak of: of ten equal bins chance alone would fill some twice."""

MOST_ROWS = 200_000
_AT_ONCE = 256

Array = NDArray[Any]
Arrays = dict[str, Array]

_GIVE = (
    "Give rows with every input of the model: an .npz of arrays, or a .csv or .parquet whose columns are "
    "named after the inputs (`x`, or `x[0]`, `x[1]` … for the elements of one)."
)


def make_baseline(
    source: Source, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], path: Path
) -> Baseline:
    """Summarise the rows at ``path`` and what the model gives for them. Reads only; safe to repeat.

    A kind that cannot be run here has a baseline of its inputs, and of those outputs that the file has.
    Raises ``InvalidArtifactError`` that says what the file lacks.
    """
    if not inputs:
        raise InvalidArtifactError(
            "nothing says what this artifact takes, so a baseline cannot be read",
            hint="Give its inputs and outputs with `--sample FILE` too.",
        )
    given = read_rows(path, inputs)
    count = len(next(iter(given.values())))
    if not LEAST_ROWS <= count <= MOST_ROWS:
        raise InvalidArtifactError(
            f"`{path.name}` has {count} rows, and a baseline is made of {LEAST_ROWS} to {MOST_ROWS:,}",
            hint="Give a random part of the training data.",
        )
    gave = _run(source, given, count) if source.kind == ONNX else _also_given(path, outputs, count)
    found = [*all_columns(inputs, given, INPUT), *all_columns(outputs, gave, OUTPUT)]
    return Baseline(count, Digest.of_file(path), tuple(summary(column) for column in found))


def read_rows(path: Path, specs: Sequence[TensorSpec]) -> Arrays:
    """One array for each of ``specs``, rows first, all with as many rows."""
    given = _read(path, specs)
    arrays = {}
    for spec in specs:
        if spec.name not in given:
            raise InvalidArtifactError(f"`{path.name}` has no rows for the input `{spec.name}`", hint=_GIVE)
        arrays[spec.name] = _fitting(given[spec.name], spec, path.name)
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) > 1:
        raise InvalidArtifactError(
            f"the inputs in `{path.name}` have different numbers of rows: {sorted(lengths)}", hint=_GIVE
        )
    return arrays


def _run(source: Source, given: Arrays, count: int) -> Arrays:
    model = open_model(source)
    names = [spec.name for spec in model.facts.outputs]
    # A model that fixes how many rows it takes at once is asked once for each; then that is one row.
    rowwise = all(spec.shape and isinstance(spec.shape[0], str) for spec in model.facts.inputs)
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, count, _AT_ONCE if rowwise else 1):
        feed = {
            name: rows[start : start + _AT_ONCE] if rowwise else rows[start] for name, rows in given.items()
        }
        try:
            results = model.session.run(None, feed)
        except RUNTIME_ERRORS as error:
            raise InvalidArtifactError(
                f"the model fails on the baseline's rows from {start + 1} on: {reason(error)}",
                hint="Give rows that the model accepts.",
            ) from error
        for spec, result in zip(model.facts.outputs, results, strict=True):
            array = np.asarray(result)
            asked = len(next(iter(feed.values())))
            parts[spec.name].append(
                array if rowwise and array.shape[:1] == (asked,) else array.reshape(1, -1)
            )
    # An output that has not one row for each of the input's has no distribution over rows.
    return {name: np.concatenate(arrays) for name, arrays in parts.items() if sum(map(len, arrays)) == count}


def _also_given(path: Path, outputs: Sequence[TensorSpec], count: int) -> Arrays:
    given = _read(path, outputs)
    known = {spec.name: spec for spec in outputs}
    arrays = {name: _fitting(rows, known[name], path.name) for name, rows in given.items() if name in known}
    return {name: rows for name, rows in arrays.items() if len(rows) == count}


def _fitting(rows: Array, spec: TensorSpec, name: str) -> Array:
    """``rows`` in the datatype and with the inner shape of ``spec``."""
    inner = spec.shape[1:] if spec.shape and isinstance(spec.shape[0], str) else spec.shape
    if len(rows.shape) == 2 and len(inner) != 1 and all(isinstance(size, int) for size in inner):
        size = math.prod(int(size) for size in inner)
        if rows.shape[1] == size:
            rows = rows.reshape(len(rows), *(int(size) for size in inner))
    fits = len(rows.shape) == len(inner) + 1 and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(inner, rows.shape[1:], strict=True)
    )
    if not fits:
        raise InvalidArtifactError(
            f"the rows of `{spec.name}` in `{name}` have shape {list(rows.shape[1:])}, "
            f"expected {list(inner)}",
            hint="Give every row in the shape that the model takes.",
        )
    try:
        if spec.datatype == "BYTES":
            texts = [item.decode() if isinstance(item, bytes) else str(item) for item in rows.ravel()]
            return np.array(texts, dtype=object).reshape(rows.shape)
        return rows.astype(NUMPY[spec.datatype])
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise InvalidArtifactError(
            f"the rows of `{spec.name}` in `{name}` are no {spec.datatype}: {error}",
            hint="Convert them before you save the file.",
        ) from error


# Reading files


def _read(path: Path, specs: Sequence[TensorSpec]) -> Arrays:
    """What the file has under the names of ``specs``, rows first; nothing for a name that it has not."""
    if path.suffix == ".npz":
        return {name: array for name, array in read_npz(path).items() if array.ndim}
    table: Mapping[str, Sequence[Any]]
    if path.suffix == ".csv":
        table = _read_csv(path)
    elif path.suffix == ".parquet":
        table = _read_parquet(path)
    else:
        raise InvalidArtifactError(
            f"`{path.name}` is neither .npz, .csv nor .parquet", hint="Save the sample as one of them."
        )
    arrays: Arrays = {}
    for spec in specs:
        found = list(_columns_of(spec, table, only=len(specs) == 1))
        if found:
            arrays[spec.name] = _joined(found, spec)
    return arrays


def _columns_of(
    spec: TensorSpec, table: Mapping[str, Sequence[Any]], *, only: bool
) -> Iterator[Sequence[Any]]:
    if spec.name in table:
        yield table[spec.name]
    elif f"{spec.name}[0]" in table:
        at = 0
        while (column := table.get(f"{spec.name}[{at}]")) is not None:
            yield column
            at += 1
    elif only and len(table) == math.prod(size for size in spec.shape if isinstance(size, int)):
        yield from table.values()


def _joined(found: list[Sequence[Any]], spec: TensorSpec) -> Array:
    """Columns side by side; a single one may hold lists. An empty cell of a number is missing: NaN."""
    text = spec.datatype == "BYTES"

    def cell(value: Any) -> Any:
        if text:
            return "" if value is None else value
        return math.nan if value is None or value == "" else float(value)

    try:
        if len(found) == 1 and len(found[0]) and isinstance(found[0][0], list):
            rows = [[cell(value) for value in row] for row in found[0]]
        else:
            rows = [[cell(value) for value in row] for row in zip(*found, strict=True)]
        joined = np.array(rows, dtype=object if text else np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidArtifactError(
            f"the column of `{spec.name}` holds what is no {spec.datatype}: {error}",
            hint="Leave a cell empty where a value is missing.",
        ) from error
    inner = spec.shape[1:] if spec.shape and isinstance(spec.shape[0], str) else spec.shape
    return joined[:, 0] if joined.shape[1:] == (1,) and not inner else joined


def _read_csv(path: Path) -> dict[str, list[str]]:
    with local_files(path), path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = list(csv.reader(file))
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidArtifactError(f"`{path.name}` is not CSV: {error}", hint=_GIVE) from error
    rows = [row for row in rows if row]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise InvalidArtifactError(
            f"the rows of `{path.name}` are not as long as its heading",
            hint="Write one heading and whole rows.",
        )
    return {name.strip(): [row[at].strip() for row in rows[1:]] for at, name in enumerate(rows[0])}


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow
    from pyarrow import parquet

    with local_files(path), path.open("rb") as file:
        try:
            table: pyarrow.Table = parquet.read_table(file)
        except (pyarrow.ArrowException, ValueError) as error:
            raise InvalidArtifactError(f"`{path.name}` is not Parquet: {error}", hint=_GIVE) from error
    return {name: table[name].to_pylist() for name in table.column_names}
