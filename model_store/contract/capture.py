"""Captured requests: what a function is told to keep of what it answers, and how it is laid down.

::

    captured/<model>/000000007/2026/11/22/15/<environment>-000003.parquet   rows of version 7, an hour's (UTC)
    truth/<model>/2026/11/22/<sha256>.parquet                               labels that were given on that day
    reports/<model>/000000007/2026/11/22/15.html                            a monitor's report of that hour

One row for each row that was asked about: ``request_id`` (the gateway's, which the caller sees, or a
message's, or an invocation's), ``id`` (the request's own, else the name of the object that it was), ``row``
(its place in the request), ``at``, ``alias`` (the one it came through, if any), and a list for every tensor,
``input.<name>`` and ``output.<name>``. No header, no address and nobody's name is in it, but for what the
model itself is given; ``drop`` and ``hash`` are for that.

A row may lie in two files: its inputs in one, with empty lists for what was not answered yet, and its outputs
in another. Whoever reads puts them together by ``request_id`` and ``row``, and takes what came twice once.

A version of a team's own container has no tensors: ``input.request`` and ``output.answer`` are whole bodies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.keys import DIGITS

FORMAT = "1"
"""Stands in every file's footer, with ``model``, ``version``, ``digest``, ``hashed`` and ``lost``."""

REQUEST_ID, ID, ROW, AT = "request_id", "id", "row", "at"
ALIAS = "alias"
INPUT_PREFIX, OUTPUT_PREFIX = "input.", "output."

FORMAT_KEY, MODEL_KEY, VERSION_KEY, DIGEST_KEY = "format", "model", "version", "digest"
HASHED_KEY, LOST_KEY = "hashed", "lost"

WHOLE_REQUEST, WHOLE_ANSWER = "request", "answer"
"""What stands for tensors where a container's bodies are nobody's here to read."""

MOST_ROWS = 64
"""So many rows of one request are kept, evenly spread over it."""

CAPTURED_PREFIX = "captured/"
TRUTH_PREFIX = "truth/"
REPORTS_PREFIX = "reports/"


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What the catalog says of a model: a share of its requests, at most so many rows an hour and place.

    ``drop`` and ``hash`` name tensors; ``drop`` may name ``id`` too.
    """

    rate: float
    rows_per_hour: int
    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As the function's environment carries it."""
        body: dict[str, Any] = {"rate": self.rate, "rows_per_hour": self.rows_per_hour}
        if self.drop:
            body["drop"] = list(self.drop)
        if self.hash:
            body["hash"] = list(self.hash)
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CaptureSettings:
        body = json.loads(text)
        return cls(
            float(body["rate"]),
            int(body["rows_per_hour"]),
            tuple(map(str, body.get("drop", ()))),
            tuple(map(str, body.get("hash", ()))),
        )


def hashed(model: str, value: object) -> str:
    """What stands for a value that must not be kept: the same for the same value of this model.

    A pseudonym and no more: who can guess the value can check the guess.
    """
    return hashlib.sha256(f"{model}\0{value}".encode()).hexdigest()[:16]


def captured_prefix(model: str, version: int | None = None) -> str:
    """Everything that was captured of a model, or of one version."""
    below = f"{CAPTURED_PREFIX}{model}/"
    return below if version is None else f"{below}{version:0{DIGITS}d}/"


def hour_prefix(model: str, version: int, hour: datetime) -> str:
    """What was captured of a version in one hour, UTC."""
    return f"{captured_prefix(model, version)}{hour:%Y/%m/%d/%H}/"


def captured_key(model: str, version: int, at: datetime, environment: str, number: int) -> str:
    """One file of one environment of the function."""
    return f"{hour_prefix(model, version, at)}{environment}-{number:06d}.parquet"


def truth_prefix(model: str) -> str:
    """All labels that were given for a model."""
    return f"{TRUTH_PREFIX}{model}/"


def truth_key(model: str, at: datetime, digest: Digest) -> str:
    """Labels that were given at once; the same again on one day are the same file."""
    return f"{truth_prefix(model)}{at:%Y/%m/%d}/{digest.hex}.parquet"


def reports_prefix(model: str, version: int) -> str:
    """All reports of a version."""
    return f"{REPORTS_PREFIX}{model}/{version:0{DIGITS}d}/"


def report_key(model: str, version: int, at: datetime) -> str:
    """The report that was made in one hour."""
    return f"{reports_prefix(model, version)}{at:%Y/%m/%d/%H}.html"
