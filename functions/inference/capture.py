"""Keeps a sample of what was asked and answered, for who watches how a model's inputs change.

Off unless the catalog says otherwise, and imported only then. Law: a caller is answered as if nothing were
kept. What the path pays is a look at the status and a checksum of the request's id; a sampled request goes
to a thread that nobody waits for, which reads both halves, leaves out and hashes what the catalog names, and
writes a Parquet file with every row that came since the last one (ADR 39). Lambda may freeze the environment
half way; then it is written when the environment is used again, or lost.

Which requests are sampled follows from their id alone: whoever has the id knows, and sampling again after the
fact gives the same ones.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zlib import crc32

from functions.inference.captured_rows import Rows
from functions.inference.mirror import is_inference
from functions.inference.ports import Captures
from functions.inference.released import Released, Unreleased
from functions.inference.request_log import RequestLog
from model_store.contract import capture as contract
from model_store.contract import parquet
from model_store.contract.capture import CaptureSettings
from model_store.contract.environment import CAPTURE, CAPTURE_BUCKET

MOST_WAITING = 32
"""So many sampled requests wait to be written. Each may hold megabytes."""

MOST_BYTES = 1_000_000
"""A request whose halves are larger together is not kept, and counted as lost."""

WRITE_EVERY_S = 10.0
"""A file at most that often; the first rows of an environment, and any after a pause, are written at once."""

MOST_BUFFERED = 1_000

HOUR_S = 3_600

Handler = Callable[[Any, Any], dict[str, Any]]
Row = tuple[Any, ...]


def capturing(
    inner: Handler, served: Released | Unreleased, environ: Mapping[str, str], log: RequestLog
) -> Handler:
    """Return ``inner`` so that it keeps what the environment asks for, or as it is, if that cannot be done.

    What the catalog wants left out and the version has not is a reason to keep nothing; the log says so.
    """
    if isinstance(served, Unreleased):
        return inner
    try:
        settings = CaptureSettings.from_json(environ[CAPTURE])
        if settings.rate <= 0:
            return inner
        bucket = environ[CAPTURE_BUCKET]
        return CaptureDoor(inner, cache(lambda: _connect(bucket, environ)), served, settings, log)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with capture is nothing to a caller
        log.aside({"capture": "off", "why": str(error)})
        return inner


def _connect(bucket: str, environ: Mapping[str, str]) -> Captures:
    """Imported by the thread, with the first file: HTTP alone takes longer than the rest of a start."""
    from functions.inference.adapters.s3_blobs import S3Blobs

    return S3Blobs(bucket, environ)


class CaptureDoor:
    """A Lambda handler around another one, whose answers it returns as they are."""

    def __init__(
        self,
        inner: Handler,
        connect: Callable[[], Captures],
        served: Released,
        settings: CaptureSettings,
        log: RequestLog,
        *,
        now: Callable[[], float] = time.time,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        """Raises ``ValueError`` where the settings do not fit the version."""
        self._inner = inner
        self._connect = connect
        self._manifest = served.manifest
        self._rows = Rows(served.manifest, settings)
        self._most_an_hour = settings.rows_per_hour
        self._below = round(settings.rate * 2**32)
        self._hashed = ",".join(settings.hash)
        self._log = log
        self._now = now
        self._write_every_s = write_every_s
        self._waiting: queue.Queue[tuple[dict[str, Any], dict[str, Any], float]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._lost = 0
        self._thread: threading.Thread | None = None
        # The thread's own.
        self._buffer: list[Row] = []
        self._written_at = -write_every_s
        self._hour, self._of_hour = -1, 0
        self._environment = ""
        self._files = 0
        self._said = False

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        answer = self._inner(event, context)
        if answer.get("statusCode") == 200 and is_inference(event):
            request_id = event["requestContext"].get("requestId")
            if request_id and crc32(request_id.encode()) < self._below:
                self._keep(event, answer)
        return answer

    def _keep(self, event: dict[str, Any], answer: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait((event, answer, self._now()))
            if self._thread is None or not self._thread.is_alive():
                # Here and not at the start: a thread does not survive a snapshot.
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        except (queue.Full, RuntimeError):
            self._lose(1)

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def _work(self) -> None:
        while True:
            try:
                event, answer, at = self._waiting.get(timeout=self._pause())
            except queue.Empty:
                self._write()
                continue
            try:
                self._take(event, answer, at)
                if len(self._buffer) >= MOST_BUFFERED or self._pause() == 0:
                    self._write()
            except Exception:  # noqa: BLE001 - nobody is there to hear it; the count of lost ones is written
                self._lose(1)
            finally:
                self._waiting.task_done()

    def _pause(self) -> float | None:
        """Seconds until the next file is due; ``None`` while there is nothing to write."""
        if not self._buffer:
            return None
        return max(0.0, self._written_at + self._write_every_s - time.monotonic())

    def _take(self, event: dict[str, Any], answer: dict[str, Any], at: float) -> None:
        if len(event.get("body") or "") + len(answer.get("body") or "") > MOST_BYTES:
            self._lose(1)
            return
        hour = int(at // HOUR_S)
        if hour != self._hour:
            self._write()  # a file is of one hour
            self._hour, self._of_hour = hour, 0
        if self._of_hour >= self._most_an_hour:
            return
        rows = self._rows.of(
            event, answer, request_id=event["requestContext"]["requestId"], at_ms=int(at * 1000)
        )
        kept = rows[: self._most_an_hour - self._of_hour]
        self._of_hour += len(kept)
        self._buffer += kept

    def _write(self) -> None:
        """Write what is buffered, or count it as lost: a second attempt, and no third."""
        rows, self._buffer = self._buffer, []
        if not rows:
            return
        self._written_at = time.monotonic()
        lost = self._lost
        columns = dict(zip(self._rows.columns, zip(*rows, strict=True), strict=True))
        about = {
            contract.FORMAT_KEY: contract.FORMAT,
            contract.MODEL_KEY: self._manifest.model,
            contract.VERSION_KEY: str(self._manifest.version),
            contract.DIGEST_KEY: str(self._manifest.digest),
            contract.HASHED_KEY: self._hashed,
            contract.LOST_KEY: str(lost),
        }
        data = parquet.write(columns, about)
        if not self._environment:
            self._environment = os.urandom(8).hex()  # not at the start: snapshots are copied
        when = datetime.fromtimestamp(self._hour * HOUR_S, UTC)
        key = contract.captured_key(
            self._manifest.model, self._manifest.version, when, self._environment, self._files
        )
        self._files += 1
        for attempt in (1, 2):
            try:
                self._connect().keep(key, data)
            except Exception as error:  # noqa: BLE001 - the connection of a thawed environment is often dead
                if attempt == 2:
                    self._lose(len(rows))
                    self._say(error)
            else:
                self._lose(-lost)
                return

    def _say(self, error: Exception) -> None:
        """Once in an environment: a bucket that refuses one file refuses them all."""
        if not self._said:
            self._said = True
            self._log.aside({"capture": "failed", "why": str(error)})

    def drain(self) -> None:
        """Wait until all that was handed over is written or buffered. For tests; a function never waits."""
        self._waiting.join()
