"""Ground truth: what was right, given after the fact by whoever learned it.

A label names the request that it is about, by the gateway's id (``apigw-requestid`` in the answer's headers)
or by the ``id`` that the caller gave the request, and the row's place in it where there were several.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from model_store.contract import parquet
from model_store.contract.capture import truth_key, truth_prefix
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError, NotFoundError
from model_store.contract.parquet import INTEGER, TEXT, Column
from model_store.ports import ObjectStore

LEAST_LABELS = 30
"""Fewer answers with a known truth have no accuracy to speak of: one of them would be three percent."""

REQUEST, PLACE, LABEL = Column("request", TEXT), Column("row", INTEGER), Column("label", TEXT)

Labels = dict[tuple[str, int], str]

_IDS = ("request_id", "id", "request")
_FORM = "Write a heading `request_id,label`, or `request_id,row,label` for requests of several rows."


def read_labels(name: str, text: str) -> Labels:
    """Labels from CSV. Raises ``InvalidArtifactError`` that names the line."""
    try:
        rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
        heading = [field.strip() for field in rows.fieldnames or ()]
    except csv.Error as error:
        raise InvalidArtifactError(f"`{name}` is not CSV: {error}", hint=_FORM) from error
    rows.fieldnames = heading
    key = next((word for word in _IDS if word in heading), None)
    if key is None or "label" not in heading:
        raise InvalidArtifactError(f"`{name}` has no column `request_id` or no column `label`", hint=_FORM)
    labels: Labels = {}
    for number, row in enumerate(rows, 2):
        request, label = (row[key] or "").strip(), (row["label"] or "").strip()
        place = (row.get("row") or "0").strip() or "0"
        if not request or not label or not place.isdecimal():
            raise InvalidArtifactError(f"line {number} of `{name}` lacks a request or a label", hint=_FORM)
        if labels.setdefault((request, int(place)), label) != label:
            raise InvalidArtifactError(
                f"line {number} of `{name}` gives request `{request}` another label than a line before",
                hint="Give each row of a request one label.",
            )
    if not labels:
        raise InvalidArtifactError(f"`{name}` holds no label", hint=_FORM)
    return labels


def give(kept: ObjectStore, model: str, labels: Mapping[tuple[str, int], str], at: datetime) -> str:
    """Store labels; the key they stand at. The same labels again on one day are the same file."""
    ordered = sorted(labels.items())
    table: dict[Column, list[Any]] = {
        REQUEST: [request for (request, _), _ in ordered],
        PLACE: [place for (_, place), _ in ordered],
        LABEL: [label for _, label in ordered],
    }
    data = parquet.write(table, {"model": model})
    key = truth_key(model, at, Digest.of(data))
    kept.put_once(key, data)
    return key


def given(kept: ObjectStore, model: str, since: datetime, until: datetime) -> Labels:
    """The labels that were given on the days of the window; of two for one row the later file's, by day."""
    labels: Labels = {}
    last = f"{truth_prefix(model)}{until:%Y/%m/%d}/~"
    for key in kept.keys(truth_prefix(model), after=f"{truth_prefix(model)}{since:%Y/%m/%d}/"):
        if key > last:
            break
        try:
            table, _ = parquet.read(kept.get(key))
            found = zip(table[REQUEST], table[PLACE], table[LABEL], strict=True)
            labels |= {(request, place): label for request, place, label in found}
        except (IntegrityError, NotFoundError, KeyError):
            continue
    return labels


def accuracy(
    answers: Mapping[tuple[str, str, int], str], labels: Mapping[tuple[str, int], str]
) -> tuple[int, int]:
    """How many captured answers have a label, and how many of those are it."""
    labelled = correct = 0
    for (request_id, own, place), predicted in answers.items():
        label = labels.get((request_id, place)) or labels.get((own, place))
        if label is not None:
            labelled += 1
            correct += predicted == label
    return labelled, correct
