"""Captured traffic as rows to train on: what callers sent, what was answered, and what was right.

A tensor with one element a row is a column of its name, one with more is ``image_0000``, ``image_0001`` …;
outputs have ``output_`` before it. Beside them stand ``request_id``, ``id``, ``row``, ``at`` (milliseconds
since 1970, UTC), ``version``, ``alias`` and, where it is asked for, ``label``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import polars as pl

from drift.captured import Row, Together, keys_captured, read_file, versions_captured
from drift.truth import given
from model_store.contract import capture as contract
from model_store.contract.capture import INPUT_PREFIX, OUTPUT_PREFIX
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.ports import ObjectStore
from training.data.cleaning import matching
from training.data.declared import CapturedTraffic, Columns
from training.errors import DataError

LABEL, VERSION = "label", "version"
OUTPUT = "output_"

Cells = Sequence[Sequence[Any]]


def rows_captured(
    source: CapturedTraffic, kept: ObjectStore, columns: Columns, *, now: datetime
) -> pl.DataFrame:
    """Every captured row of the source's window, by time: the same files give the same table.

    A row that was kept twice, as a message that came twice is, stands there once. Raises ``DataError`` where
    there is none, where rows do not fit into one table, and where a feature is what the model answered.
    """
    since, until = window(source, now)
    found, versions = _together(source, kept, since, until)
    order = sorted(range(len(found)), key=lambda at: (found.rows[at].at, *found.rows[at][:3]))
    labels = _labels(source, kept, found.rows, since, now) if source.labels else None
    if labels is not None:
        order = [at for at in order if labels[at] is not None]
    if not order:
        raise _nothing(source, since, until, len(found))
    table: dict[str, Sequence[Any]] = {
        name: [found.rows[at][place] for at in order] for place, name in enumerate(Row._fields)
    }
    table[VERSION] = [versions[at] for at in order]
    answers = {LABEL}
    for name, cells in sorted(found.columns().items()):
        for column, values in _columns(name, [cells[at] for at in order]):
            if column in table:
                raise DataError(
                    f"two columns of what was captured of `{source.model}` are called `{column}`",
                    hint="Name the tensors that are needed in `source.tensors`.",
                )
            table[column] = values
            if name.startswith(OUTPUT_PREFIX):
                answers.add(column)
    if labels is not None:
        table[LABEL] = _typed([str(labels[at]) for at in order])
    made = pl.DataFrame(table, strict=False)
    _must_not_be_answers(matching(made.columns, _features(columns)), answers)
    return made


def window(source: CapturedTraffic, now: datetime) -> tuple[datetime, datetime]:
    """From when to when rows count. Whole days are over, so that two processes, and a run that is gone on
    with the same day, find the same rows. Raises ``DataError`` for a window that is not over."""
    if source.days is not None:
        today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
        return today - timedelta(days=source.days), today - timedelta(milliseconds=1)
    assert source.since is not None
    assert source.until is not None
    if source.until > now:
        raise DataError(
            f"the window of what was captured of `{source.model}` ends at {source.until:%Y-%m-%d %H:%M %Z}, "
            "and rows still come",
            hint="Write an `until` that is over.",
        )
    return source.since, source.until


def _together(
    source: CapturedTraffic, kept: ObjectStore, since: datetime, until: datetime
) -> tuple[Together, list[int]]:
    """The rows, and the version of each."""
    found, versions = Together(), list[int]()
    hashed: dict[str, bool] = {}
    span = (since.timestamp() * 1000, until.timestamp() * 1000)
    wanted = {prefix + name for prefix in (INPUT_PREFIX, OUTPUT_PREFIX) for name in source.tensors} or None
    for version in source.versions or versions_captured(kept, source.model, since, until):
        for key in keys_captured(kept, source.model, version, since, until):
            try:
                values, about = read_file(kept, key)
            except NotFoundError:
                continue  # its retention ended while this was read
            except IntegrityError as error:
                raise DataError(
                    f"`{key}` cannot be read: {error}", hint="Delete that file, or narrow the window."
                ) from error
            names = set(about.get(contract.HASHED_KEY, "").split(","))
            for tensor in (name for name in values if name.startswith((INPUT_PREFIX, OUTPUT_PREFIX))):
                is_hashed = tensor.partition(".")[2] in names
                if hashed.setdefault(tensor, is_hashed) != is_hashed:
                    raise DataError(
                        f"`{tensor}` of `{source.model}` was kept as it is and, at another time, hashed",
                        hint="Narrow the window to one of the two.",
                    )
            found.add(values, *span, alias=source.alias, names=wanted)
            versions += [version] * (len(found) - len(versions))
    return found, versions


def _columns(name: str, cells: Cells) -> Iterator[tuple[str, list[Any]]]:
    """A column for each element of a tensor; a row that has none of it has null."""
    side, _, tensor = name.partition(".")
    stem = tensor if f"{side}." == INPUT_PREFIX else OUTPUT + tensor
    widths = {len(cell) for cell in cells if cell}
    if len(widths) > 1:
        raise DataError(
            f"`{tensor}` has rows of {min(widths)} to {max(widths)} elements, and a column has one",
            hint="Name the tensors that are needed, without this one, in `source.tensors`.",
        )
    width = widths.pop() if widths else 0
    for place in range(width):
        column = stem if width == 1 else f"{stem}_{place:04}"
        yield column, [cell[place] if cell else None for cell in cells]


def _labels(
    source: CapturedTraffic, kept: ObjectStore, rows: Sequence[Row], since: datetime, now: datetime
) -> list[str | None]:
    """What was right of each row, whenever that was said; by the gateway's id, else by the caller's."""
    truth = given(kept, source.model, since, now)
    return [
        truth.get((row.request_id, row.row)) or (truth.get((row.id, row.row)) if row.id else None)
        for row in rows
    ]


def _typed(labels: Sequence[str]) -> list[Any]:
    """Labels as numbers where all of them are: classes then sort as numbers do, 2 before 10."""
    for kind in (int, float):
        try:
            return [kind(label) for label in labels]
        except ValueError:
            continue
    return list(labels)


def _nothing(source: CapturedTraffic, since: datetime, until: datetime, rows: int) -> DataError:
    if rows:
        return DataError(
            f"of {rows:,} captured rows of `{source.model}` none has a label",
            hint=f"Give labels with `yard truth {source.model} labels.csv`, or leave `labels` out.",
        )
    through = f" through `{source.alias}`" if source.alias else ""
    return DataError(
        f"nothing was captured of `{source.model}`{through} from {since:%Y-%m-%d %H:%M} to "
        f"{until:%Y-%m-%d %H:%M %Z}",
        hint="Look at another window, or see that the catalog keeps requests of it and for how long "
        f"(`[models.{source.model}.capture]`).",
    )


def _features(columns: Columns) -> Sequence[str]:
    return [columns.text] if columns.text else columns.features


def _must_not_be_answers(features: Sequence[str], answers: set[str]) -> None:
    """A leak that no split shows: a model that is told what another one answered learns to repeat it."""
    for name in features:
        if name in answers:
            raise DataError(
                f"feature `{name}` is what was answered, not what was asked",
                hint="Name inputs of the model as `features`; an output or `label` may be the `target`.",
            )
