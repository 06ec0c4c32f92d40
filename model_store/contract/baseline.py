"""The baseline: how the inputs and outputs of a version were distributed when it was trained.

It holds summaries of single features and no row of the sample. A feature is one number or one word of a row:
a tensor of one element for each row, one element of a longer one (``image[17]``), or, of tensors too long for
that, a figure over the row (``image.mean``). ``model_store.features`` makes them, also of captured requests.

Written once under its own digest, which the manifest names (``model_store.contract.keys.baseline_key``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError

FORMAT = 1
"""Raised when what is written changes its meaning. Older ones stay readable."""

INPUT, OUTPUT = "input", "output"
NUMBER, CATEGORY = "number", "category"

MOST_POINTS = 128
"""So many values of a number are kept with their ranks; between two lies at most 1/127 of the rows."""

MOST_CATEGORIES = 50
"""More words than that are told apart as one: ``others``."""


@dataclass(frozen=True, slots=True)
class Feature:
    """How one feature was distributed over ``rows`` rows, of which ``missing`` had no value.

    Of a number: ``points`` are values that occurred, ascending, the lowest and the highest among them;
    ``under`` and ``up_to`` count the rows below each point, and those up to and with it. Of a category:
    ``categories`` are its words with their rows, the most frequent first, ``others`` the rows of the rest.
    """

    name: str
    side: str
    kind: str
    rows: int
    missing: int = 0
    points: tuple[float, ...] = ()
    under: tuple[int, ...] = ()
    up_to: tuple[int, ...] = ()
    mean: float = 0.0
    deviation: float = 0.0
    categories: dict[str, int] = field(default_factory=dict)
    others: int = 0

    @property
    def present(self) -> int:
        """Rows that had a value."""
        return self.rows - self.missing

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": self.name,
            "side": self.side,
            "kind": self.kind,
            "rows": self.rows,
            "missing": self.missing,
        }
        if self.kind == CATEGORY:
            # A list, because the order says which are the most frequent and canonical JSON sorts keys.
            return {
                **body,
                "categories": [list(item) for item in self.categories.items()],
                "others": self.others,
            }
        return {
            **body,
            "points": list(self.points),
            "under": list(self.under),
            "up_to": list(self.up_to),
            "mean": self.mean,
            "deviation": self.deviation,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Feature:
        about = (str(data["name"]), str(data["side"]), str(data["kind"]))
        counts = (int(data["rows"]), int(data["missing"]))
        if data["kind"] == CATEGORY:
            words = {str(word): int(count) for word, count in data["categories"]}
            return cls(*about, *counts, categories=words, others=int(data["others"]))
        return cls(
            *about,
            *counts,
            tuple(float(value) for value in data["points"]),
            tuple(int(count) for count in data["under"]),
            tuple(int(count) for count in data["up_to"]),
            float(data["mean"]),
            float(data["deviation"]),
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """All features of a version, made from ``rows`` rows of the file whose sha256 is ``sample``."""

    rows: int
    sample: Digest
    features: tuple[Feature, ...]
    format: int = FORMAT

    def to_json(self) -> bytes:
        """Canonical bytes: equal baselines are equal files."""
        body = {
            "format": self.format,
            "rows": self.rows,
            "sample": self.sample.hex,
            "features": [feature.as_json() for feature in self.features],
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Baseline:
        """Read one back. Raises ``IntegrityError`` for what is none, or is of a later format."""
        try:
            body = json.loads(data)
            if int(body["format"]) > FORMAT:
                raise IntegrityError(
                    f"the baseline has format {body['format']}, this Switchyard reads up to {FORMAT}",
                    hint="Update Switchyard to the version that published this model.",
                )
            features = tuple(Feature.from_json(item) for item in body["features"])
            return cls(int(body["rows"]), Digest(body["sample"]), features, int(body["format"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(f"the baseline cannot be read: {error}") from error
